//! In which ways each order of a misbehaving declarant is affected: a pure function of key,
//! declarant and slot, like all else.

use super::Stream;
use super::content::Ground;
use super::declarant::Declarant;
use super::kind::{Kind, Kinds};
use super::number::happens;

/// In which ways a declaration is affected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Affected {
    /// Of [`super::kind::Group::Shape`].
    pub(super) shape: Option<Kind>,
    /// Of [`super::kind::Group::Text`].
    pub(super) text: Option<Kind>,
    /// The IOSS number is another's.
    pub(super) borrow: bool,
    /// Consignments of the order.
    pub(super) parts: u64,
}

impl Affected {
    /// Not at all.
    pub(super) const NONE: Self = Self { shape: None, text: None, borrow: false, parts: 1 };

    /// The kinds.
    pub(super) fn kinds(self) -> Kinds {
        let borrow = self.borrow.then_some(Kind::Borrow);
        [self.shape, self.text, borrow].into_iter().flatten().fold(Kinds::default(), Kinds::with)
    }
}

const ONE: u64 = 1 << 32;
const SHAPES: [Kind; 5] = [Kind::Undervalue, Kind::Bunch, Kind::Gifts, Kind::Repeat, Kind::Nominal];
const TEXTS: [Kind; 3] = [Kind::Vague, Kind::Misclassify, Kind::Merge];

/// Which of `kinds` a draw falls on, each as likely as `strength` says, in 2^-32.
fn one_of(kinds: &[Kind], mut draw: u64, strength: impl Fn(Kind) -> u64) -> Option<Kind> {
    for &kind in kinds {
        let strength = strength(kind);
        if draw < strength {
            return Some(kind);
        }
        draw -= strength;
    }
    None
}

/// Which share of orders is to be split so that `split` of consignments are parts of one. An order
/// that is split makes 9/4 consignments on average: of h orders among 1 these are h * 9/4 of
/// 1 + h * 5/4, so that h = 4 split / (9 - 5 split).
fn heads(split: u64) -> u64 {
    let share = (u128::from(split) << 34) / u128::from(9 * ONE - 5 * split.min(ONE));
    u64::try_from(share).unwrap_or(ONE)
}

impl Ground {
    /// In which ways the order at `slot` is affected.
    pub(super) fn affected(&self, actor: &Declarant, slot: u64, day: usize) -> Affected {
        if actor.planted.is_empty() {
            return Affected::NONE;
        }
        let on = self.day(day);
        let mut random = actor.random(self.key, Stream::Affected, slot);
        let draw = random.next() >> 32;
        let heads = heads(actor.strength(Kind::Split, on));
        let (shape, parts) = if draw < heads {
            (Some(Kind::Split), if random.percent(25) { 3 } else { 2 })
        } else {
            // Other kinds are a share of consignments, of which there are more than orders.
            let of_orders = |kind| {
                let strength = actor.strength(kind, on);
                strength + ((strength * (heads / 4 * 5 / 16)) >> 28)
            };
            (one_of(&SHAPES, draw - heads, of_orders), 1)
        };
        let text = one_of(&TEXTS, random.next() >> 32, |kind| actor.strength(kind, on));
        let borrow = happens(actor.strength(Kind::Borrow, on), &mut random)
            && shape != Some(Kind::Gifts)
            && !actor.borrowed.is_empty();
        Affected { shape, text, borrow, parts }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn heads_of_split_orders_make_the_share_of_consignments() {
        for split in [0.0_f64, 0.1, 0.5, 1.0] {
            let h = heads((split * 4_294_967_296.0) as u64) as f64 / 4_294_967_296.0;
            assert!((h * 2.25 / (1.0 + h * 1.25) - split).abs() < 1e-6, "{split} {h}");
        }
    }
}
