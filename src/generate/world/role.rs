//! What each slot of a declarant is: an order, one with a defect, a replay or a conflict. A pure
//! function of key, declarant and slot.
//!
//! What refers back refers within its own batch or at least [`BATCHES_APART`] batches back, and to
//! the last four days or so: so that batches may be under way at once, and a replay is one in life.

use super::Stream;
use super::content::Ground;
use super::declarant::Declarant;
use super::kind::Kind;
use crate::generate::plan::BATCHES_APART;
use crate::generate::random::Random;

/// What a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An order in good order.
    New,
    /// With a defect, and rejected.
    Defective,
    /// The declaration at that slot again; `planted`, or one that an honest sender would repeat.
    Replay { of: u64, planted: bool },
    /// The LRN of the one at that slot with other content.
    Conflict { with: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawn {
    New,
    Defective,
    Replay { planted: bool },
    Conflict,
}

/// How often a slot looks for something to refer to before it is an order itself.
const TRIES: u32 = 12;
/// How many batches back the oldest one referred to is: some four days of a dozen.
const BATCHES_BACK: u64 = 50;

impl Ground {
    fn drawn(&self, actor: &Declarant, slot: u64, day: usize) -> (Drawn, Random) {
        let mut random = actor.random(self.key, Stream::Role, slot);
        let mut draw = random.next() >> 32;
        let mut falls = |share: u64| {
            let within = draw < share;
            draw = if within { u64::MAX } else { draw - share };
            within
        };
        let on = self.day(day);
        let drawn = if falls(actor.strength(Kind::Resend, on)) {
            Drawn::Replay { planted: true }
        } else if falls(actor.strength(Kind::Conflict, on)) {
            Drawn::Conflict
        } else if falls(actor.habits.replay) {
            Drawn::Replay { planted: false }
        } else if falls(actor.habits.invalid) {
            Drawn::Defective
        } else {
            Drawn::New
        };
        (drawn, random)
    }

    /// What the slot is. `day_of` tells on which day an earlier one came.
    pub(super) fn role(
        &self,
        actor: &Declarant,
        slot: u64,
        day: usize,
        day_of: impl Fn(u64) -> usize,
    ) -> Role {
        let (drawn, mut random) = self.drawn(actor, slot, day);
        match drawn {
            Drawn::New => return Role::New,
            Drawn::Defective => return Role::Defective,
            Drawn::Replay { .. } | Drawn::Conflict => {}
        }
        for _ in 0..TRIES {
            let Some(of) = earlier(actor, slot, &mut random) else { continue };
            match (drawn, self.drawn(actor, of, day_of(of)).0) {
                (Drawn::Replay { planted }, Drawn::New | Drawn::Defective) => {
                    return Role::Replay { of, planted };
                }
                (Drawn::Conflict, Drawn::New) => return Role::Conflict { with: of },
                _ => {}
            }
        }
        Role::New
    }
}

/// A slot before `slot` that it may refer to.
fn earlier(actor: &Declarant, slot: u64, random: &mut Random) -> Option<u64> {
    let start = slot / actor.batch * actor.batch;
    let end = start.saturating_sub((BATCHES_APART - 1) * actor.batch);
    let (from, to) = if end == 0 || random.percent(20) {
        (start, slot)
    } else {
        (end.saturating_sub(BATCHES_BACK * actor.batch), end)
    };
    (from < to).then(|| random.between(from, to - 1))
}
