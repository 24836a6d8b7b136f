//! Which declarants stand out, on a real server: by what is sealed and by what is not yet, the same for the command
//! line; and what is asked wrongly is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{CLOCK, SETTINGS, Server, Start, batch, folder, lodge, waag, waag_ok, with_value};
use tonic::{Code, Status};
use waag::proto::v1::{self, Outcome, SubmitBatchRequest};

const SPLITS: &str = "NL810000003";
const VAGUE: &str = "NL810000004";
const HONEST: [&str; 3] = ["NL810000005", "NL810000006", "NL810000007"];
const DAY: &str = "2026-11-05";

fn start(data: &Path, more: &str) -> Server {
    let settings = format!("{SETTINGS}unsealed_bytes_max = \"64MiB\"\nseal_interval_s = 1\n{more}");
    Start { settings: &settings, ..Start::at(data, CLOCK) }.run()
}

/// 600 good ones; `change` makes of each what it should be.
fn parcels(declarant: &str, change: impl Fn(u64, &mut v1::Declaration)) -> SubmitBatchRequest {
    let parcel = |n: u64| {
        let mut parcel = with_value(&format!("L{n}"), 9_000);
        parcel.importer.as_mut().unwrap().name = format!("{declarant} {n}");
        parcel.transport_document.as_mut().unwrap().reference = format!("{declarant}-{n:08}");
        change(n, &mut parcel);
        parcel
    };
    let declarations = (0..600).map(parcel).collect();
    SubmitBatchRequest { declarant: declarant.into(), ..batch("parcels", declarations) }
}

/// One who splits a fifth, one who says nothing of a twentieth, and three who do neither.
async fn lodge_all(server: &Server) -> u64 {
    let splits = parcels(SPLITS, |n, parcel| {
        if n < 120 {
            parcel.importer.as_mut().unwrap().name = format!("{SPLITS} {}", n / 2);
        }
    });
    let vague = parcels(VAGUE, |n, parcel| {
        if n % 20 == 0 {
            "spare parts".clone_into(&mut parcel.goods_items[0].description);
        }
    });
    let honest = HONEST.map(|declarant| parcels(declarant, |_, _| {}));
    let mut watermark = 0;
    for request in [splits, vague].into_iter().chain(honest) {
        let answer = lodge(server, request).await;
        assert!(answer.verdicts.iter().all(|verdict| verdict.outcome() == Outcome::Accepted));
        watermark = answer.watermark;
    }
    watermark
}

async fn ask(
    server: &Server,
    (first, last): (&str, &str),
    rules: &[&str],
) -> Result<v1::ListSignalsResponse, Status> {
    let period = Some(v1::Period { first_day: first.into(), last_day: last.into() });
    let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
    let request = v1::ListSignalsRequest { period, rules };
    Ok(server.compliance().await.list_signals(request).await?.into_inner())
}

fn told(found: &v1::ListSignalsResponse) -> Vec<(&str, &str, u64, u64)> {
    let told = |signal: &'_ v1::Signal| {
        let id = &signal.actor.as_ref().unwrap().id;
        let known = [SPLITS, VAGUE].into_iter().find(|known| known == id).unwrap();
        (known, signal.numerator, signal.denominator)
    };
    let signals = found.signals.iter().map(|signal| (told(signal), signal.rule.as_str()));
    signals.map(|((id, of, out_of), rule)| (id, rule, of, out_of)).collect()
}

#[tokio::test]
async fn who_stands_out_is_told_with_what_it_rests_on() {
    let (_folder, data) = folder();
    let server = start(&data, "");
    let watermark = lodge_all(&server).await;
    let until = Instant::now() + Duration::from_secs(60);
    let found = loop {
        let found = ask(&server, ("", ""), &[]).await.unwrap();
        if found.findings_watermark >= watermark {
            break found;
        }
        assert!(Instant::now() < until, "not in a minute: {found:?}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((found.declarants, found.watermark), (5, watermark));
    let period = found.period.clone().unwrap();
    assert_eq!((period.first_day.as_str(), period.last_day.as_str()), ("2026-10-09", DAY));
    let expected = [(SPLITS, "splitting", 120, 600), (VAGUE, "vagueness", 30, 600)];
    assert_eq!(told(&found), expected);
    for signal in &found.signals {
        let rule = found.rules.iter().find(|rule| rule.name == signal.rule).unwrap();
        assert!((signal.value - signal.numerator as f64 / 600.0).abs() < 1e-12);
        assert!(signal.lower < signal.value && signal.margin > 0.0 && signal.usual == 0.0);
        assert!((signal.lower - signal.usual - rule.above - signal.margin).abs() < 1e-12);
        let days = signal.days.clone().unwrap();
        assert_eq!((days.first_day.as_str(), days.last_day.as_str()), (DAY, DAY));
    }

    // Only what is asked for, and nothing of days on which nothing was declared.
    let one = ask(&server, (DAY, DAY), &["vagueness"]).await.unwrap();
    assert_eq!((told(&one), one.rules.len()), (expected[1..].to_vec(), 1));
    let none = ask(&server, ("2026-10-01", "2026-11-04"), &[]).await.unwrap();
    assert_eq!((none.signals.len(), none.declarants), (0, 0));

    // The command line has the same.
    let url = server.url();
    let text = waag_ok(&["signals", "--from", &url]);
    assert!(text.contains("of 5 declarants") && text.contains("2 signals"), "{text}");
    assert!(text.lines().any(|line| line.starts_with(SPLITS) && line.contains("120")), "{text}");
    let json = waag_ok(&["signals", "--from", &url, "--json", "--rule", "splitting"]);
    assert_eq!(json.lines().count(), 1);
    assert!(json.contains(r#""rule":"splitting""#), "{json}");
    let rules = waag_ok(&["signals", "--from", &url, "--rules"]);
    assert!(rules.contains("consignment_split_rate"), "{rules}");
    let wrong = waag(&["signals", "--from", &url, "--rule", "guessing"]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(!wrong.status.success() && said.contains("guessing"), "{said}");

    for (period, rules, said) in [
        (("2026-11-22", "2026-11-21"), vec![], "period.last_day is 2026-11-21, before first_day"),
        (("2026-07-28", DAY), vec![], "period.last_day ends 101 days"),
        (("soon", ""), vec![], "period.first_day is \"soon\""),
        (("", ""), vec!["vagueness", "guessing"], "rules[1] is \"guessing\", which is none of"),
        (("", ""), vec!["vagueness"; 40], "names 40 rules, of which there are"),
    ] {
        let status = ask(&server, period, &rules).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains(said), "{said:?} in {status:?}");
    }
    ask(&server, ("2026-07-29", DAY), &[]).await.unwrap();
}

#[tokio::test]
async fn without_findings_rules_about_summaries_go_on() {
    let (_folder, data) = folder();
    let server = start(&data, "findings = false\n");
    lodge_all(&server).await;
    let found = ask(&server, ("", ""), &[]).await.unwrap();
    assert_eq!(told(&found), [(VAGUE, "vagueness", 30, 600)]);
    assert_eq!(found.findings_watermark, 0);
    let text = waag_ok(&["signals", "--from", &server.url()]);
    assert!(text.contains("this server makes none"), "{text}");
}
