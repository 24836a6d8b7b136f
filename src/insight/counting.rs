//! From the rows of a table to the figures of a day: codes, importers, addresses, splits, documents, descriptions.

use std::collections::BTreeMap;

use super::cast::NOBODY;
use super::figure::Part;
use super::kinds::Kind;
use super::merge::Seen;
use super::tally::{Counts, Largest, OfGroup, Tallies};

/// I-16: none of the consignments is above this alone, and all are together. EUR 150 (Art. 23 of Regulation
/// (EC) 1186/2009; Art. 143a UCC-DA).
const SPLIT_ABOVE_CENTS: u64 = 15_000;
/// I-17: who receives so many within the week may be reselling.
const RECEIVED_MIN: u64 = 10;
/// I-26: an address with so many names on one day is a crowded one.
const NAMES_AT_ADDRESS_MIN: u32 = 10;

/// I-15.
#[derive(Debug, Default)]
pub(super) struct Goods {
    code: OfGroup,
    of: BTreeMap<u32, (u64, Largest)>,
}

impl Counts for Goods {
    fn row(&mut self, seen: &Seen, _: &mut Tallies) {
        self.code.add(seen);
    }

    fn end_group(&mut self, code: u64, _: &mut Tallies) {
        for (actor, lines, samples) in self.code.take() {
            let (all, largest) = self.of.entry(actor).or_default();
            *all += lines;
            largest.offer(3, lines, code, &samples);
        }
    }

    fn end(&mut self, to: &mut Tallies) {
        for (actor, (all, largest)) in std::mem::take(&mut self.of) {
            for (kind, codes) in [(Kind::TopHs6, 1), (Kind::Top3Hs6, 3)] {
                let tally = to.of(actor, kind);
                tally.denominator = all;
                for (lines, code, sample) in largest.groups.iter().take(codes) {
                    tally.add(*lines, &[*sample]);
                    tally.parts.push(Part { what: format!("{code:06}"), count: *lines });
                }
            }
        }
    }
}

/// I-26 of the day, I-17 of the week, and how many consignments there are.
#[derive(Debug, Default)]
pub(super) struct Importers {
    importer: OfGroup,
    week: u64,
    of: BTreeMap<u32, Named>,
}

#[derive(Debug, Default)]
struct Named {
    consignments: u64,
    squares: u64,
    largest: Largest,
}

impl Counts for Importers {
    fn row(&mut self, seen: &Seen, to: &mut Tallies) {
        self.week += seen.row.count;
        if to.is_own(seen) {
            self.importer.add(seen);
        }
    }

    fn end_group(&mut self, importer: u64, to: &mut Tallies) {
        let is_repeat = std::mem::take(&mut self.week) >= RECEIVED_MIN;
        for (actor, count, samples) in self.importer.take() {
            *to.consignments.entry(actor).or_default() += count;
            if importer > 0 {
                let named = self.of.entry(actor).or_default();
                named.consignments += count;
                // 4 billion consignments of a day squared are below 2^64.
                named.squares = named.squares.saturating_add(count.saturating_mul(count));
                named.largest.offer(1, count, importer, &samples);
                let tally = to.of(actor, Kind::RepeatConsignee);
                tally.denominator += count;
                if is_repeat {
                    tally.add(count, &samples);
                }
            }
        }
    }

    fn end(&mut self, to: &mut Tallies) {
        for (actor, named) in std::mem::take(&mut self.of) {
            let tally = to.of(actor, Kind::ImporterConcentration);
            tally.numerator = named.squares;
            tally.denominator = named.consignments.saturating_mul(named.consignments);
            let tally = to.of(actor, Kind::TopImporter);
            tally.denominator = named.consignments;
            for (count, _, sample) in &named.largest.groups {
                tally.add(*count, &[*sample]);
            }
        }
        let all: Vec<_> = to.consignments.iter().map(|(actor, all)| (*actor, *all)).collect();
        for (actor, all) in all {
            to.of(actor, Kind::Split).denominator = all;
        }
    }
}

/// I-26: repeated addresses with many names.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    address: OfGroup,
    names: u32,
    name: Option<u64>,
}

impl Counts for Addresses {
    fn row(&mut self, seen: &Seen, _: &mut Tallies) {
        self.address.add(seen);
        // 0 stands for no name.
        if seen.row.sub > 0 && self.name != Some(seen.row.sub) {
            self.names += 1;
            self.name = Some(seen.row.sub);
        }
    }

    fn end_group(&mut self, _: u64, to: &mut Tallies) {
        let is_crowded = self.names >= NAMES_AT_ADDRESS_MIN;
        for (actor, count, samples) in self.address.take() {
            let tally = to.of(actor, Kind::CrowdedAddress);
            tally.denominator += count;
            if is_crowded {
                tally.add(count, &samples);
            }
        }
        (self.names, self.name) = (0, None);
    }

    fn end(&mut self, _: &mut Tallies) {}
}

/// I-16. Denominators are those of [`Importers`].
#[derive(Debug, Default)]
pub(super) struct Splits {
    own: OfGroup,
    consignments: u64,
    cents: u64,
    cents_max: u64,
}

impl Counts for Splits {
    fn row(&mut self, seen: &Seen, to: &mut Tallies) {
        self.consignments += seen.row.count;
        self.cents = self.cents.saturating_add(seen.row.amount);
        self.cents_max = self.cents_max.max(seen.row.amount);
        if to.is_own(seen) {
            self.own.add(seen);
        }
    }

    fn end_group(&mut self, _: u64, to: &mut Tallies) {
        let own = self.own.take();
        let is_split = self.consignments > 1
            && self.cents_max <= SPLIT_ABOVE_CENTS
            && self.cents > SPLIT_ABOVE_CENTS;
        if is_split {
            for (actor, count, samples) in own {
                to.of(actor, Kind::Split).add(count, &samples);
            }
        }
        (self.consignments, self.cents, self.cents_max) = (0, 0, 0);
    }

    fn end(&mut self, _: &mut Tallies) {}
}

/// Transport documents that were declared before.
#[derive(Debug, Default)]
pub(super) struct Documents {
    again: OfGroup,
    is_known: bool,
}

impl Counts for Documents {
    fn row(&mut self, seen: &Seen, to: &mut Tallies) {
        if to.is_own(seen) {
            for actor in seen.actors.into_iter().filter(|actor| *actor != NOBODY) {
                to.of(actor, Kind::DuplicateDocument).denominator += 1;
            }
            if self.is_known {
                self.again.add(seen);
            }
        }
        self.is_known = true;
    }

    fn end_group(&mut self, _: u64, to: &mut Tallies) {
        for (actor, count, samples) in self.again.take() {
            to.of(actor, Kind::DuplicateDocument).add(count, &samples);
        }
        self.is_known = false;
    }

    fn end(&mut self, _: &mut Tallies) {}
}

/// I-12: descriptions that join goods.
#[derive(Debug, Default)]
pub(super) struct Descriptions {
    of_kind: OfGroup,
}

impl Counts for Descriptions {
    fn row(&mut self, seen: &Seen, _: &mut Tallies) {
        self.of_kind.add(seen);
    }

    fn end_group(&mut self, kind: u64, to: &mut Tallies) {
        for (actor, lines, samples) in self.of_kind.take() {
            let tally = to.of(actor, Kind::JoinedGoods);
            tally.denominator += lines;
            if kind > 0 {
                tally.add(lines, &samples);
            }
        }
    }

    fn end(&mut self, _: &mut Tallies) {}
}
