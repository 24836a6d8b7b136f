//! Merged runs against plain maps; runs held against others of the same records.

use super::*;
use crate::index::run::merged::Merged;
use crate::wire::digest::{Keys, MemoryKind};

/// Runs that follow one another, some of whose keys were rejected in an older one.
fn parts(seed: u64, count: u64) -> Vec<Plain> {
    let mut chance = Chance(seed);
    let mut displaceable: Vec<Key> = Vec::new();
    let (mut record, mut ordinal) = (1, 0);
    (0..count)
        .map(|part| {
            let many = 20 + chance.below(400);
            let mut plain = plain(seed * 100 + part, many, 1 + chance.below(30) as u32);
            let from = plain.covers.first_ordinal.0;
            let moved = |at: Ordinal| Ordinal(at.0 - from + ordinal);
            for (number, batch) in (record..).zip(&mut plain.batches) {
                batch.placing.number = Watermark(number);
                batch.placing.first_ordinal = moved(batch.placing.first_ordinal);
            }
            let of_before = std::mem::take(&mut displaceable);
            let mut of_before = of_before.into_iter();
            let entries = std::mem::take(&mut plain.entries);
            for mut entry in entries.into_values() {
                entry.ordinal = moved(entry.ordinal);
                if entry.kind == Kind::UnderLrn {
                    if entry.outcome == Outcome::Conflict {
                        entry.outcome = Outcome::Rejected;
                    }
                    if chance.hits(50) {
                        entry.key = of_before.next().unwrap_or(entry.key);
                    }
                    if entry.outcome == Outcome::Rejected {
                        displaceable.push(entry.key);
                    }
                }
                plain.entries.insert((entry.key, entry.kind as u8), entry);
            }
            displaceable.extend(of_before);
            let rares = std::mem::take(&mut plain.rares).into_iter();
            plain.rares = rares.map(|(at, rare)| (at - from + ordinal, rare)).collect();
            let end = plain.covers.end_ordinal.0 - from + ordinal;
            plain.covers.first_record = Watermark(record);
            plain.covers.last_record = Watermark(record + plain.batches.len() as u64 + 2);
            plain.covers.first_ordinal = Ordinal(ordinal);
            plain.covers.end_ordinal = Ordinal(end);
            (record, ordinal) = (plain.covers.last_record.0 + 1, end);
            plain
        })
        .collect()
}

fn written(disk: &SimulatedDisk, parts: &[Plain]) -> Vec<Arc<Run>> {
    let write = |part: &Plain| Arc::new(write(disk, Path::new(DIR), IDENTITY, part).unwrap());
    parts.iter().map(write).collect()
}

/// Merges these of `runs` into one in their place.
fn merge(disk: &SimulatedDisk, runs: &mut Vec<Arc<Run>>, range: std::ops::Range<usize>) {
    let merged = Merged::of(&runs[range.clone()], &|| true).unwrap();
    let merged = write(disk, Path::new(DIR), IDENTITY, &merged).unwrap();
    runs.splice(range, [Arc::new(merged)]);
}

#[test]
fn merged_runs_know_what_their_inputs_knew_however_they_were_grouped() {
    let mut displaced = 0;
    for seed in 0..15 {
        let parts = parts(seed, 4);
        let mut of_groupings = Vec::new();
        for grouping in [&[(0, 4)][..], &[(0, 2), (1, 3), (0, 2)], &[(1, 3), (0, 2), (0, 2)]] {
            let disk = disk(seed);
            let mut runs = written(&disk, &parts);
            grouping.iter().for_each(|&(from, until)| merge(&disk, &mut runs, from..until));
            assert_eq!(runs.len(), 1);
            of_groupings.push((disk.content(runs[0].path()).unwrap(), runs.remove(0)));
        }
        assert!(of_groupings.iter().all(|(bytes, _)| *bytes == of_groupings[0].0), "seed {seed}");
        let run = &of_groupings[0].1;
        run.verify().unwrap();
        let (oldest, newest) = (&parts[0].covers, &parts[3].covers);
        let Covers { first_record, first_ordinal, .. } = *oldest;
        assert_eq!(run.covers(), &Covers { first_record, first_ordinal, ..newest.clone() });

        let mut expected: BTreeMap<(Key, Kind), Vec<Entry>> = BTreeMap::new();
        for entry in parts.iter().rev().flat_map(|part| part.entries.values()) {
            expected.entry((entry.key, entry.kind)).or_default().push(*entry);
        }
        displaced += expected.values().filter(|entries| entries.len() > 1).count();
        let asked: Vec<(Key, Kind)> = expected.keys().copied().collect();
        let found = run.find_each(asked.iter().copied()).unwrap();
        let all = expected.values().enumerate();
        let all = all.flat_map(|(place, entries)| entries.iter().map(move |e| (place, *e)));
        assert_eq!(found, all.collect::<Vec<_>>());
        for ((key, kind), entries) in &expected {
            assert_eq!(run.find(*key, *kind).unwrap(), Some(entries[0]));
        }
        let entries: Vec<Entry> = found.into_iter().map(|(_, entry)| entry).collect();
        for (entry, first) in entries.iter().zip(run.firsts(&entries).unwrap()) {
            let part = parts.iter().rfind(|p| p.covers.first_ordinal <= entry.ordinal).unwrap();
            let rare = part.rares.get(&entry.ordinal.0);
            assert_eq!(first.quoted(), rare.and_then(|rare| rare.quoted.as_ref()));
            let at = run.at(entry.ordinal).unwrap().unwrap();
            assert_eq!(at.placing(), first.placing());
            let batch = part.batches.iter().rfind(|b| b.placing.first_ordinal <= entry.ordinal);
            assert_eq!(at.placing(), batch.map(|batch| batch.placing));
            assert_eq!(at.admission(), batch.unwrap().admission);
        }
    }
    assert!(displaced > 500, "{displaced}");
}

#[test]
fn what_is_forgotten_is_left_out_once_runs_are_merged_that_know_of_it() {
    for seed in 0..8 {
        let (disk, mut parts) = (disk(seed), parts(seed, 3));
        // Of the second part's batches some are forgotten, after the last record of the third.
        let batches = &parts[1].batches;
        let before = batches[batches.len() / 2].placing.first_ordinal;
        parts[2].covers.forgotten = Forgotten { before, day: Day(7) };
        let mut runs = written(&disk, &parts);
        merge(&disk, &mut runs, 0..2);
        let all: u64 = parts[..2].iter().map(|part| part.entries.len() as u64).sum();
        assert_eq!(runs[0].entries(), all, "it is known at the end of these");
        merge(&disk, &mut runs, 0..2);
        let run = &runs[0];
        run.verify().unwrap();
        assert_eq!(run.covers().forgotten, parts[2].covers.forgotten);
        let (mut known, mut left_out) = (0, 0);
        for entry in parts.iter().flat_map(|part| part.entries.values()) {
            let found = run.find_each([(entry.key, entry.kind)].into_iter()).unwrap();
            let is_there = found.iter().any(|(_, found)| found == entry);
            assert_eq!(is_there, entry.ordinal >= before);
            assert_eq!(run.at(entry.ordinal).unwrap().is_some(), is_there);
            known += u64::from(is_there);
            left_out += u64::from(!is_there);
        }
        assert_eq!(run.entries(), known);
        assert!(left_out > 20, "{left_out}");
        let rares = parts.iter().flat_map(|part| part.rares.keys());
        assert_eq!(run.all_rares().count(), rares.filter(|at| **at >= before.0).count());

        // All of the first part can go, and nothing that is still known.
        let disk = super::disk(seed + 100);
        let folder = Folder::new(Arc::new(disk.clone()), Path::new(DIR), IDENTITY);
        written(&disk, &parts[1..]);
        let found = folder.open().unwrap();
        assert_eq!((found.whole.len(), found.others.len()), (2, 0), "{:?}", found.others);
        disk.remove(found.whole[0].path()).unwrap();
        let found = folder.open().unwrap();
        assert_eq!((found.whole.len(), found.others.len()), (0, 1));
        disk.remove(&found.others[0].0).unwrap();
        parts[2].covers.forgotten = Forgotten::default();
        written(&disk, &parts[1..]);
        assert!(folder.open().unwrap().whole.is_empty(), "nothing says that it is forgotten");
    }
}

#[test]
fn many_displaced_under_one_key_are_found_across_pages() {
    let disk = disk(3);
    let mut parts = parts(3, 4);
    // As many as three pages hold, each with other content.
    let (key, mut all) = (Key(1 << 40, 7), Vec::new());
    for part in &mut parts {
        let entries = std::mem::take(&mut part.entries).into_values();
        for mut entry in entries.filter(|entry| entry.kind == Kind::UnderLrn) {
            (entry.key, entry.outcome) = (key, Outcome::Rejected);
            // A map has one of a key; these are kept apart by it alone.
            part.entries.insert((Key(all.len() as u64, 0), 0), entry);
            all.push(entry);
        }
    }
    all.reverse();
    all.sort_by_key(Entry::order);
    let mut runs = written(&disk, &parts);
    merge(&disk, &mut runs, 0..4);
    assert!(all.len() > 2 * ENTRIES_PER_PAGE, "{}", all.len());
    runs[0].verify().unwrap();
    let found = runs[0]
        .find_each([(Key(0, 0), Kind::UnderLrn), (key, Kind::UnderLrn)].into_iter())
        .unwrap();
    assert_eq!(found, all.iter().map(|entry| (1, *entry)).collect::<Vec<_>>());
    assert_eq!(runs[0].find(key, Kind::UnderLrn).unwrap().as_ref(), all.first());
}

#[test]
fn a_merge_that_is_not_wanted_any_more_leaves_nothing() {
    let disk = disk(4);
    let runs = written(&disk, &parts(4, 3));
    let before = disk.list(Path::new(DIR)).unwrap();
    let asked = std::cell::Cell::new(0);
    let is_wanted = || {
        asked.set(asked.get() + 1);
        asked.get() < 5
    };
    let merged = Merged::of(&runs, &is_wanted).unwrap();
    let given_up = write(&disk, Path::new(DIR), IDENTITY, &merged).unwrap_err();
    assert!(matches!(given_up, RunError::GivenUp), "{given_up}");
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), before);
    // And runs with a gap between them are not merged.
    assert!(Merged::of(&[Arc::clone(&runs[0]), Arc::clone(&runs[2])], &|| true).is_none());
    assert!(Merged::of(&[], &|| true).is_none());
}

/// All of `parts` as one table has them: what was displaced is remembered under a key of its own.
fn one_table(parts: &[Plain], keys: &Keys) -> Plain {
    let mut one = parts[0].clone();
    for part in &parts[1..] {
        let Covers { first_record, first_ordinal, .. } = one.covers;
        one.covers = Covers { first_record, first_ordinal, ..part.covers.clone() };
        one.batches.extend(part.batches.iter().copied());
        one.rares.extend(part.rares.iter().map(|(ordinal, rare)| (*ordinal, rare.clone())));
        for (at, entry) in &part.entries {
            if let Some(displaced) = one.entries.insert(*at, *entry) {
                let key = keys.memory_key(MemoryKind::Rejection, displaced.key, displaced.digest);
                let remembered = Entry { key, kind: Kind::Rejection, ..displaced };
                one.entries.insert((key, Kind::Rejection as u8), remembered);
            }
        }
    }
    one
}

#[test]
fn runs_of_the_same_records_answer_the_same_and_any_other_is_told() {
    let keys = Keys::new([3; 16], [5; 32]);
    for seed in 0..10 {
        let mut chance = Chance(seed);
        let (disk, other) = (disk(seed), disk(seed + 1));
        let parts = parts(seed, 4);
        let mut runs = written(&disk, &parts);
        merge(&disk, &mut runs, 1..4);
        let kept: Vec<Run> = runs.into_iter().map(|run| Arc::into_inner(run).unwrap()).collect();
        let sound = one_table(&parts, &keys);
        let told = |one: &Plain| {
            let made = write(&other, Path::new(DIR), IDENTITY, one).unwrap();
            difference(&kept, &[made], &keys).unwrap()
        };
        assert_eq!(told(&sound), None, "seed {seed}");
        assert!(difference(&kept, &[], &keys).unwrap().is_some());
        let mut one = sound.clone();
        one.covers.carried.push(1);
        assert!(told(&one).unwrap().contains("the newest says"), "seed {seed}");
        for kind in [Kind::UnderLrn, Kind::Rejection, Kind::Conflict] {
            for change in 0..5 {
                let mut one = sound.clone();
                let of_kind: Vec<(Key, u8)> =
                    one.entries.keys().copied().filter(|(_, k)| *k == kind as u8).collect();
                let at = of_kind[chance.below(of_kind.len() as u64) as usize];
                let mut entry = one.entries.remove(&at).unwrap();
                let mut at = at;
                match change {
                    0 => entry.digest.1 ^= 1,
                    1 => entry.ordinal.0 ^= 1,
                    2 => {
                        let others = [Outcome::Accepted, Outcome::Rejected];
                        entry.outcome = others[usize::from(entry.outcome == others[0])];
                    }
                    3 => (entry.key.1, at.0.1) = (entry.key.1 ^ 1, at.0.1 ^ 1),
                    _ => {}
                }
                // The last change is that it is missing.
                if change < 4 {
                    one.entries.insert(at, entry);
                }
                assert!(told(&one).is_some(), "seed {seed}: {kind:?} {change}");
            }
        }
        let mut one = sound.clone();
        one.batches[0].admission.law += 1;
        assert!(told(&one).unwrap().contains("record 1"), "seed {seed}");
        let mut one = sound.clone();
        one.batches.pop();
        assert!(told(&one).is_some(), "seed {seed}");
        let mut one = sound;
        let rare = one.rares.values_mut().next().unwrap();
        rare.law_day.0 ^= 1;
        assert!(told(&one).unwrap().contains("fallback"), "seed {seed}");
    }
}
