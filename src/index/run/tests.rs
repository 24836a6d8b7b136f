//! A run against a plain map; damage told with its place; crashes while it is written.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod merging;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::page::{BATCHES_PER_PAGE, BadHeader, ENTRIES_PER_PAGE, Header};
use super::*;
use crate::day::{Day, Moment};
use crate::disk::simulated::seeds::{for_seeds, is_whole_run};
use crate::disk::simulated::{Chance, Fault};
use crate::disk::{Disk, SimulatedDisk};
use crate::index::filed::{Admission, Placing, Quoted};
use crate::rules::fallback::FallbackCheck;

const DIR: &str = "runs";
const IDENTITY: [u8; 16] = [6; 16];

/// What a run is of, as plain as can be.
#[derive(Debug, Clone)]
struct Plain {
    covers: Covers,
    entries: BTreeMap<(Key, u8), Entry>,
    batches: Vec<RunBatch>,
    rares: BTreeMap<u64, FiledFallback>,
}

impl Source for Plain {
    fn covers(&self) -> &Covers {
        &self.covers
    }

    fn entries(&self, bits: u32, part: u64) -> Result<Vec<Entry>, RunError> {
        // In an order of its own.
        let of_part = self.entries.values().filter(|e| filter::part_of(e.key, bits) == part);
        Ok(of_part.rev().copied().collect())
    }

    fn count(&self) -> u64 {
        self.entries.len() as u64
    }

    fn batches(&self) -> Batches<'_> {
        Box::new(self.batches.iter().copied().map(Ok))
    }

    fn rares(&self) -> Rares<'_> {
        let rares = self.rares.iter();
        Box::new(rares.map(|(ordinal, rare)| Ok((Ordinal(*ordinal), Cow::Borrowed(rare)))))
    }
}

fn batch(number: u64, first_ordinal: u64, declarations: u32) -> RunBatch {
    RunBatch {
        admission: Admission {
            at: Moment(number as i64 * 1_000 - 5),
            day: Day(number as u16),
            law: number as u32 * 3,
        },
        placing: Placing {
            number: Watermark(number),
            position: Position { segment: number / 10 + 1, page: number as u32, offset: 48 },
            first_ordinal: Ordinal(first_ordinal),
        },
        declarations,
    }
}

/// `count` declarations in batches of `each`, between which ordinals are left out, with keys of
/// which many share their high half.
fn plain(seed: u64, count: u64, each: u32) -> Plain {
    let mut chance = Chance(seed);
    let first = chance.below(1 << 40);
    let (mut batches, mut entries, mut rares) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let mut ordinal = first;
    let mut left = count;
    while left > 0 {
        let declarations = u64::from(each).min(left);
        batches.push(batch(batches.len() as u64 + 11, ordinal, declarations as u32));
        for ordinal in ordinal..ordinal + declarations {
            let shared = [0, u64::MAX, 1 << 63, 77][chance.below(4) as usize];
            let high = if chance.hits(30) { shared } else { chance.bits() };
            let key = Key(high, chance.bits());
            let kind = [Kind::UnderLrn, Kind::Rejection, Kind::Conflict][chance.below(3) as usize];
            let outcome =
                [Outcome::Accepted, Outcome::Rejected, Outcome::Conflict][chance.below(3) as usize];
            let has_rare = chance.hits(20);
            let digest = Digest(chance.bits(), chance.bits() as u16);
            let entry = Entry { key, kind, digest, ordinal: Ordinal(ordinal), outcome, has_rare };
            entries.insert((key, kind as u8), entry);
            if has_rare {
                let quoted = chance.hits(50).then(|| Quoted {
                    reference: "é".repeat(chance.below(81) as usize).into(),
                    lodged_at_ms: chance.bits() as i64,
                });
                let rare = FiledFallback {
                    index: 0,
                    digest: Digest(chance.bits(), ordinal as u16),
                    check: FallbackCheck::from_bits(chance.below(16) as u8),
                    law_day: Day(chance.below(60_000) as u16),
                    quoted,
                };
                rares.insert(ordinal, rare);
            }
        }
        left -= declarations;
        ordinal += declarations + chance.below(3);
    }
    let covers = Covers {
        first_record: Watermark(1),
        last_record: Watermark(batches.len() as u64 + 20),
        position: Position { segment: 3, page: 4, offset: 5 },
        first_ordinal: Ordinal(first),
        end_ordinal: Ordinal(ordinal),
        forgotten: Forgotten { before: Ordinal(0), day: Day(chance.below(9) as u16) },
        carried: (0..chance.below(9_000)).map(|n| n as u8).collect(),
    };
    Plain { covers, entries, batches, rares }
}

fn disk(seed: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(seed, 1 << 30);
    disk.create_dir(Path::new(DIR)).unwrap();
    disk
}

fn check(run: &Run, plain: &Plain, chance: &mut Chance) {
    assert_eq!(run.covers(), &plain.covers);
    run.verify().unwrap();
    let firsts: BTreeMap<u64, RunBatch> =
        plain.batches.iter().map(|batch| (batch.placing.first_ordinal.0, *batch)).collect();
    let batch_of = |ordinal: u64| {
        let (first, batch) = firsts.range(..=ordinal).next_back()?;
        (ordinal - first < u64::from(batch.declarations)).then_some(batch)
    };
    // Of many only some one after another; all at once below.
    let step = 1 + plain.entries.len() / 200;
    for entry in plain.entries.values().step_by(step) {
        assert_eq!(run.find(entry.key, entry.kind).unwrap().as_ref(), Some(entry));
        let first = run.at(entry.ordinal).unwrap().unwrap();
        let batch = batch_of(entry.ordinal.0).unwrap();
        assert_eq!(first.admission(), batch.admission);
        assert_eq!(first.placing(), Some(batch.placing));
        assert_eq!(first.index() as u64, entry.ordinal.0 - batch.placing.first_ordinal.0);
        let rare = plain.rares.get(&entry.ordinal.0);
        let under = rare.map(|rare| (rare.law_day, rare.check));
        assert_eq!(
            first.judged_under(),
            under.unwrap_or((batch.admission.day, FallbackCheck::default()))
        );
        assert_eq!(first.quoted(), rare.and_then(|rare| rare.quoted.as_ref()));
        if entry.kind == Kind::UnderLrn {
            let holder = run.under(entry.key, entry.ordinal).unwrap().unwrap();
            let later = Ordinal(entry.ordinal.0 + 1);
            assert!(run.under(entry.key, later).unwrap().is_none());
            assert_eq!((holder.outcome, holder.content), (entry.outcome, entry.digest));
            let is_rejected = entry.outcome == Outcome::Rejected;
            let with_fallback = rare.filter(|_| !is_rejected).map_or(entry.digest, |r| r.digest);
            assert_eq!(holder.with_fallback, with_fallback);
        }
    }
    check_many(run, plain, chance);
    for _ in 0..100 {
        let high = [0, u64::MAX, 1 << 63, 77, chance.bits()][chance.below(5) as usize];
        let key = Key(high, chance.bits());
        for kind in [Kind::UnderLrn, Kind::Rejection, Kind::Conflict] {
            let expected = plain.entries.get(&(key, kind as u8));
            assert_eq!(run.find(key, kind).unwrap().as_ref(), expected);
        }
    }
    let ordinals = plain.covers.first_ordinal.0.saturating_sub(3)..plain.covers.end_ordinal.0 + 3;
    for ordinal in ordinals.step_by(step) {
        let is_there = batch_of(ordinal).is_some();
        assert_eq!(run.at(Ordinal(ordinal)).unwrap().is_some(), is_there, "{ordinal}");
    }
}

/// All of it asked for at once, and others.
fn check_many(run: &Run, plain: &Plain, chance: &mut Chance) {
    let kinds = [Kind::UnderLrn, Kind::Rejection, Kind::Conflict];
    let mut asked: Vec<(Key, Kind)> = plain.entries.values().map(|e| (e.key, e.kind)).collect();
    asked.extend((0..300).map(|_| {
        let high = [0, u64::MAX, chance.bits()][chance.below(3) as usize];
        (Key(high, chance.bits()), kinds[chance.below(3) as usize])
    }));
    for place in (1..asked.len()).rev() {
        asked.swap(place, chance.below(place as u64 + 1) as usize);
    }
    let found = run.find_each(asked.iter().copied()).unwrap();
    let expected = asked.iter().enumerate().filter_map(|(place, (key, kind))| {
        Some((place, *plain.entries.get(&(*key, *kind as u8))?))
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
    let entries: Vec<Entry> = found.into_iter().map(|(_, entry)| entry).collect();
    let firsts = run.firsts(&entries).unwrap();
    assert_eq!(firsts.len(), entries.len());
    for (entry, first) in entries.iter().zip(firsts) {
        let placing = first.placing().unwrap();
        assert_eq!(placing.first_ordinal.0 + first.index() as u64, entry.ordinal.0);
        assert_eq!(first.outcome(), Some(entry.outcome));
        let rare = plain.rares.get(&entry.ordinal.0);
        assert_eq!(first.quoted(), rare.and_then(|rare| rare.quoted.as_ref()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_run_knows_what_a_map_knows(
        seed in any::<u64>(), count in 0_u64..1_500, each in 1_u32..40,
    ) {
        let disk = disk(seed);
        let plain = plain(seed, count, each);
        let run = write(&disk, Path::new(DIR), IDENTITY, &plain).unwrap();
        check(&run, &plain, &mut Chance(seed ^ 1));
        // And read from the disk by another process, after the power was cut.
        disk.crash();
        let folder = Folder::new(Arc::new(disk.clone()), Path::new(DIR), IDENTITY);
        let mut found = folder.open().unwrap();
        if plain.covers.first_ordinal.0 > 0 {
            let run = Run::open(&disk, &found.others.pop().unwrap().0, IDENTITY).unwrap();
            check(&run, &plain, &mut Chance(seed ^ 2));
        }
    }

    #[test]
    fn a_flipped_bit_is_told_with_its_page(seed in any::<u64>(), bit in any::<prop::sample::Index>()) {
        let disk = disk(seed);
        let plain = plain(seed, 400, 7);
        let run = write(&disk, Path::new(DIR), IDENTITY, &plain).unwrap();
        let path = run.path().to_owned();
        let bit = bit.index(usize::try_from(run.bytes() * 8).unwrap()) as u64;
        prop_assert!(disk.flip(&path, bit));
        let told = Run::open(&disk, &path, IDENTITY).and_then(|run| run.verify()).unwrap_err();
        match told {
            RunError::Damaged { path: told, offset, .. } => {
                prop_assert_eq!((told, offset), (path, bit / 8 / PAGE * PAGE));
            }
            // One bit of the version.
            RunError::NewerFormat { .. } => prop_assert!((32..64).contains(&bit)),
            other => panic!("{other}"),
        }
        // A look-up tells it too, or gives what was written.
        for entry in plain.entries.values() {
            if let Ok(found) = run.find(entry.key, entry.kind) {
                prop_assert_eq!(found.as_ref(), Some(entry));
            }
        }
    }
}

#[test]
fn numbers_that_are_never_given_out_are_damage() {
    let header = write(&disk(3), Path::new(DIR), IDENTITY, &plain(3, 50, 7)).unwrap().header;
    assert_eq!(Header::read(&header.page()), Ok(header.clone()));
    for number in [0, u64::MAX] {
        let wrong = [
            Header { first_record: Watermark(number), ..header.clone() },
            Header { last_record: Watermark(number), ..header.clone() },
            Header { end_ordinal: Ordinal(u64::MAX), ..header.clone() },
        ];
        for wrong in wrong {
            assert!(matches!(Header::read(&wrong.page()), Err(BadHeader::Damaged(_))), "{wrong:?}");
        }
    }
}

#[test]
fn pages_are_as_full_as_the_documentation_says() {
    assert_eq!((ENTRIES_PER_PAGE, BATCHES_PER_PAGE), (127, 81));
    let disk = disk(1);
    let plain = plain(1, 20_000, 1_000);
    let run = write(&disk, Path::new(DIR), IDENTITY, &plain).unwrap();
    let expected = plain.entries.len().div_ceil(127) as u64;
    assert!(run.bytes() / PAGE > expected && run.loaded_bytes() < 20_000 * 3 + 10_000);
}

#[test]
fn parts_of_the_keys_have_filters_of_their_own() {
    let disk = disk(2);
    let mut chance = Chance(2);
    let mut plain = plain(2, 300, 300);
    let count = 600_000;
    plain.entries.clear();
    plain.rares.clear();
    plain.batches = vec![batch(11, plain.covers.first_ordinal.0, count)];
    plain.covers.end_ordinal.0 = plain.covers.first_ordinal.0 + u64::from(count);
    for n in 0..u64::from(count) {
        let key = Key(chance.bits(), chance.bits());
        let entry = Entry {
            key,
            kind: Kind::UnderLrn,
            digest: Digest(n, n as u16),
            ordinal: Ordinal(plain.covers.first_ordinal.0 + n),
            outcome: Outcome::Accepted,
            has_rare: false,
        };
        plain.entries.insert((key, 0), entry);
    }
    let run = write(&disk, Path::new(DIR), IDENTITY, &plain).unwrap();
    run.verify().unwrap();
    for entry in plain.entries.values().step_by(97) {
        assert_eq!(run.find(entry.key, Kind::UnderLrn).unwrap().as_ref(), Some(entry));
    }
    // Of 40,000 keys that are not there one gets past the filters, more or less.
    let calls = disk.calls();
    for _ in 0..40_000 {
        assert_eq!(run.find(Key(chance.bits(), chance.bits()), Kind::UnderLrn).unwrap(), None);
    }
    assert!(disk.calls() - calls < 20, "{}", disk.calls() - calls);
    let per_key = run.bytes() as f64 / f64::from(count);
    assert!(per_key < 41.0, "{per_key}");
}

/// As a folder takes it: from the first ordinal on.
fn from_the_first(mut plain: Plain) -> Plain {
    let first = plain.covers.first_ordinal.0;
    plain.covers.first_ordinal = Ordinal(0);
    plain.covers.end_ordinal.0 -= first;
    plain.batches.iter_mut().for_each(|batch| batch.placing.first_ordinal.0 -= first);
    plain.entries.values_mut().for_each(|entry| entry.ordinal.0 -= first);
    plain.rares = plain.rares.into_iter().map(|(ordinal, rare)| (ordinal - first, rare)).collect();
    plain
}

#[test]
fn a_crash_while_a_run_is_written_leaves_nothing_or_all_of_it() {
    let (mut none, mut whole, mut finished) = (0, 0, 0);
    for_seeds(300, |seed| {
        let mut chance = Chance(seed);
        let disk = disk(seed);
        // Some of more pages than are written at once.
        let many = if chance.hits(4) { 9_000 } else { 200 };
        let plain = from_the_first(plain(seed, 50 + chance.below(many), 20));
        let folder = Folder::new(Arc::new(disk.clone()), Path::new(DIR), IDENTITY);
        let fault = if chance.hits(50) { Fault::Error } else { Fault::PowerCut };
        disk.fault_at(chance.below(14), fault);
        let written = folder.write(&plain);
        if chance.hits(60) || disk.has_no_power() {
            disk.crash()
        } else {
            disk.kill()
        }
        folder.tidy().unwrap();
        let found = folder.open().unwrap();
        assert!(found.others.is_empty(), "seed {seed}: {:?}", found.others);
        let names = disk.list(Path::new(DIR)).unwrap();
        assert_eq!(names.len(), found.whole.len(), "seed {seed}: {names:?}");
        match found.whole.first() {
            Some(run) => {
                check(run, &plain, &mut chance);
                whole += 1;
            }
            None => {
                assert!(written.is_err(), "seed {seed}: a run that was written is gone");
                none += 1;
            }
        }
        finished += u32::from(written.is_ok());
        // Written once more, whatever was left.
        let again = folder.write(&plain).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        check_many(&again, &plain, &mut chance);
    });
    let meets = none > 50 && whole > finished && finished > 20;
    assert!(meets || !is_whole_run(), "{none} {whole} {finished}");
}

#[test]
fn a_call_that_fails_while_a_run_is_written_is_told_by_name_and_leaves_nothing_or_all_of_it() {
    let (mut failed, mut chance) = (0, Chance(7));
    for fault in [Fault::Error, Fault::Full, Fault::PowerCut] {
        for call in 0.. {
            let disk = disk(call);
            let folder = Folder::new(Arc::new(disk.clone()), Path::new(DIR), IDENTITY);
            let plain = from_the_first(plain(call, 100, 20));
            let before = disk.calls();
            disk.fault_at(call, fault);
            let written = folder.write(&plain);
            if disk.calls() - before <= call {
                written.unwrap();
                break;
            }
            if let Err(error) = &written {
                assert!(error.to_string().contains(DIR), "{fault:?} at call {call}: {error}");
                failed += 1;
            }
            disk.crash();
            folder.tidy().unwrap();
            let found = folder.open().unwrap();
            assert!(found.others.is_empty(), "{fault:?} at call {call}: {:?}", found.others);
            assert!(written.is_err() || found.whole.len() == 1, "{fault:?} at call {call}");
            for run in &found.whole {
                check(run, &plain, &mut chance);
            }
            check(&folder.write(&plain).unwrap(), &plain, &mut chance);
        }
    }
    assert!(failed >= 20, "{failed}");
}
