//! A row of a table: so many declarations, or goods items, of one lodger that have a key in common.
//!
//! In a block rows stand one after another, each as six numbers in base 128 (as in protobuf): group, as
//! the difference to the row before (in a block's first row, to 0); sub, as that too where the group is the
//! same; who; ordinal; count; amount. Rows of a run ascend.

use prost::encoding::{decode_varint, encode_varint};

/// What is counted of declarations with one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Row {
    /// What they have in common, as the table says.
    pub(super) group: u64,
    /// And beyond that.
    pub(super) sub: u64,
    /// Whose: a number of the file's own list of lodgers.
    pub(super) who: u32,
    /// Of the first of them.
    pub(super) ordinal: u64,
    /// How many.
    pub(super) count: u64,
    /// Euro cents, where the table has any.
    pub(super) amount: u64,
}

impl Row {
    /// What makes it one with others of the same file.
    pub(super) fn key(&self) -> (u64, u64, u32) {
        (self.group, self.sub, self.who)
    }

    /// Takes one of the same key that comes after it.
    pub(super) fn add(&mut self, later: &Self) {
        self.count = self.count.saturating_add(later.count);
        self.amount = self.amount.saturating_add(later.amount);
    }

    /// Appends it to a block in which `before` came last.
    pub(super) fn encode(&self, before: Option<&Self>, to: &mut Vec<u8>) {
        let (group, sub) = before.map_or((0, 0), |before| (before.group, before.sub));
        let is_same = before.is_some() && group == self.group;
        encode_varint(self.group.wrapping_sub(group), to);
        encode_varint(if is_same { self.sub.wrapping_sub(sub) } else { self.sub }, to);
        for number in [u64::from(self.who), self.ordinal, self.count, self.amount] {
            encode_varint(number, to);
        }
    }

    /// Takes the next row of a block; `None` where it is malformed.
    pub(super) fn decode(before: Option<&Self>, from: &mut &[u8]) -> Option<Self> {
        let mut number = || decode_varint(from).ok();
        let (delta, sub) = (number()?, number()?);
        let group = before.map_or(0, |before| before.group).wrapping_add(delta);
        let same = before.filter(|before| before.group == group);
        let sub = same.map_or(0, |same| same.sub).wrapping_add(sub);
        let who = u32::try_from(number()?).ok()?;
        Some(Self { group, sub, who, ordinal: number()?, count: number()?, amount: number()? })
    }
}

/// Puts rows in order and makes one of those with the same key.
pub(super) fn put_in_order(rows: &mut Vec<Row>) {
    rows.sort_unstable();
    rows.dedup_by(|row, kept| {
        let is_same = row.key() == kept.key();
        if is_same {
            // The kept one comes first, and with it the least ordinal.
            kept.add(row);
        }
        is_same
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn row() -> impl Strategy<Value = Row> {
        let small = prop_oneof![0..4_u64, any::<u64>()];
        (small.clone(), small, 0..3_u32, any::<u64>(), 1..9_u64, any::<u32>()).prop_map(
            |(group, sub, who, ordinal, count, amount)| Row {
                group,
                sub,
                who,
                ordinal,
                count,
                amount: amount.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn rows_in_order_come_back_and_sums_stay(rows in proptest::collection::vec(row(), 0..60)) {
            let mut ordered = rows.clone();
            put_in_order(&mut ordered);
            prop_assert!(ordered.is_sorted_by(|a, b| a.key() < b.key()));
            let total = |rows: &[Row]| rows.iter().map(|r| (r.count, r.amount)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
            prop_assert_eq!(total(&rows), total(&ordered));
            for row in &ordered {
                let same = rows.iter().filter(|other| other.key() == row.key());
                prop_assert_eq!(same.map(|other| other.ordinal).min(), Some(row.ordinal));
            }

            let (mut block, mut before) = (Vec::new(), None);
            for row in &ordered {
                row.encode(before, &mut block);
                before = Some(row);
            }
            let (mut rest, mut read) = (block.as_slice(), Vec::<Row>::new());
            while !rest.is_empty() {
                read.push(Row::decode(read.last(), &mut rest).unwrap());
            }
            prop_assert_eq!(read, ordered);
            for end in 0..block.len() {
                // What is cut short is malformed, or shorter: never a panic.
                let mut rest = &block[..end];
                while !rest.is_empty() && Row::decode(None, &mut rest).is_some() {}
            }
        }
    }
}
