//! Which part each position of an actor plays: a first declaration, a correction, a replay, a
//! conflict. A pure function of (seed, actor, position), so that a billion lines need no memory.
//!
//! A position refers back only within its own batch, or to a batch at least [`BATCHES_APART`]
//! before it. So a client may have that many batches of an actor under way at once, answered in
//! any order, and the known answers still hold.

use super::actor::Actor;
use super::declaration::{Purpose, Run};
use super::random::Random;

/// How many batches lie between a declaration and one that refers to it, unless both stand in the
/// same batch.
pub const BATCHES_APART: u64 = 4;

/// What share of declarations plays which part, in 2^-32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    pub(crate) replays: u64,
    pub(crate) conflicts: u64,
    pub(crate) invalid: u64,
}

/// What a position was drawn to be, before it is known whether there is anything to refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawn {
    Valid,
    Defective { in_lrn: bool },
    Replay,
    Conflict,
}

/// What a position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A new LRN, in good order.
    First,
    /// A new LRN with one defect or two; `in_lrn`: the LRN itself is at fault.
    Defective { in_lrn: bool },
    /// The LRN of a rejected declaration, its defect put right; or, `still_wrong`, with another.
    Correction { of: u64, still_wrong: bool },
    /// What was sent before, again.
    Replay { of: u64 },
    /// The LRN of an accepted declaration with other content, which may have a defect too.
    Conflict { with: u64, defective: bool },
}

/// How often a position looks for something to refer to before it gives up and is a first one.
const TRIES: u32 = 12;

/// The parts of one run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) shares: Shares,
}

impl Plan {
    fn draw(&self, run: &Run, actor: &Actor, position: u64) -> (Drawn, Random) {
        let mut random = run.random(Purpose::Role, actor, position);
        let Shares { replays, conflicts, invalid } = self.shares;
        let at = random.next() >> 32;
        let drawn = match at {
            at if at < replays => Drawn::Replay,
            at if at < replays + conflicts => Drawn::Conflict,
            at if at < replays + conflicts + invalid => {
                Drawn::Defective { in_lrn: random.percent(5) }
            }
            _ => Drawn::Valid,
        };
        (drawn, random)
    }

    /// The part of the declaration of `actor` at `position`.
    pub(crate) fn part(&self, run: &Run, actor: &Actor, position: u64) -> Part {
        let (drawn, mut random) = self.draw(run, actor, position);
        match drawn {
            Drawn::Defective { in_lrn } => Part::Defective { in_lrn },
            Drawn::Valid => self.correction(run, actor, position, &mut random),
            Drawn::Replay => {
                for _ in 0..TRIES {
                    if let Some(of) = earlier(actor, position, &mut random)
                        && self.draw(run, actor, of).0 != Drawn::Replay
                    {
                        return Part::Replay { of };
                    }
                }
                Part::First
            }
            Drawn::Conflict => {
                for _ in 0..TRIES {
                    if let Some(with) = earlier(actor, position, &mut random)
                        && self.is_accepted(run, actor, with)
                    {
                        return Part::Conflict { with, defective: random.percent(15) };
                    }
                }
                Part::First
            }
        }
    }

    /// A position drawn to be valid, which corrects the one a fixed way before it where that was
    /// defective: fixed, so that no two positions correct the same one.
    fn correction(&self, run: &Run, actor: &Actor, position: u64, random: &mut Random) -> Part {
        let distance = actor.batch * BATCHES_APART + u64::from(actor.index) % actor.batch;
        let Some(of) = position.checked_sub(distance) else {
            return Part::First;
        };
        match self.draw(run, actor, of).0 {
            Drawn::Defective { in_lrn: false } if random.percent(60) => {
                Part::Correction { of, still_wrong: random.percent(20) }
            }
            _ => Part::First,
        }
    }

    /// Whether `position` is one whose declaration gets an MRN, and was drawn to be so.
    fn is_accepted(&self, run: &Run, actor: &Actor, position: u64) -> bool {
        let (drawn, mut random) = self.draw(run, actor, position);
        drawn == Drawn::Valid
            && !matches!(
                self.correction(run, actor, position, &mut random),
                Part::Correction { still_wrong: true, .. }
            )
    }
}

/// An earlier position that `position` may refer to: in its own batch, in one of the last that are
/// far enough away, or anywhere before.
fn earlier(actor: &Actor, position: u64, random: &mut Random) -> Option<u64> {
    let batch_start = position / actor.batch * actor.batch;
    let far_end = batch_start.saturating_sub((BATCHES_APART - 1) * actor.batch);
    let (from, to) = match random.below(10) {
        0..3 => (batch_start, position),
        3..6 => (far_end.saturating_sub(3 * actor.batch), far_end),
        _ => (0, far_end),
    };
    (from < to).then(|| random.between(from, to - 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn what_is_referred_to_is_in_the_same_batch_or_far_enough_away() {
        let actor = Actor::all(1, 1_000_000, 10).remove(0);
        let mut random = Random::keyed(&[9]);
        let mut same = 0;
        for position in 0..5_000 {
            if let Some(of) = earlier(&actor, position, &mut random) {
                assert!(of < position);
                let apart = position / actor.batch - of / actor.batch;
                assert!(apart == 0 || apart >= BATCHES_APART, "{of} and {position}");
                same += u64::from(apart == 0);
            }
        }
        assert!(same > 1_000, "{same}");
    }
}
