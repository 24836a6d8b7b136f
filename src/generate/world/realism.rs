//! What each kind of misbehaviour looks like to who does not know: as much of it as was planted, and
//! little where none was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::cmp::Reverse;
use std::collections::HashMap;

use super::tests::options;
use super::*;
use crate::generate::goods::VAGUE;
use crate::proto::v1::{self, Declaration};

/// What an actor's declarations, in their order, look like to who does not know.
struct Seen {
    declarations: Vec<(Day, Declaration, Mark)>,
    numbers: Vec<String>,
}

fn cents(declaration: &Declaration, on: Day) -> u64 {
    let items = declaration.goods_items.iter();
    items
        .filter_map(|item| item.intrinsic_value.as_ref())
        .map(|value| Terms::on(on).eur_cents(value.hundredths, &value.currency))
        .sum()
}

fn parties(declaration: &Declaration) -> String {
    format!("{:?}{:?}", declaration.exporter, declaration.importer)
}

impl Seen {
    fn of(options: &WorldOptions) -> Vec<Self> {
        let world = World::new(options).unwrap();
        let mut all: Vec<Self> = world
            .declarants
            .iter()
            .map(|each| Self {
                declarations: Vec::new(),
                numbers: std::iter::once(each.index)
                    .chain(each.contracts.iter().copied())
                    .flat_map(|index| world.declarants[index as usize].numbers.clone())
                    .collect(),
            })
            .collect();
        for batch in world {
            let declarations = batch.request.declarations.into_iter().zip(batch.marks);
            all[batch.actor as usize]
                .declarations
                .extend(declarations.map(|(declaration, mark)| (batch.day, declaration, mark)));
        }
        all
    }

    fn accepted(&self) -> impl Iterator<Item = (Day, &Declaration)> {
        self.declarations
            .iter()
            .filter(|(.., mark)| mark.outcome == Outcome::Accepted)
            .map(|(day, declaration, _)| (*day, declaration))
    }

    /// How many of how many show the kind.
    fn shows(&self, kind: Kind) -> (usize, usize) {
        let all = self.accepted().count();
        let count = |test: &dyn Fn(Day, &Declaration) -> bool| {
            (self.accepted().filter(|(day, each)| test(*day, each)).count(), all)
        };
        let descriptions = |each: &Declaration, test: fn(&str) -> bool| {
            each.goods_items.iter().all(|item| test(&item.description))
        };
        match kind {
            // A factor of 0.15 to 0.5 and a deviation of a factor of 1.5: told by its twin instead.
            Kind::Undervalue => (0, all),
            Kind::Bunch => count(&|day, each| (14_501..=15_000).contains(&cents(each, day))),
            Kind::Split => self.split(),
            Kind::Borrow => count(&|_, each| {
                !each.ioss_number.is_empty() && !self.numbers.contains(&each.ioss_number)
            }),
            Kind::Vague => count(&|_, each| descriptions(each, |text| VAGUE.contains(&text))),
            Kind::Misclassify => count(&|_, each| {
                let fits = |item: &v1::GoodsItem| {
                    let goods = crate::generate::goods::PRODUCTS.iter();
                    let named = |text: &str| item.description.starts_with(text);
                    let mut goods = goods.filter(|goods| named(goods.description));
                    VAGUE.contains(&item.description.as_str())
                        || goods.any(|goods| goods.hs6[..2] == item.hs6[..2])
                };
                !each.goods_items.iter().any(fits)
            }),
            Kind::Merge => count(&|_, each| {
                each.goods_items.len() == 1
                    && each.goods_items[0].description.contains(" and ")
                    && !each.goods_items[0].description.ends_with(" and pouch")
            }),
            Kind::Gifts => count(&|_, each| {
                let name = &each.exporter.as_ref().unwrap().name;
                each.goods_items[0].additional_procedures == ["C08"]
                    && ["Ltd", "Limited", "Inc", "KK", "A.Ş."].iter().any(|end| name.ends_with(end))
            }),
            Kind::Resend | Kind::Conflict => (
                self.declarations
                    .iter()
                    .filter(|(.., mark)| {
                        let outcome = [Outcome::Replayed, Outcome::Conflict];
                        mark.outcome == outcome[usize::from(kind == Kind::Conflict)]
                    })
                    .count(),
                self.declarations.len(),
            ),
            Kind::Repeat => {
                let mut prices: HashMap<(&str, u64, &str), usize> = HashMap::new();
                for (_, each) in self.accepted() {
                    let item = &each.goods_items[0];
                    let value = item.intrinsic_value.as_ref().unwrap();
                    let price = (item.hs6.as_str(), value.hundredths, value.currency.as_str());
                    *prices.entry(price).or_default() += 1;
                }
                (prices.into_values().max().unwrap_or(0), all)
            }
            Kind::Nominal => count(&|day, each| {
                each.goods_items.iter().all(|item| {
                    let value = item.intrinsic_value.as_ref().unwrap();
                    Terms::on(day).eur_cents(value.hundredths, &value.currency) <= 92
                })
            }),
        }
    }

    /// Consignments at EUR 145.01 to 150, against a quarter of those at EUR 125.01 to 145.
    fn bunching(&self) -> f64 {
        let within = |low, high| {
            let values = self.accepted().map(|(day, each)| cents(each, day));
            values.filter(|cents| (low..=high).contains(cents)).count() as f64
        };
        within(14_501, 15_000) / (within(12_501, 14_500) / 4.0)
    }

    /// HS code and logarithm of the value per weight of each line.
    fn per_kilogram(&self) -> impl Iterator<Item = (&str, f64)> {
        self.accepted().flat_map(|(day, each)| {
            each.goods_items.iter().map(move |item| {
                let value = item.intrinsic_value.as_ref().unwrap();
                let cents = Terms::on(day).eur_cents(value.hundredths, &value.currency) as f64;
                (item.hs6.as_str(), (cents / item.gross_mass_mg as f64).ln())
            })
        })
    }

    /// Consignments of one exporter and importer, a day apart at most, together above EUR 150.
    fn split(&self) -> (usize, usize) {
        let mut groups: HashMap<String, Vec<(Day, u64)>> = HashMap::new();
        for (day, each) in self.accepted() {
            groups.entry(parties(each)).or_default().push((day, cents(each, day)));
        }
        let together = |group: &&Vec<(Day, u64)>| {
            group.len() > 1
                && group.iter().map(|(_, cents)| cents).sum::<u64>() > 15_000
                && group.last().unwrap().0.0 - group[0].0.0 <= 1
        };
        (groups.values().filter(together).map(Vec::len).sum(), self.accepted().count())
    }
}

/// Each kind on a declarant of its own, who are the larger ones of their world.
const STRENGTH: f64 = 0.2;

#[test]
fn each_kind_shows_at_its_strength_and_not_where_it_is_not_planted() {
    let lines = 150_000;
    let none = options("2026-10-26", lines, "none");
    let mut actors = World::new(&none).unwrap().declarants;
    actors.retain(|each| each.odd.is_none());
    actors.sort_by_key(|each| Reverse(each.weight()));
    let stated: Vec<String> = Kind::ALL
        .iter()
        .zip(&actors)
        .map(|(kind, actor)| format!("{}:{STRENGTH}@{}", kind.name(), actor.index))
        .collect();
    let planted = options("2026-10-26", lines, &stated.join(","));
    let (honest, seen) = (Seen::of(&none), Seen::of(&planted));
    for (&kind, actor) in Kind::ALL.iter().zip(&actors) {
        let index = actor.index as usize;
        let ((base, of), (shown, all)) = (honest[index].shows(kind), seen[index].shows(kind));
        let (base, share) = (base as f64 / of as f64, shown as f64 / all as f64);
        let expected = if kind == Kind::Undervalue { 0.0 } else { base + STRENGTH * (1.0 - base) };
        let deviation = (STRENGTH * (1.0 - STRENGTH) / all as f64).sqrt();
        assert!(all > 1_000, "{kind:?} {all}");
        // Consignments of one split order are found together: more deviation.
        let bound = if kind == Kind::Split { 8.0 } else { 4.0 };
        assert!(
            (share - expected).abs() < bound * deviation,
            "{kind:?}: {share} for {expected}, deviation {deviation}"
        );
        assert!(base < 0.04, "{kind:?}: {base} without");
        // Honest declarants, odd ones apart, do not look like it.
        for (other, each) in truth_of(&none).iter().zip(&honest) {
            let (shown, all) = each.shows(kind);
            let share = shown as f64 / all as f64;
            let bound = 0.05 + 4.0 / (all as f64).sqrt() * 0.25;
            assert!(other.odd.is_some() || share < bound, "{kind:?} {}: {share}", other.index);
        }
    }
    undervalued(&honest[actors[0].index as usize], &seen[actors[0].index as usize], &planted);
}

fn truth_of(options: &WorldOptions) -> Vec<DeclarantTruth> {
    World::new(options).unwrap().truth().declarants
}

/// What detectors look at, where what is planted stays within what honest ones do as well: I-07,
/// I-08 of the indicators.
#[test]
fn bunching_and_undervaluing_stand_out_from_what_honest_ones_do() {
    let none = options("2026-10-26", 150_000, "none");
    let mut actors = World::new(&none).unwrap().declarants;
    actors.retain(|each| each.odd.is_none());
    actors.sort_by_key(|each| Reverse(each.weight()));
    let [buncher, undervaluer] = [actors[0].index, actors[1].index];
    let stated = format!("bunch:{STRENGTH}@{buncher},undervalue:{STRENGTH}@{undervaluer}");
    let (honest, seen) = (Seen::of(&none), Seen::of(&options("2026-10-26", 150_000, &stated)));

    let at = buncher as usize;
    let (before, after) = (honest[at].bunching(), seen[at].bunching());
    assert!(before < 1.2 && after > 3.0, "{before} {after}");

    let mut all: HashMap<&str, Vec<f64>> = HashMap::new();
    for (hs6, per_kilogram) in honest.iter().flat_map(Seen::per_kilogram) {
        all.entry(hs6).or_default().push(per_kilogram);
    }
    all.retain(|_, values| values.len() >= 200);
    let levels: HashMap<&str, (f64, f64)> = all
        .into_iter()
        .map(|(hs6, values)| {
            let middle = median(values.clone());
            let apart = values.iter().map(|value| (value - middle).abs()).collect();
            (hs6, (middle, 1.4826 * median(apart)))
        })
        .collect();
    let low = |seen: &Seen| {
        let values: Vec<f64> = seen
            .per_kilogram()
            .filter_map(|(hs6, value)| levels.get(hs6).map(|(middle, mad)| (value - middle) / mad))
            .collect();
        values.iter().filter(|&&z| z < -2.0).count() as f64 / values.len() as f64
    };
    let at = undervaluer as usize;
    let (before, after) = (low(&honest[at]), low(&seen[at]));
    assert!(before < 0.05 && after > before + 0.05, "{before} {after}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Of an undervaluer: told by its twin, who sends the same goods of the same weight.
fn undervalued(honest: &Seen, seen: &Seen, options: &WorldOptions) {
    let factor = truth_of(options).iter().find_map(|each| each.kinds.first()?.factor).unwrap();
    let (mut lower, mut all, mut ratios) = (0, 0, 0.0);
    for ((day, true_one), (_, stated)) in honest.accepted().zip(seen.accepted()) {
        let mass = |each: &Declaration| each.goods_items[0].gross_mass_mg;
        assert_eq!(mass(true_one), mass(stated));
        let ratio = cents(stated, day) as f64 / cents(true_one, day) as f64;
        all += 1;
        // Prices end in 99 or not: small ones change by more.
        if ratio < factor + (1.0 - factor) * 0.6 {
            (lower, ratios) = (lower + 1, ratios + ratio);
        }
    }
    let share = f64::from(lower) / f64::from(all);
    let deviation = (STRENGTH * (1.0 - STRENGTH) / f64::from(all)).sqrt();
    assert!((share - STRENGTH).abs() < 4.0 * deviation + 0.004, "{share}");
    let ratio = ratios / f64::from(lower);
    assert!((ratio - factor).abs() < 0.06, "{ratio} for {factor}");
}

#[test]
fn value_per_kilogram_is_that_of_the_hs_code_for_all() {
    let all = Seen::of(&options("2026-10-26", 120_000, "none"));
    let odd: Vec<bool> =
        truth_of(&options("2026-10-26", 120_000, "none")).iter().map(|e| e.odd.is_some()).collect();
    let mut medians: HashMap<String, Vec<f64>> = HashMap::new();
    for (seen, odd) in all.iter().zip(odd) {
        let mut values: HashMap<&str, Vec<f64>> = HashMap::new();
        for (hs6, per_kilogram) in seen.per_kilogram() {
            values.entry(hs6).or_default().push(per_kilogram);
        }
        for (hs6, values) in values {
            if values.len() >= 150 && !odd {
                medians.entry(hs6.to_owned()).or_default().push(median(values));
            }
        }
    }
    let mut compared = 0;
    for (hs6, medians) in medians {
        let mean = medians.iter().sum::<f64>() / medians.len() as f64;
        for median in &medians {
            // Each differs by 8 % or so, by 60 % at the very most; undervaluing is more than that.
            assert!((median - mean).abs() < 0.47, "{hs6}: {medians:?}");
            compared += 1;
        }
    }
    assert!(compared > 40, "{compared}");
}
