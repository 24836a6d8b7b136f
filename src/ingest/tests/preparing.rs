//! Declarations that are read together are judged as they are one by one.

use crate::config::{ByteSize, Config};
use crate::day::Day;
use crate::generate::{Generator, Options};
use crate::ingest::offline::Offline;
use crate::ingest::options;
use crate::proto::v1;
use crate::rules::Law;

/// Declarations of one declarant, good ones and bad ones, some with long lists.
fn batch() -> v1::SubmitBatchRequest {
    let day = Day::parse("2026-11-05").unwrap();
    let options =
        Options { lines: 4_000, batch: 200, seed: 9, invalid: 0.3, actors: 1, ..Options::on(day) };
    let mut batches = Generator::new(&options).unwrap().map(|generated| generated.request);
    let mut batch = batches.find(|batch| batch.declarations.len() > 60).unwrap();
    batch.declarations.truncate(61);
    let document = v1::DocumentReference { r#type: "N337".to_owned(), reference: String::new() };
    let long =
        [(2, 4_096), (3, 4_097), (4, 9_000), (17, 3_000), (18, 1_090), (19, 10), (60, 5_000)];
    for (index, length) in long {
        batch.declarations[index].previous_documents = vec![document.clone(); length];
    }
    batch
}

fn offline() -> Offline {
    let config = Config { memory_max: ByteSize(256 << 20), ..Config::default() };
    Offline::new(&config, Law::load(None).unwrap()).unwrap()
}

fn judged(offline: &mut Offline, batch: &v1::SubmitBatchRequest) -> Vec<v1::Verdict> {
    let calendar = options::calendar(&Config::default()).unwrap();
    offline.judge(batch, calendar.parse("2026-11-05T10:00").unwrap()).unwrap().verdicts
}

#[test]
fn declarations_read_together_are_judged_as_each_is_alone() {
    let whole = batch();
    let (mut together, mut alone) = (offline(), offline());
    let verdicts = judged(&mut together, &whole);
    let outcomes =
        |which: v1::Outcome| verdicts.iter().filter(|v| v.outcome == which as i32).count();
    assert!(outcomes(v1::Outcome::Accepted) > 20 && outcomes(v1::Outcome::Rejected) > 10);
    for (declaration, verdict) in whole.declarations.iter().zip(&verdicts) {
        let single =
            v1::SubmitBatchRequest { declarations: vec![declaration.clone()], ..whole.clone() };
        assert_eq!(&judged(&mut alone, &single)[0], verdict, "{}", declaration.lrn);
        // Its key and its content are the same too.
        let again = &judged(&mut together, &single)[0];
        assert_eq!(again.outcome, v1::Outcome::Replayed as i32, "{}", declaration.lrn);
        assert_eq!(again.findings, verdict.findings);
    }
}
