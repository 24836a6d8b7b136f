//! What recovery makes of a journal.

use std::sync::Arc;

use super::{config, local, lodge, start};
use crate::config::Config;
use crate::day::{Calendar, Day};
use crate::disk::LocalDisk;
use crate::id::Ordinal;
use crate::index::Index;
use crate::index::run::Folder;
use crate::ingest::engine::folders;
use crate::ingest::laws::Laws;
use crate::ingest::prepare::{Bounds, Preparer};
use crate::ingest::record::Entry;
use crate::ingest::recover::Recoverer;
use crate::journal;
use crate::rules::Shelf;
use crate::secrets::Secrets;
use crate::summary::{Fold, FoldOptions};
use crate::wire::digest::Keys;

/// Recovers the journal with days counted by `calendar`: the digest of the summaries, and the day
/// that the index has of the first declaration.
fn recovered(config: &Config, calendar: &Calendar) -> ([u8; 32], Day) {
    let secrets = Secrets::open(&config.data_dir.join(folders::SECRETS), false).unwrap();
    let keys = Keys::new(secrets.prf(), secrets.digest());
    let index = Arc::new(Index::new(keys.clone(), 1 << 16).unwrap());
    let shelf = Shelf::open(&config.data_dir.join(folders::RULES)).unwrap();
    let own = tempfile::tempdir().unwrap();
    let (fold, ..) =
        Fold::open(own.path(), own.path(), &FoldOptions::default(), secrets.identity()).unwrap();
    let runs = Folder::new(Arc::new(LocalDisk::new()), own.path(), secrets.identity());
    let mut recoverer = Recoverer::new(
        Arc::clone(&index),
        Arc::new(Laws::over(shelf)),
        vec![Preparer::new(Bounds::NONE, calendar.clone(), keys)],
        &config.time_zone,
        (fold, runs),
        Box::new(|_| {}),
    );
    journal::verify(
        &LocalDisk::new(),
        &config.data_dir.join(folders::JOURNAL),
        None,
        &mut |record| recoverer.take(&record).map_err(Into::into),
    )
    .unwrap();
    let recovered = recoverer.finish().unwrap();
    let first = index.at(Ordinal(0)).unwrap().unwrap();
    (recovered.fold.digest().unwrap(), first.admission().day)
}

#[tokio::test]
async fn a_batch_stays_on_the_day_of_its_record_whatever_the_time_zone_is_said_to_be_later() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    // Half past midnight in Amsterdam, where it is still the 4th in UTC.
    let engine = start(&config, "2026-11-05T00:30");
    lodge(&engine, "2026-11-05").await;
    engine.stop();
    drop(engine);

    let day = Day::parse("2026-11-05").unwrap();
    let mut batches = 0;
    journal::verify(
        &LocalDisk::new(),
        &config.data_dir.join(folders::JOURNAL),
        None,
        &mut |record| {
            if let Entry::Batch(batch) = Entry::read(record.kind, record.body)? {
                assert!(batch.at >= local(&config, "2026-11-05T00:30"));
                assert_eq!(batch.day, day);
                batches += 1;
            }
            Ok(())
        },
    )
    .unwrap();
    assert!(batches > 1);

    // As if the zone's data had been corrected since.
    let [as_it_was, corrected] =
        ["Europe/Amsterdam", "UTC"].map(|zone| Calendar::new(zone).unwrap());
    assert_eq!(recovered(&config, &as_it_was).1, day);
    assert_eq!(recovered(&config, &corrected), recovered(&config, &as_it_was));
}
