//! The number in an LRN: it grows with a declarant's orders, and says nothing of whether a declaration
//! is one of several consignments of an order.

use super::Stream;
use super::content::{Ground, PARTS_MAX, Place};
use super::declarant::Declarant;
use crate::generate::random::Random;

/// Numbers that are shuffled with one another: those of 256 orders. A square, for the two halves.
const BLOCK: u64 = 1_024;
const HALF: u64 = 32;
const _: () = assert!(HALF * HALF == BLOCK && BLOCK.is_multiple_of(PARTS_MAX));

/// After three rounds every bit rests on every other.
const ROUNDS: u64 = 4;

impl Ground {
    /// A number of its own among all of the declarant: four rounds of a Feistel network within the
    /// block, which is a bijection whatever the rounds draw.
    pub(super) fn lrn_number(&self, actor: &Declarant, at: Place) -> u64 {
        let (block, place) = (at.number() / BLOCK, at.number() % BLOCK);
        let key = actor.random(self.key, Stream::Lrn, block).next();
        let (mut left, mut right) = (place / HALF, place % HALF);
        for round in 0..ROUNDS {
            let draw = Random::keyed(&[key, round, right]).below(HALF);
            (left, right) = (right, left ^ draw);
        }
        block * BLOCK + left * HALF + right
    }
}
