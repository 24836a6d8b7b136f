//! Whatever the moment of a crash or an error: each set that was published is whole, with the same
//! rows, until its days are dropped; of others nothing is left once the archive is opened.
//!
//! A run prints its seed when it fails; `WAAG_SEED=<seed> cargo test --lib archive::` repeats that run
//! alone.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::making::*;
use super::*;
use crate::disk::simulated::seeds::{for_seeds, is_whole_run};
use crate::disk::simulated::{Chance, Fault};
use crate::disk::{Disk, SimulatedDisk};

const ROOT: &str = "data/archive";

/// What the runs have met, so that a run that meets nothing is noticed.
#[derive(Debug, Default)]
struct Met {
    published: u64,
    stood: u64,
    orphans: u64,
    failed_opens: u64,
    failed_sets: u64,
    full: u64,
    failed_drops: u64,
    dropped: u64,
    unpublished: u64,
    doubtful: u64,
}

/// What batch `record` is: the same however often it is sealed.
fn batch(record: u64) -> (Day, v1::SubmitBatchRequest) {
    let count = if record.is_multiple_of(11) { 5 } else { 1 };
    let declarations = (0..count)
        .map(|at| v1::Declaration { lrn: format!("{record}-{at}"), ..company_gift("Lotusbay") });
    // Days alternate, and go on; now and then one comes again.
    let back = if record.is_multiple_of(7) { 3 } else { record % 2 };
    let request = v1::SubmitBatchRequest {
        declarations: declarations.collect(),
        ..v1::SubmitBatchRequest::default()
    };
    (Day(20_000 + (record / 2).saturating_sub(back) as u16), request)
}

struct World<'a> {
    disk: SimulatedDisk,
    chance: Chance,
    maker: Maker,
    published: Vec<(Set, Vec<GivenBatch>)>,
    /// A set that was written and not published: it may stand after a crash.
    maybe: Option<(Set, Vec<GivenBatch>)>,
    /// Days before this are dropped.
    dropped: Day,
    /// Days before this may be.
    dropping: Day,
    met: &'a mut Met,
}

impl<'a> World<'a> {
    fn new(seed: u64, met: &'a mut Met) -> Self {
        Self {
            disk: SimulatedDisk::new(seed, u64::MAX),
            chance: Chance(!seed),
            maker: Maker::new(),
            published: Vec::new(),
            maybe: None,
            dropped: Day(0),
            dropping: Day(0),
            met,
        }
    }

    fn fault(&mut self, within: u64) {
        match self.chance.below(3) {
            0 => self.disk.fault_at(self.chance.below(within), Fault::Error),
            1 => self.disk.fault_at(self.chance.below(within), Fault::PowerCut),
            _ => {
                let contents = self.disk.paths().into_iter().filter_map(|p| self.disk.content(&p));
                let used: u64 = contents.map(|content| content.len() as u64).sum();
                self.disk.set_capacity(used + self.chance.below(40_000));
            }
        }
    }

    fn no_fault(&mut self) {
        self.disk.set_capacity(u64::MAX);
        // A fault that was not met in what it was meant for.
        self.disk.fault_at(u64::MAX / 2, Fault::Error);
    }

    /// Opens, through whatever faults come, and checks what is found.
    fn open(&mut self) -> Archive {
        loop {
            if self.chance.hits(25) {
                self.fault(30);
            }
            let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
            let options = options(false);
            let opened = Archive::open(disk, Path::new(ROOT), options);
            self.no_fault();
            match opened {
                Ok((archive, opened)) => {
                    self.check(&archive, opened);
                    return archive;
                }
                Err(ArchiveError::Io { .. }) => {
                    self.met.failed_opens += 1;
                    self.down();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn check(&mut self, archive: &Archive, opened: Opened) {
        self.met.orphans += opened.orphans_removed;
        let sets = archive.sets();
        let maybe = self.maybe.take();
        if sets.len() > self.published.len() {
            self.published.push(maybe.expect("a set that was never written"));
            self.met.stood += 1;
        }
        assert_eq!(sets.len(), self.published.len());
        for (set, (expected, given)) in sets.iter().zip(&mut self.published) {
            for (part, expected) in set.parts.iter().zip(&mut expected.parts) {
                let (must, may) = (expected.is_dropped, part.day < self.dropping);
                assert!(part.is_dropped || !must, "{part:?} is not dropped");
                assert!(!part.is_dropped || may, "{part:?} is dropped");
                expected.is_dropped = part.is_dropped;
            }
            assert_eq!(**set, *expected);
            archive.check_files(set).unwrap();
            if self.chance.hits(4) {
                assert_same(archive, set, given);
                archive.check(set).unwrap();
            }
        }
        assert_eq!(self.files(), self.expected_files(), "after opening");
        self.maker.record = archive.next().0.0 - 1;
        self.maker.ordinal = archive.next().1.0;
        assert_eq!(self.maker.record + 1, self.published.last().map_or(1, |(s, _)| s.last.0 + 1));
    }

    fn files(&self) -> BTreeSet<PathBuf> {
        self.disk.paths().into_iter().collect()
    }

    fn expected_files(&self) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        for (set, _) in &self.published {
            files.insert(set.path(Path::new(ROOT)));
            for part in set.kept() {
                files.extend((0..5).map(|table| part.path(Path::new(ROOT), table, set)));
            }
        }
        files
    }

    /// Ends the process, or the power.
    fn down(&mut self) {
        if self.chance.hits(40) && !self.disk.has_no_power() {
            self.disk.kill();
        } else {
            self.disk.crash();
        }
    }

    /// Seals some records; `false` where that failed.
    fn seal(&mut self, archive: &Archive) -> bool {
        let (first, ordinal) = (self.maker.record + 1, self.maker.ordinal);
        let count = 1 + self.chance.below(2);
        let doubtful = archive.inner.changes().doubtful.len();
        let mut given = Vec::new();
        let sealed = (|| {
            let mut writer = archive.begin(Watermark(first), Ordinal(ordinal))?;
            // It removed what was not published.
            self.maybe = None;
            for record in first..first + count {
                let (day, request) = batch(record);
                given.push(self.maker.batch(&mut writer, day, &request)?);
            }
            let set = writer.finish(Watermark(self.maker.record), Ordinal(self.maker.ordinal))?;
            Ok::<_, ArchiveError>(set)
        })();
        if let Some(set) = archive.inner.changes().doubtful.last() {
            // Begun anew, or as it was.
            let given = if given.is_empty() { self.maybe.take().unwrap().1 } else { given.clone() };
            self.maybe = Some((set.clone(), given));
        }
        let is_doubtful = archive.inner.changes().doubtful.len() > doubtful;
        match sealed {
            Ok(set) if self.chance.hits(90) => {
                archive.publish(set.clone()).unwrap();
                self.maybe = None;
                self.published.push((set, given));
                self.met.published += 1;
                true
            }
            sealed => {
                (self.maker.record, self.maker.ordinal) = (first - 1, ordinal);
                assert_eq!(archive.next(), (Watermark(first), Ordinal(ordinal)));
                let Err(error) = sealed else {
                    self.met.unpublished += 1;
                    return true;
                };
                assert!(matches!(error, ArchiveError::Io { .. }), "{error:?}");
                self.met.failed_sets += 1;
                self.met.full += u64::from(error.is_disk_full());
                self.met.doubtful += u64::from(is_doubtful);
                if doubtful == 0 && !is_doubtful && !self.disk.has_no_power() {
                    let dropping = self.dropped < self.dropping;
                    if !dropping {
                        assert_eq!(self.files(), self.expected_files(), "{error}");
                    }
                }
                false
            }
        }
    }

    /// Drops some days; `false` where that failed.
    fn drop_days(&mut self, archive: &Archive) -> bool {
        let newest = batch(self.maker.record.max(1)).0;
        let before = Day(newest.0.saturating_sub(self.chance.below(4) as u16));
        self.dropping = self.dropping.max(before);
        match archive.drop_days(before, Watermark(u64::MAX)) {
            Ok(dropped) => {
                self.met.dropped += dropped.parts;
                self.dropped = self.dropped.max(before);
                for (set, now) in self.published.iter_mut().zip(&**archive.sets()) {
                    assert_eq!((set.0.first, set.0.last), (now.first, now.last));
                    assert!(now.parts.iter().all(|part| part.is_dropped || part.day >= before));
                    set.0 = Set::clone(now);
                }
                true
            }
            Err(error) => {
                assert!(matches!(error, ArchiveError::Io { .. }), "{error:?}");
                self.met.failed_drops += 1;
                false
            }
        }
    }

    fn live(&mut self) {
        let archive = self.open();
        for _ in 0..1 + self.chance.below(3) {
            let (is_drop, is_faulty) = (self.chance.hits(30), self.chance.hits(55));
            if is_faulty {
                let within = [10, 40, 110][self.chance.below(3) as usize];
                self.fault(if is_drop { 15 } else { within });
            }
            let done = if is_drop { self.drop_days(&archive) } else { self.seal(&archive) };
            self.no_fault();
            if self.disk.has_no_power() || (!done && self.chance.hits(50)) {
                break;
            }
        }
        drop(archive);
        self.down();
    }
}

#[test]
fn each_published_set_is_whole_and_of_others_nothing_is_left() {
    let mut met = Met::default();
    for_seeds(1_000, |seed| {
        let mut world = World::new(seed, &mut met);
        for _ in 0..2 {
            world.live();
        }
        drop(world.open());
    });
    println!("{met:?}");
    if is_whole_run() {
        let Met { published, stood, orphans, failed_opens, failed_sets, full, .. } = met;
        let Met { failed_drops, dropped, unpublished, doubtful, .. } = met;
        let least = [published, stood, orphans, failed_opens, failed_sets, full, dropped];
        let rare = [failed_drops, unpublished, doubtful];
        let meets = least.iter().all(|count| *count >= 50) && rare.iter().all(|count| *count >= 5);
        assert!(meets, "the runs meet too little: {met:?}");
    }
}

/// [`World::seal`] and [`World::drop_days`] expect an error of the disk alone.
#[test]
fn a_call_that_fails_while_a_set_is_written_or_a_day_dropped_loses_nothing() {
    let (mut met, mut calls) = (Met::default(), [0; 2]);
    for (fault, is_drop) in [Fault::Error, Fault::Full, Fault::PowerCut]
        .into_iter()
        .flat_map(|fault| [(fault, false), (fault, true)])
    {
        for call in 0.. {
            let mut world = World::new(call, &mut met);
            let archive = world.open();
            // More of them until there are days to drop.
            for _ in 0..if is_drop { 8 } else { 2 } {
                assert!(world.seal(&archive));
            }
            let before = world.disk.calls();
            world.disk.fault_at(call, fault);
            let _ = if is_drop { world.drop_days(&archive) } else { world.seal(&archive) };
            let is_over = world.disk.calls() - before <= call;
            world.no_fault();
            drop(archive);
            world.down();
            drop(world.open());
            if is_over {
                break;
            }
            calls[usize::from(is_drop)] += 1;
        }
    }
    println!("{calls:?} calls failed: {met:?}");
    assert!(calls[0] > 80 && met.failed_sets > 80 && met.full > 25, "{calls:?} {met:?}");
    assert!(calls[1] > 8 && met.failed_drops > 5, "{calls:?} {met:?}");
}
