//! Prices and gifts: value per kilogram (I-08), repeated prices (I-10), gifts (I-25).

use std::collections::BTreeMap;

use super::cast::NOBODY;
use super::figure::Part;
use super::kinds::Kind;
use super::merge::Seen;
use super::tally::{Counts, OfGroup, Sample, Tallies};
use crate::statistics::{median, median_without};
use crate::summary::Role;

/// I-10: a price that so many exporters have.
const PRICE_EXPORTERS_MIN: u32 = 3;
/// I-25: so many gifts of one exporter within the week are a cluster.
const GIFTS_MIN: u64 = 5;
/// I-08: an actor's median counts with so many goods items.
const MEDIAN_LINES_MIN: u64 = 30;
/// I-08: and there is a benchmark with so many of them.
const PEERS_MIN: usize = 3;
/// I-08: below so many robust standard deviations a value is low.
const LOW_BELOW: f64 = -3.0;
/// I-08: so many of them below the actor's own median it is low for the actor, and so many above it high.
const FAR_FROM_ACTOR: f64 = 2.0;
/// Of a normal distribution the standard deviation is so many times the median absolute deviation.
const MAD_TO_SIGMA: f64 = 1.4826;

/// The part of I-10 that says how many exporters have the price.
pub(crate) const PRICE_EXPORTERS: &str = "(exporters)";

/// The part of I-08 for the actor that says how many lines are as far on the other side.
pub(crate) const HIGH_FOR_ACTOR: &str = "(high)";

/// I-10.
#[derive(Debug, Default)]
pub(super) struct Prices {
    of: BTreeMap<u32, OfPrice>,
    lines: BTreeMap<u32, u64>,
    largest: BTreeMap<u32, (u64, OfPrice)>,
}

#[derive(Debug)]
struct OfPrice {
    lines: u64,
    exporters: u32,
    exporter: u64,
    first: Sample,
}

impl Counts for Prices {
    fn row(&mut self, seen: &Seen, _: &mut Tallies) {
        let (first, exporter) = (Sample::of(seen), seen.row.sub);
        for actor in seen.actors.into_iter().filter(|actor| *actor != NOBODY) {
            let new = OfPrice { lines: 0, exporters: 0, exporter: 0, first };
            let of = self.of.entry(actor).or_insert(new);
            of.lines += seen.row.count;
            of.first = of.first.min(first);
            // Rows of one exporter follow on one another; 0 stands for none.
            if exporter > 0 && of.exporter != exporter {
                of.exporters += 1;
                of.exporter = exporter;
            }
        }
    }

    fn end_group(&mut self, price: u64, _: &mut Tallies) {
        for (actor, of) in std::mem::take(&mut self.of) {
            *self.lines.entry(actor).or_default() += of.lines;
            let is_larger = self.largest.get(&actor).is_none_or(|(_, most)| of.lines > most.lines);
            if of.exporters >= PRICE_EXPORTERS_MIN && is_larger {
                self.largest.insert(actor, (price, of));
            }
        }
    }

    fn end(&mut self, to: &mut Tallies) {
        for (actor, lines) in std::mem::take(&mut self.lines) {
            let tally = to.of(actor, Kind::RepeatedPrice);
            tally.denominator = lines;
            if let Some((price, of)) = self.largest.remove(&actor) {
                tally.add(of.lines, &[of.first]);
                tally.parts.push(Part { what: price_name(price), count: of.lines });
                let what = PRICE_EXPORTERS.to_owned();
                tally.parts.push(Part { what, count: of.exporters.into() });
            }
        }
    }
}

/// HS code, currency and amount as one number: 20 bits, 15 bits (5 a letter), 29 bits (up to 5,368,709.11); `None`
/// of what is no price, or more than that.
pub(super) fn price_number(code: u64, currency: &str, hundredths: u64) -> Option<u64> {
    let letters = currency.bytes().fold(0, |number, letter| number << 5 | u64::from(letter & 31));
    let is_currency = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_currency || hundredths == 0 || hundredths >= 1 << 29 {
        return None;
    }
    Some(code << 44 | letters << 29 | hundredths)
}

fn price_name(price: u64) -> String {
    let letter = |shift: u64| char::from(b'A' - 1 + (price >> shift & 31) as u8);
    let currency: String = [39, 34, 29].map(letter).iter().collect();
    let hundredths = price & ((1 << 29) - 1);
    format!("{:06} {currency} {}.{:02}", price >> 44, hundredths / 100, hundredths % 100)
}

/// I-25.
#[derive(Debug, Default)]
pub(super) struct Gifts {
    gifts: u64,
    own: OfGroup,
    /// Those with signs of a company.
    commercial: OfGroup,
}

impl Counts for Gifts {
    fn row(&mut self, seen: &Seen, to: &mut Tallies) {
        self.gifts += seen.row.count;
        if to.is_own(seen) {
            self.own.add(seen);
            if seen.row.amount > 0 {
                self.commercial.add(seen);
            }
        }
    }

    fn end_group(&mut self, exporter: u64, to: &mut Tallies) {
        // 0 stands for no exporter: those have nothing in common.
        let is_cluster = exporter > 0 && self.gifts >= GIFTS_MIN;
        let commercial = self.commercial.take();
        let own: Vec<_> = self.own.take().collect();
        for (actor, count, _) in &own {
            to.of(*actor, Kind::GiftCluster).denominator += count;
        }
        if is_cluster {
            own.into_iter().for_each(|(actor, count, samples)| {
                to.of(actor, Kind::GiftCluster).add(count, &samples);
            });
        } else {
            commercial.for_each(|(actor, count, samples)| {
                to.of(actor, Kind::GiftCluster).add(count, &samples);
            });
        }
        self.gifts = 0;
    }

    fn end(&mut self, _: &mut Tallies) {}
}

/// I-08: the ratios of one HS code over the window, by actor.
#[derive(Debug, Default)]
pub(super) struct Ratios {
    of: BTreeMap<u32, OfCode>,
    /// By actor, those for which it is measured: what tells its value.
    far: BTreeMap<u32, Far>,
}

/// How the lines of an actor's day lie around its own medians.
#[derive(Debug, Default)]
struct Far {
    /// So many high for it.
    high: u64,
    /// How many more would be low than high, were they as the others'.
    expected: f64,
}

#[derive(Debug, Default)]
struct OfCode {
    /// By bucket, how many in the window.
    buckets: BTreeMap<u64, u64>,
    /// And on the day itself, with the first of them.
    own: BTreeMap<u64, (u64, Sample)>,
}

/// What is usual of one actor: the middle of its goods items, and how far they lie from it.
#[derive(Debug, Clone, Copy)]
struct Usual {
    actor: u32,
    role: Role,
    median: f64,
    deviation: f64,
}

impl Counts for Ratios {
    fn row(&mut self, seen: &Seen, to: &mut Tallies) {
        for actor in seen.actors.into_iter().filter(|actor| *actor != NOBODY) {
            let of = self.of.entry(actor).or_default();
            *of.buckets.entry(seen.row.sub).or_default() += seen.row.count;
            if to.is_own(seen) {
                let sample = Sample::of(seen);
                let (count, first) = of.own.entry(seen.row.sub).or_insert((0, sample));
                *count += seen.row.count;
                *first = (*first).min(sample);
            }
        }
    }

    fn end_group(&mut self, _: u64, to: &mut Tallies) {
        let of = std::mem::take(&mut self.of);
        let usual: Vec<Usual> = of.iter().filter_map(|(actor, of)| usual(*actor, of, to)).collect();
        for role in Role::ALL {
            let usual: Vec<Usual> = usual.iter().filter(|of| of.role == role).copied().collect();
            self.low_for_actor(&usual, &of, to);
        }
        for (actor, of) in of.iter().filter(|(_, of)| !of.own.is_empty()) {
            let Some((role, _)) = to.cast.actor(*actor) else { continue };
            let peers = usual.iter().filter(|peer| peer.role == role && peer.actor != *actor);
            let Some((centre, sigma)) = benchmark(peers.copied()) else { continue };
            let tally = to.of(*actor, Kind::LowValuePerKg);
            for (bucket, (count, first)) in &of.own {
                tally.denominator += count;
                if (*bucket as f64 - centre) / sigma < LOW_BELOW {
                    tally.add(*count, &[*first]);
                }
            }
        }
    }

    fn end(&mut self, to: &mut Tallies) {
        for (actor, Far { high, expected }) in std::mem::take(&mut self.far) {
            let tally = to.of(actor, Kind::LowForActor);
            let beyond = tally.numerator as f64 - high as f64 - expected;
            tally.own_value = Some(beyond / tally.denominator as f64);
            tally.parts.push(Part { what: HIGH_FOR_ACTOR.to_owned(), count: high });
        }
    }
}

impl Ratios {
    /// Counts what is low for each of the actors of a role, by how wide the code is among all of them; so an actor's
    /// own level does not show, and what some of its lines lack does. Goods of many kinds under one code, or few fixed
    /// prices, lie wide on both sides: what is high takes as much off.
    fn low_for_actor(&mut self, usual: &[Usual], of: &BTreeMap<u32, OfCode>, to: &mut Tallies) {
        let deviations = usual.iter().map(|each| each.deviation).collect();
        let Some(within) = median(deviations).filter(|_| usual.len() > PEERS_MIN) else { return };
        let width = (MAD_TO_SIGMA * within).max(1.0);
        let distance = |each: &Usual, bucket: u64| (bucket as f64 - each.median) / width;
        let shares: Vec<f64> = usual
            .iter()
            .map(|each| {
                let buckets = of.get(&each.actor).map(|of| of.buckets.iter());
                let (mut low, mut high, mut all) = (0, 0, 0);
                for (bucket, count) in buckets.into_iter().flatten() {
                    let distance = distance(each, *bucket);
                    low += if distance < -FAR_FROM_ACTOR { *count } else { 0 };
                    high += if distance > FAR_FROM_ACTOR { *count } else { 0 };
                    all += count;
                }
                (low as f64 - high as f64) / all as f64
            })
            .collect();
        let mut ordered = shares.clone();
        ordered.sort_unstable_by(f64::total_cmp);
        for (each, share) in usual.iter().zip(shares) {
            let Some(of) = of.get(&each.actor).filter(|of| !of.own.is_empty()) else { continue };
            let tally = to.of(each.actor, Kind::LowForActor);
            let far = self.far.entry(each.actor).or_default();
            let mut lines = 0;
            for (bucket, (count, first)) in &of.own {
                lines += count;
                let distance = distance(each, *bucket);
                if distance < -FAR_FROM_ACTOR {
                    tally.add(*count, &[*first]);
                } else if distance > FAR_FROM_ACTOR {
                    far.high += count;
                }
            }
            tally.denominator += lines;
            far.expected += lines as f64 * median_without(&ordered, share).unwrap_or(0.0);
        }
    }
}

fn usual(actor: u32, of: &OfCode, to: &Tallies) -> Option<Usual> {
    let (role, _) = to.cast.actor(actor)?;
    let lines: u64 = of.buckets.values().sum();
    if lines < MEDIAN_LINES_MIN || to.cast.is_other(actor) {
        return None;
    }
    let median = median_of_counts(of.buckets.iter().map(|(bucket, count)| (*bucket, *count)))?;
    let mut from_it: Vec<_> =
        of.buckets.iter().map(|(bucket, count)| (bucket.abs_diff(median), *count)).collect();
    from_it.sort_unstable();
    let deviation = median_of_counts(from_it.into_iter())? as f64;
    Some(Usual { actor, role, median: median as f64, deviation })
}

/// The lower median of values that ascend, each so many times.
fn median_of_counts(values: impl Iterator<Item = (u64, u64)> + Clone) -> Option<u64> {
    let all: u64 = values.clone().map(|(_, count)| count).sum();
    let mut left = all.div_ceil(2);
    for (value, count) in values {
        if count >= left {
            return Some(value);
        }
        left -= count;
    }
    None
}

/// Centre and standard deviation, in buckets: the median of the peers' medians; and what lies within a peer, by the
/// median of their own deviations, and between them, by that of their medians from the centre. A bucket at least.
fn benchmark(peers: impl Iterator<Item = Usual>) -> Option<(f64, f64)> {
    let peers: Vec<Usual> = peers.collect();
    if peers.len() < PEERS_MIN {
        return None;
    }
    let centre = median(peers.iter().map(|peer| peer.median).collect())?;
    let within = median(peers.iter().map(|peer| peer.deviation).collect())?;
    let between = median(peers.iter().map(|peer| (peer.median - centre).abs()).collect())?;
    let sigma = MAD_TO_SIGMA * (within * within + between * between).sqrt();
    Some((centre, sigma.max(1.0)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_price_comes_back_and_what_is_none_is_none() {
        for (code, currency, hundredths, name) in [
            (610_910, "EUR", 999, "610910 EUR 9.99"),
            (1, "ZAR", 1, "000001 ZAR 0.01"),
            (999_999, "USD", (1 << 29) - 1, "999999 USD 5368709.11"),
        ] {
            let price = price_number(code, currency, hundredths).unwrap();
            assert_eq!(price_name(price), name);
        }
        for (currency, hundredths) in
            [("EUR", 0), ("EUR", 1 << 29), ("EU", 5), ("EUR4", 5), ("eur", 5)]
        {
            assert_eq!(
                price_number(610_910, currency, hundredths),
                None,
                "{currency} {hundredths}"
            );
        }
    }

    #[test]
    fn medians() {
        let of = |values: &[(u64, u64)]| median_of_counts(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(4, 1), (6, 1)]), Some(4));
        assert_eq!(of(&[(4, 1), (6, 2)]), Some(6));
        assert_eq!(of(&[(4, 5), (6, 1), (9, 3)]), Some(4));
    }
}
