//! Whatever the moment of a crash: every record whose commit returned is there, in order, and
//! nothing else but whole groups whose commit did not return.

use super::*;
use crate::disk::simulated::Fault;

/// What the runs have met, so that a run that meets nothing is noticed.
#[derive(Debug, Default)]
struct Met {
    torn: u64,
    unused_segments: u64,
    unacknowledged: u64,
    lost: u64,
    failed_opens: u64,
    ended_clean: u64,
    segments: u64,
}

struct World<'a> {
    disk: SimulatedDisk,
    chance: Chance,
    /// Records that must be there.
    durable: Model,
    /// Records pushed since, of which groups may be there.
    open: Model,
    /// Watermarks at the ends of the groups they are in; the last one stands open.
    groups: Vec<usize>,
    /// A clean stop has returned, and nothing was written since.
    ended: bool,
    met: &'a mut Met,
}

impl World<'_> {
    /// Opens, through whatever faults come, and checks what is found.
    fn open(&mut self) -> Journal {
        loop {
            let segments = self.segments();
            if self.chance.hits(25) {
                let fault = if self.chance.hits(50) { Fault::Error } else { Fault::PowerCut };
                self.disk.fault_at(self.chance.below(20), fault);
            }
            // Reading alone finds what opening finds.
            let forked = self.disk.fork();
            forked.kill();
            let verified = verify_simulated(&forked);
            match open_simulated(&self.disk) {
                Ok((journal, recovery, found)) => {
                    if let Ok((verified, read)) = verified {
                        assert_eq!((&verified, &read), (&recovery, &found));
                    } else {
                        // Only where there was no folder yet.
                        assert_eq!(recovery.records, 0);
                    }
                    self.check(&recovery, found);
                    self.met.unused_segments += u64::from(self.segments() < segments);
                    return journal;
                }
                Err(JournalError::Io { .. }) => {
                    self.met.failed_opens += 1;
                    self.down();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn check(&mut self, recovery: &Recovery, found: Model) {
        let durable = self.durable.len();
        assert!(found.len() >= durable, "{} records of {durable} durable ones", found.len());
        let mut all = std::mem::take(&mut self.durable);
        all.append(&mut self.open);
        assert!(all.starts_with(&found), "records that were never written, or in another order");
        let whole = found.len() == durable || self.groups.contains(&found.len());
        assert!(whole, "{} records are no whole groups: {:?}", found.len(), self.groups);
        if self.ended {
            assert!(recovery.ended_clean && recovery.torn.is_none(), "{recovery:?}");
            self.met.ended_clean += 1;
        }
        self.met.torn += u64::from(recovery.torn.is_some());
        self.met.unacknowledged += u64::from(found.len() > durable);
        self.met.lost += u64::from(found.len() < all.len());
        self.met.segments = self.met.segments.max(recovery.segments);
        self.durable = found;
        self.groups.clear();
        // A clean end that was not waited for may be there too.
        self.ended = recovery.ended_clean;
    }

    /// Ends the process, or the power.
    fn down(&mut self) {
        if self.chance.hits(40) && !self.disk.has_no_power() {
            self.disk.kill();
        } else {
            self.disk.crash();
        }
    }

    /// How many files are named as segments.
    fn segments(&self) -> usize {
        let names = self.disk.list(Path::new(DIR)).unwrap_or_default();
        names.iter().filter(|entry| entry.name.ends_with(".segment")).count()
    }

    fn committed(&mut self) {
        self.durable.append(&mut self.open);
        self.groups.clear();
    }

    /// One thing that a committer does; an error where the journal has met one.
    fn act(&mut self, journal: &mut Journal) -> Result<(), JournalError> {
        if self.chance.hits(70) {
            let (kind, body) = (self.chance.bits().to_le_bytes()[0], body(&mut self.chance));
            let reservation = match journal.room().reserve(body.len()) {
                Ok(reservation) => reservation,
                // The next segment is prepared by a commit.
                Err(refused) => {
                    assert_eq!(refused.cause, NoRoomCause::NotReady);
                    return self.commit(journal);
                }
            };
            let reservation = match journal.push(kind, &[&body], reservation) {
                Ok(_) => None,
                Err(PushError::GroupFull(reservation)) => Some(reservation),
                Err(error) => panic!("{error}"),
            };
            if let Some(reservation) = reservation {
                self.commit(journal)?;
                journal.push(kind, &[&body], reservation).unwrap();
            }
            self.ended = false;
            self.open.push((kind, body));
        } else {
            self.commit(journal)?;
        }
        Ok(())
    }

    fn commit(&mut self, journal: &mut Journal) -> Result<(), JournalError> {
        self.groups.push(self.durable.len() + self.open.len());
        let durable = journal.commit()?;
        self.committed();
        assert_eq!(durable.watermark.0, self.durable.len() as u64);
        Ok(())
    }

    fn live(&mut self) {
        let mut journal = self.open();
        for _ in 0..self.chance.below(40) {
            if self.chance.hits(10) {
                let fault = if self.chance.hits(30) { Fault::Error } else { Fault::PowerCut };
                self.disk.fault_at(self.chance.below(8), fault);
            }
            if let Err(error) = self.act(&mut journal) {
                assert!(matches!(error, JournalError::Io { .. }), "{error}");
                assert!(matches!(journal.commit(), Err(JournalError::Poisoned)));
                assert_eq!(journal.room().reserve(1).unwrap_err().cause, NoRoomCause::Poisoned);
                drop(journal);
                return self.down();
            }
        }
        if self.chance.hits(30) {
            self.groups.push(self.durable.len() + self.open.len());
            let open = !self.open.is_empty();
            match journal.end() {
                Ok(()) => {
                    self.committed();
                    self.ended = true;
                }
                Err(_) => self.ended = self.ended && !open,
            }
        }
        self.down();
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_else_appears() {
    let mut met = Met::default();
    for_seeds(400, |seed| {
        let disk = SimulatedDisk::new(seed, u64::MAX);
        let mut world = World {
            disk,
            chance: Chance(!seed),
            durable: Model::new(),
            open: Model::new(),
            groups: Vec::new(),
            ended: false,
            met: &mut met,
        };
        for _ in 0..6 {
            world.live();
        }
        drop(world.open());
    });
    println!("{met:?}");
    if is_whole_run() {
        let Met { torn, unused_segments, unacknowledged, lost, failed_opens, .. } = met;
        let least = [torn, unused_segments, unacknowledged, lost, failed_opens, met.ended_clean];
        assert!(least.iter().all(|count| *count >= 10), "the runs meet too little: {met:?}");
        assert!(met.segments >= 4, "{met:?}");
    }
}
