//! What each declarant sells: which goods of the catalogue how often, at what prices and weights.
//!
//! Value and weight of a line are log-normal around a level that belongs to the HS code and is the
//! same for all declarants, but for a few per cent: so value per kilogram can be compared among
//! them.

use super::Stream;
use super::declarant::{Odd, middle};
use super::number::{Log, ONE, around, log, power};
use crate::generate::goods::PRODUCTS;
use crate::generate::random::Random;

/// Euro cents and milligrams of a line, as logarithms: mean and deviation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    pub(super) value: Log,
    pub(super) value_deviation: Log,
    pub(super) mass: Log,
    pub(super) mass_deviation: Log,
}

/// Places from which goods are drawn.
pub(super) const MIX_PLACES: u64 = 1_024;

/// The levels of one declarant: the catalogue's, a twelfth of an octave (6 %) up or down for all
/// its goods, and as much for each HS code.
pub(super) fn catalogue_levels(key: u64, random: &mut Random) -> Vec<Level> {
    let own = around(0, ONE / 12, random);
    // Parcels are weighed with their packing, by some more than by others.
    let packing = around(0, ONE / 16, random);
    (0_u64..)
        .zip(&PRODUCTS)
        .map(|(place, product)| {
            let mut common = Random::keyed(&[key, Stream::Goods as u64, place]);
            let (value, value_deviation) = middle(product.price_eur_cents);
            let (grams, mass_deviation) = middle(product.mass_g);
            Level {
                value: around(around(value, ONE / 8, &mut common) + own, ONE / 12, random),
                value_deviation: value_deviation.min(ONE * 9 / 10),
                mass: around(grams + log(1_000) + packing, ONE / 16, random),
                mass_deviation: mass_deviation.min(ONE / 2),
            }
        })
        .collect()
}

/// How often each of the catalogue's goods is drawn: a log-normal liking for its chapter, and one
/// for each.
pub(super) fn mix_of(random: &mut Random) -> Vec<u8> {
    let mut likings: Vec<(&str, Log)> = Vec::new();
    let weights: Vec<u64> = PRODUCTS
        .iter()
        .map(|product| {
            let chapter = product.hs6.get(..2).unwrap_or_default();
            let known = likings.iter().find(|(known, _)| *known == chapter).map(|(_, log)| *log);
            let liking = known.unwrap_or_else(|| {
                let liking = around(10 * ONE, ONE * 3 / 2, random);
                likings.push((chapter, liking));
                liking
            });
            power(around(liking, ONE, random))
        })
        .collect();
    places(&weights)
}

/// Shares out the places by weight, each of the goods from where the ones before it end.
fn places(weights: &[u64]) -> Vec<u8> {
    let total: u64 = weights.iter().sum::<u64>().max(1);
    let mut mix = Vec::new();
    let mut sum = 0;
    for (place, weight) in (0_u8..).zip(weights) {
        sum += weight;
        let end = usize::try_from(sum * MIX_PLACES / total).unwrap_or(0);
        mix.resize(end.max(mix.len()), place);
    }
    mix
}

/// The range of an odd declarant, made of the levels it would have otherwise.
pub(super) fn odd(odd: Odd, mut levels: Vec<Level>) -> (Vec<Level>, Vec<u8>) {
    let (goods, median_cents, deviation): (&[(&str, u64)], u64, Log) = match odd {
        Odd::Jeweller => (&[("711311", 5), ("910211", 3), ("711719", 1)], 10_500, ONE * 45 / 100),
        Odd::Bookseller => (&[("490199", 9), ("490900", 1), ("482010", 1)], 1_200, ONE / 3),
        Odd::SampleShop => (&[("391990", 4), ("960810", 3), ("961519", 3)], 95, ONE * 7 / 10),
    };
    let mut weights = Vec::new();
    for (product, level) in PRODUCTS.iter().zip(&mut levels) {
        let sold = goods.iter().find(|(hs6, _)| *hs6 == product.hs6);
        weights.push(sold.map_or(0, |(_, weight)| *weight));
        if sold.is_some() {
            (level.value, level.value_deviation) = (log(median_cents), deviation);
        }
        if sold.is_some() && odd == Odd::SampleShop {
            // A sample weighs less than a pack of ten.
            level.mass -= ONE * 2;
        }
    }
    (levels, places(&weights))
}
