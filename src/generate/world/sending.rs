//! How far a declarant has come: its next slot, what is left of its day, and the consignments of
//! split orders that are still to be lodged.

use std::collections::VecDeque;

use super::affected::Affected;
use super::content::{Ground, Place};
use super::declarant::Declarant;
use super::kind::{Kind, Kinds};
use super::role::Role;
use super::truth::Tally;
use super::{Mark, Stream, WorldBatch};
use crate::generate::{change, defect, share_common};
use crate::outcome::Outcome;
use crate::proto::v1::{Declaration, SubmitBatchRequest};

/// How far one declarant has come.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub(super) tally: Tally,
    /// The first slot of each day begun.
    first_slots: Vec<u64>,
    slot: u64,
    /// Batches sent in all, and of this day.
    batches: u64,
    batches_today: u64,
    batches_expected: u64,
    /// So many lines are sent when the day is over.
    lines_until: u64,
    /// In the order in which the orders came.
    waiting: VecDeque<Waiting>,
    tomorrow: Vec<(Place, Affected)>,
}

/// A later consignment of a split order.
#[derive(Debug)]
struct Waiting {
    /// The slot at which it is lodged.
    due: u64,
    at: Place,
    affected: Affected,
}

/// Of the later consignments of a split order, so many in 100 are lodged the next day.
const NEXT_DAY_PERCENT: u64 = 30;

impl Sending {
    /// Begins a day, at whose end so many lines are sent in all.
    pub(super) fn begin_day(&mut self, lines_until: u64, batch: u64) {
        self.first_slots.push(self.slot);
        self.lines_until = lines_until;
        let lines = lines_until.saturating_sub(self.tally.sent().lines);
        self.batches_expected = (lines / 2).div_ceil(batch.max(1)).max(1);
        self.batches_today = 0;
        let slot = self.slot;
        let later = (0..).zip(self.tomorrow.drain(..));
        self.waiting.extend(later.map(|(n, (at, affected))| Waiting {
            due: slot + n * 3,
            at,
            affected,
        }));
    }

    /// When the next batch is due, in 2^-32 of a day.
    pub(super) fn due(&self) -> u64 {
        ((2 * self.batches_today + 1) << 31) / self.batches_expected.max(1)
    }

    fn day_of(&self, slot: u64) -> usize {
        self.first_slots.partition_point(|&first| first <= slot).saturating_sub(1)
    }

    /// The next batch of the day; none if the day is over.
    pub(super) fn batch(
        &mut self,
        ground: &Ground,
        declarants: &[Declarant],
        actor: &Declarant,
        day: usize,
    ) -> Option<WorldBatch> {
        let first = self.slot;
        let (mut declarations, mut marks) = (Vec::new(), Vec::new());
        let before = self.tally.sent().lines;
        while (declarations.len() as u64) < actor.batch {
            let over = self.tally.sent().lines >= self.lines_until;
            let due = self.waiting.front().is_some_and(|each| each.due <= self.slot || over);
            let waiting = if due { self.waiting.pop_front() } else { None };
            let (declaration, mark) = if let Some(Waiting { at, affected, .. }) = waiting {
                // By the law and the rates of the day on which it is lodged, and with the
                // flight of its batch, as all there.
                let at = Place { day, ..at };
                let (mut declaration, mark) = accepted(ground, declarants, actor, at, affected);
                declaration.previous_documents = vec![ground.flight(actor, first, day)];
                (declaration, mark)
            } else if over {
                break;
            } else {
                // Batches end where flights do.
                if self.slot > first && self.slot.is_multiple_of(actor.batch) {
                    break;
                }
                let slot = self.slot;
                self.slot += 1;
                self.declaration(ground, declarants, actor, slot, day)
            };
            let lines = declaration.goods_items.len() as u64;
            self.tally.add(mark, lines, &declaration.ioss_number);
            declarations.push(declaration);
            marks.push(mark);
        }
        if declarations.is_empty() {
            return None;
        }
        let common = actor.shares_common.then(|| {
            let flight = ground.flight(actor, first, day);
            share_common(&mut declarations, &actor.location, flight)
        });
        let request = SubmitBatchRequest {
            batch_id: format!("{}-{}-{}", actor.eori, ground.tag, self.batches),
            declarant: actor.eori.clone(),
            representative: actor.representative.clone(),
            representative_status: actor.representative_status,
            declarations,
            common,
        };
        self.batches += 1;
        self.batches_today += 1;
        let lines = self.tally.sent().lines - before;
        Some(WorldBatch { day: ground.day(day), actor: actor.index, lines, request, marks })
    }

    /// What is lodged at a slot.
    fn declaration(
        &mut self,
        ground: &Ground,
        declarants: &[Declarant],
        actor: &Declarant,
        slot: u64,
        day: usize,
    ) -> (Declaration, Mark) {
        let at = Place { slot, part: 0, day };
        match ground.role(actor, slot, day, |slot| self.day_of(slot)) {
            Role::New => {
                let affected = ground.affected(actor, slot, day);
                if affected.parts > 1 {
                    self.put_off(ground, actor, at, affected);
                }
                accepted(ground, declarants, actor, at, affected)
            }
            Role::Defective => {
                let declaration = defective(ground, declarants, actor, at);
                let kinds = Kinds::default();
                (declaration, Mark { outcome: Outcome::Rejected, kinds })
            }
            Role::Replay { of, planted } => {
                let kinds =
                    if planted { Kinds::default().with(Kind::Resend) } else { Kinds::default() };
                let declaration = self.again(ground, declarants, actor, of);
                (declaration, Mark { outcome: Outcome::Replayed, kinds })
            }
            Role::Conflict { with } => {
                let mut declaration = self.again(ground, declarants, actor, with);
                let mut random = actor.random(ground.key, Stream::Change, slot);
                change::change(&mut declaration, slot, &mut random);
                let kinds = Kinds::default().with(Kind::Conflict);
                (declaration, Mark { outcome: Outcome::Conflict, kinds })
            }
        }
    }

    /// What was lodged at an earlier slot that was an order, in good order or not.
    fn again(
        &self,
        ground: &Ground,
        declarants: &[Declarant],
        actor: &Declarant,
        slot: u64,
    ) -> Declaration {
        let day = self.day_of(slot);
        let at = Place { slot, part: 0, day };
        match ground.role(actor, slot, day, |slot| self.day_of(slot)) {
            Role::Defective => defective(ground, declarants, actor, at),
            _ => {
                let affected = ground.affected(actor, slot, day);
                accepted(ground, declarants, actor, at, affected).0
            }
        }
    }

    /// Notes the later consignments of a split order: a while later the same day, or the next one.
    fn put_off(&mut self, ground: &Ground, actor: &Declarant, first: Place, affected: Affected) {
        let mut random = actor.random(ground.key, Stream::Split, first.slot);
        let last_day = first.day + 1 >= ground.terms.len();
        for part in 1..affected.parts {
            let at = Place { part, ..first };
            if !last_day && random.percent(NEXT_DAY_PERCENT) {
                self.tomorrow.push((at, affected));
            } else {
                let due = first.slot + random.between(1, 200);
                self.waiting.push_back(Waiting { due, at, affected });
            }
        }
    }
}

fn accepted(
    ground: &Ground,
    declarants: &[Declarant],
    actor: &Declarant,
    at: Place,
    affected: Affected,
) -> (Declaration, Mark) {
    let made = ground.content(declarants, actor, at, affected);
    (made.declaration, Mark { outcome: Outcome::Accepted, kinds: affected.kinds() })
}

/// An honest mistake, for which it is rejected.
fn defective(
    ground: &Ground,
    declarants: &[Declarant],
    actor: &Declarant,
    at: Place,
) -> Declaration {
    let mut made = ground.content(declarants, actor, at, Affected::NONE);
    let mut random = actor.random(ground.key, Stream::Defect, at.slot);
    defect::plant(&mut made, ground.terms(at.day).regime, false, &[], &mut random);
    made.declaration
}
