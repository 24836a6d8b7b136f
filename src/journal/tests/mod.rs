//! Tests of the whole journal, on the simulated disk and on the real one.
//!
//! A run that goes by chance prints its seed when it fails; `WAAG_SEED=<seed> cargo test ...`
//! repeats that run alone, and `WAAG_HISTORIES=<n>` makes `n` times as many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout)]

mod copying;
mod crash;
mod damage;
mod faults;
mod model;
mod oldest;
mod real;

use super::*;
use crate::disk::SimulatedDisk;
use crate::disk::simulated::Chance;
use crate::disk::simulated::seeds::{for_seeds, is_whole_run};

const DIR: &str = "data/journal";

/// Kind and body.
type Model = Vec<(u8, Vec<u8>)>;

/// Small enough for segments and groups to be filled often; everything in one thread.
fn options() -> Options {
    Options {
        segment_bytes: 20 * 4_096,
        group_bytes_max: 14_000,
        record_bytes_max: 20_000,
        segments_ahead: 1,
        prefill: false,
        prepare_in_background: false,
        ..Options::new([7; 16])
    }
}

/// Opens the journal and returns what it holds.
fn open_with(
    disk: Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
) -> Result<(Journal, Recovery, Model), JournalError> {
    let mut found = Model::new();
    let (journal, recovery) = open(disk, dir, options, &mut |record| {
        assert_eq!(record.number.0, found.len() as u64 + 1);
        found.push((record.kind, record.body.to_vec()));
        Ok(())
    })?;
    assert_eq!(recovery.records, found.len() as u64);
    assert_eq!(journal.durable().watermark.0, found.len() as u64);
    Ok((journal, recovery, found))
}

fn open_simulated(disk: &SimulatedDisk) -> Result<(Journal, Recovery, Model), JournalError> {
    open_with(Arc::new(disk.clone()), Path::new(DIR), &options())
}

fn verify_simulated(disk: &SimulatedDisk) -> Result<(Verified, Model), JournalError> {
    let mut found = Model::new();
    let verified = verify(disk, Path::new(DIR), Some([7; 16]), &mut |record| {
        found.push((record.kind, record.body.to_vec()));
        Ok(())
    })?;
    Ok((verified, found))
}

/// Pushes a record, committing first where the group is full, or where the open group holds the
/// room that is needed.
fn push(journal: &mut Journal, kind: u8, body: &[u8]) -> Result<Placed, JournalError> {
    let reservation = match journal.room().reserve(body.len()) {
        Ok(reservation) => reservation,
        Err(refused) => {
            assert_eq!(refused.cause, NoRoomCause::NotReady);
            journal.commit()?;
            journal.room().reserve(body.len()).unwrap()
        }
    };
    let (head, rest) = body.split_at(body.len() / 3);
    match journal.push(kind, &[head, rest], reservation) {
        Ok(placed) => Ok(placed),
        Err(PushError::GroupFull(reservation)) => {
            journal.commit()?;
            Ok(journal.push(kind, &[body], reservation).unwrap())
        }
        Err(error) => panic!("{error}"),
    }
}

fn body(chance: &mut Chance) -> Vec<u8> {
    let bytes = match chance.below(10) {
        0..5 => chance.below(300),
        5..7 => 3_900 + chance.below(300),
        7..9 => chance.below(9_000),
        _ => chance.below(20_001),
    };
    let with = chance.bits();
    (0..bytes).map(|at| u8::try_from((with >> (at % 8)) & 0xFF).unwrap()).collect()
}
