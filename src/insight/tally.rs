//! What is counted of a day, by actor and indicator, while its figures are made.

use std::collections::BTreeMap;

use super::cast::{Cast, NOBODY};
use super::figure::{EXAMPLES_MAX, Example, Figure, Part};
use super::kinds::Kind;
use super::merge::Seen;
use crate::day::Day;
use crate::id::Ordinal;
use crate::summary::{ActorId, Role};

/// Counts what the rows of one table say. Rows come by group and sub; those of one group after another.
pub(super) trait Counts {
    /// Takes the next row.
    fn row(&mut self, seen: &Seen, to: &mut Tallies);

    /// After the last row of `group`.
    fn end_group(&mut self, group: u64, to: &mut Tallies);

    /// After the last group.
    fn end(&mut self, to: &mut Tallies);
}

/// A declaration that may become an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sample {
    pub(super) ordinal: u64,
    pub(super) declarant: u32,
}

impl Sample {
    pub(super) fn of(seen: &Seen) -> Self {
        let [declarant, ..] = seen.actors;
        Self { ordinal: seen.row.ordinal, declarant }
    }
}

/// One indicator of one actor.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) numerator: u64,
    pub(super) denominator: u64,
    pub(super) own_value: Option<f64>,
    pub(super) parts: Vec<Part>,
    examples: Vec<(Sample, u32)>,
    groups: u32,
}

impl Tally {
    /// Adds so many of a group to the numerator, with some of them as examples.
    pub(super) fn add(&mut self, count: u64, samples: &[Sample]) {
        self.numerator += count;
        self.groups = self.groups.saturating_add(1);
        let room = EXAMPLES_MAX - self.examples.len();
        self.examples.extend(samples.iter().take(room).map(|sample| (*sample, self.groups)));
    }
}

/// All that is counted of a day.
#[derive(Debug)]
pub(super) struct Tallies {
    pub(super) day: Day,
    pub(super) cast: Cast,
    /// Days on which anyone declared, of those that the day looks at.
    pub(super) days: Vec<Day>,
    of: BTreeMap<(u32, Kind), Tally>,
    /// Accepted consignments of each actor.
    pub(super) consignments: BTreeMap<u32, u64>,
}

impl Tallies {
    pub(super) fn new(day: Day, cast: Cast, days: Vec<Day>) -> Self {
        Self { day, cast, days, of: BTreeMap::new(), consignments: BTreeMap::new() }
    }

    pub(super) fn is_own(&self, seen: &Seen) -> bool {
        seen.day == self.day
    }

    pub(super) fn of(&mut self, actor: u32, kind: Kind) -> &mut Tally {
        self.of.entry((actor, kind)).or_default()
    }

    /// The figures by role and id; those without a denominator are none.
    pub(super) fn figures(self) -> BTreeMap<(Role, ActorId), Vec<Figure>> {
        let Self { cast, of, .. } = self;
        let mut figures: BTreeMap<_, Vec<Figure>> = BTreeMap::new();
        for kind in Kind::all() {
            for ((number, _), tally) in of.iter().filter(|((_, of), _)| *of == kind) {
                let Some(actor) = cast.actor(*number) else { continue };
                if tally.denominator > 0 {
                    figures.entry(actor).or_default().push(figure(&cast, kind, tally));
                }
            }
        }
        figures
    }
}

fn figure(cast: &Cast, kind: Kind, tally: &Tally) -> Figure {
    let example = |(sample, group): &(Sample, u32)| {
        let (_, declarant) = cast.actor(sample.declarant)?;
        Some(Example { ordinal: Ordinal(sample.ordinal), declarant, group: *group })
    };
    Figure {
        kind,
        numerator: tally.numerator,
        denominator: tally.denominator,
        own_value: tally.own_value,
        parts: tally.parts.clone(),
        examples: tally.examples.iter().filter_map(example).collect(),
    }
}

/// Of one group: how many each actor has, and the first declarations of them.
#[derive(Debug, Default)]
pub(super) struct OfGroup {
    of: BTreeMap<u32, (u64, Vec<Sample>)>,
}

impl OfGroup {
    /// Counts a row for each of its actors.
    pub(super) fn add(&mut self, seen: &Seen) {
        for actor in seen.actors.into_iter().filter(|actor| *actor != NOBODY) {
            let (count, samples) = self.of.entry(actor).or_default();
            *count += seen.row.count;
            if samples.len() < EXAMPLES_MAX {
                samples.push(Sample::of(seen));
            }
        }
    }

    /// Takes all out: actor, how many, and the first of them, the earliest first.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (u32, u64, Vec<Sample>)> + use<> {
        std::mem::take(&mut self.of).into_iter().map(|(actor, (count, mut samples))| {
            samples.sort_unstable();
            (actor, count, samples)
        })
    }
}

/// The largest groups of an actor.
#[derive(Debug, Default)]
pub(super) struct Largest {
    /// Count, group and its first declaration, the largest first.
    pub(super) groups: Vec<(u64, u64, Sample)>,
}

impl Largest {
    /// Keeps the `most` largest; of equal ones those with the lower group.
    pub(super) fn offer(&mut self, most: usize, count: u64, group: u64, samples: &[Sample]) {
        let Some(first) = samples.first() else { return };
        let place = self.groups.partition_point(|(other, of, _)| (*other, group) >= (count, *of));
        if place < most {
            self.groups.insert(place, (count, group, *first));
            self.groups.truncate(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_and_of_equal_ones_the_lower_group() {
        let sample = [Sample { ordinal: 7, declarant: 1 }];
        let mut largest = Largest::default();
        for (count, group) in [(2, 5), (9, 8), (2, 3), (1, 1), (9, 2), (2, 4)] {
            largest.offer(4, count, group, &sample);
        }
        let kept: Vec<_> =
            largest.groups.iter().map(|(count, group, _)| (*count, *group)).collect();
        assert_eq!(kept, [(9, 2), (9, 8), (2, 3), (2, 4)]);
    }

    #[test]
    fn examples_stop_at_their_bound_and_counts_do_not() {
        let samples: Vec<_> = (0..15).map(|ordinal| Sample { ordinal, declarant: 0 }).collect();
        let mut tally = Tally::default();
        tally.add(15, &samples);
        tally.add(15, &samples);
        tally.add(1, &samples);
        assert_eq!((tally.numerator, tally.groups), (31, 3));
        let groups: Vec<_> = tally.examples.iter().map(|(_, group)| *group).collect();
        assert_eq!(groups, [[1; 15].as_slice(), &[2; 5]].concat());
    }
}
