//! The declarants of a world: how much each sends on which days, what goods at what prices, for
//! whom, and how often an honest one errs. All of it follows from the seed and the index.

use super::kind::{Kind, Planted};
use super::misbehave::{Misbehave, MisbehaveError, check, follow, scenario, within};
use super::number::{Log, ONE, around, log, power, share_between};
use super::range::{Level, MIX_PLACES, catalogue_levels, mix_of};
use super::{Stream, WorldOptions};
use crate::day::Day;
use crate::generate::actor::{self, Trade};
use crate::generate::random::Random;
use crate::proto::v1::LocationOfGoods;

/// What is odd and yet lawful: traps for who looks at one figure only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// Sells jewellery and watches at 60 to 150 euros apiece: many consignments just below 150.
    Jeweller,
    /// A few publishers' books at fixed prices: the same price over and over.
    Bookseller,
    /// Stickers, pens and hair clips as samples: many lines below a euro.
    SampleShop,
}

impl Odd {
    /// As in the truth.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jeweller => "jeweller",
            Self::Bookseller => "bookseller",
            Self::SampleShop => "sample shop",
        }
    }
}

/// One who lodges.
#[derive(Debug, Clone)]
pub(crate) struct Declarant {
    pub(crate) index: u32,
    pub(crate) eori: String,
    pub(crate) trade: Trade,
    pub(crate) odd: Option<Odd>,
    pub(crate) planted: Vec<Planted>,
    pub(crate) representative: String,
    pub(crate) representative_status: u32,
    pub(crate) location: LocationOfGoods,
    pub(crate) shares_common: bool,
    /// How much it sends on each day of the period, against all others and days.
    pub(super) weights: Vec<u64>,
    /// Declarations in a batch at most.
    pub(super) batch: u64,
    /// How many sellers it declares for.
    pub(super) sellers: u64,
    /// Its own IOSS numbers, or those of its clients.
    pub(super) numbers: Vec<String>,
    /// Platforms for which it declares under their numbers, and the share (2^-32) of IOSS sales
    /// that are theirs.
    pub(super) contracts: Vec<u32>,
    pub(super) contract_share: u64,
    /// Numbers it borrows, where it does.
    pub(super) borrowed: Vec<String>,
    /// What its lines are worth and weigh, by place in the catalogue.
    pub(super) levels: Vec<Level>,
    /// Places in the catalogue, each as often as it is drawn.
    pub(super) mix: Vec<u8>,
    pub(super) habits: Habits,
    /// What `undervalue` leaves of a value, in thousandths.
    pub(super) factor: u64,
    /// Place in the catalogue and price in euro cents of `repeat`.
    pub(super) repeated: (usize, u64),
    /// Index into the codes that `misclassify` uses.
    pub(super) false_code: u64,
}

/// How often an honest declarant does what is not quite right, or only looks so; in 2^-32.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// Lines with a stop word for a description.
    pub(super) vague: u64,
    /// Lines with the HS code of other goods.
    pub(super) mismatch: u64,
    /// Lines that name two things.
    pub(super) joined: u64,
    /// Lines at whole prices.
    pub(super) round: u64,
    /// Declarations sent again.
    pub(super) replay: u64,
    /// Declarations with a defect that rejects.
    pub(super) invalid: u64,
    /// Gifts that companies send.
    pub(super) company_gift: u64,
    /// Consignments to one of [`FREQUENT_RECEIVERS`].
    pub(super) frequent: u64,
}

/// Importers of each declarant that receive often.
pub(super) const FREQUENT_RECEIVERS: u64 = 12;
/// How many numbers a borrower borrows.
const BORROWED: usize = 3;

fn habits(trade: Trade, random: &mut Random) -> Habits {
    let mut between = |low, high| share_between(low, high, random);
    let frequent = if trade == Trade::Broker { between(600, 1_600) } else { between(50, 900) };
    Habits {
        vague: between(100, 700),
        mismatch: between(200, 1_000),
        joined: between(200, 1_200),
        round: between(2_000, 7_000),
        replay: between(0, 600),
        invalid: between(100, 1_300),
        company_gift: between(200, 2_000),
        frequent,
    }
}

/// Of seven days from Monday on, how much is sent, in hundredths.
fn weekdays(trade: Trade) -> [u64; 7] {
    match trade {
        Trade::Platform => [130, 115, 105, 100, 95, 80, 75],
        Trade::Courier => [115, 110, 105, 105, 105, 60, 20],
        Trade::Post => [120, 115, 110, 110, 105, 70, 5],
        Trade::Broker => [110, 110, 105, 105, 100, 10, 5],
    }
}

/// What it sends on each day: a size that is log-normal over declarants, its week, its growth by up
/// to 1 % a day either way, and a few per cent of chance.
fn weights(options: &WorldOptions, trade: Trade, odd: bool, random: &mut Random) -> Vec<u64> {
    // Two deviations are a factor of 2^3.6, twelve.
    let mut size = around(20 * ONE, ONE * 9 / 5, random);
    if odd {
        // Large enough to be looked at.
        size = size.max(20 * ONE);
    }
    let growth = i64::try_from(random.below(1_900)).unwrap_or(0) - 950;
    let week = weekdays(trade);
    (0..i64::from(options.days))
        .map(|day| {
            let on = i64::from(options.from.0) + day;
            // 1970-01-01 was a Thursday.
            let weekday = usize::try_from((on + 3).rem_euclid(7)).unwrap_or(0);
            let level = around(size + growth * day, ONE / 16, random);
            power(level) * week.get(weekday).copied().unwrap_or(100) / 100
        })
        .collect()
}

/// A platform's own numbers, or those of the sellers that the others declare for: small ones, which
/// no other declarant has.
fn numbers(index: u32, trade: Trade, random: &mut Random) -> Vec<String> {
    let count = match trade {
        Trade::Platform => random.between(1, 4),
        Trade::Courier => 48,
        Trade::Post => 40,
        Trade::Broker => 16,
    };
    (0..count).map(|n| actor::ioss_number(u64::from(index) * 64 + n)).collect()
}

/// All declarants of a world.
///
/// # Errors
/// Who misbehaves cannot be found, or is to misbehave in more than all declarations.
pub(super) fn all(key: u64, options: &WorldOptions) -> Result<Vec<Declarant>, MisbehaveError> {
    let mut made: Vec<Declarant> = (0..options.actors).map(|n| one(key, options, n)).collect();
    let mut random = Random::keyed(&[key, Stream::Scenario as u64]);
    oddities(&mut made, options, key, &mut random);
    contracts(&mut made, &mut random);
    let total: u128 =
        made.iter().flat_map(|each| &each.weights).map(|&weight| u128::from(weight)).sum();
    for each in &mut made {
        let largest = each.weights.iter().copied().max().unwrap_or(0);
        let declarations = u128::from(options.lines) * u128::from(largest) / total.max(1) / 2;
        // A dozen batches a day or more for each.
        let batch = u64::try_from(declarations / 12).unwrap_or(u64::MAX);
        each.batch = batch.clamp(1, u64::from(options.batch));
    }
    let days = (options.from, options.last());
    let plain = |each: &&Declarant| each.odd.is_none();
    let candidates: Vec<u32> = made.iter().filter(plain).map(|each| each.index).collect();
    let planted = match &options.misbehave {
        Misbehave::None => Vec::new(),
        Misbehave::Drawn(count) => scenario(&candidates, *count, days, &mut random)?,
        Misbehave::Stated(statements) => {
            let eoris: Vec<String> = made.iter().map(|each| each.eori.clone()).collect();
            follow(statements, &eoris, &candidates, days, &mut random)?
        }
    };
    check(&planted)?;
    plant(&mut made, within(planted, days)?, &mut random)?;
    Ok(made)
}

fn one(key: u64, options: &WorldOptions, index: u32) -> Declarant {
    let trade = actor::trade(index);
    let mut random = Random::keyed(&[key, Stream::Declarant as u64, u64::from(index)]);
    let random = &mut random;
    let (representative, representative_status) = actor::representative(index, trade);
    Declarant {
        index,
        eori: actor::eori(index, trade),
        trade,
        odd: None,
        planted: Vec::new(),
        representative,
        representative_status,
        location: actor::location(index),
        shares_common: matches!(trade, Trade::Platform | Trade::Courier) && index % 3 != 2,
        weights: weights(options, trade, false, random),
        batch: 1,
        sellers: match trade {
            Trade::Platform => random.between(150, 900),
            Trade::Courier | Trade::Post => random.between(120, 400),
            Trade::Broker => random.between(16, 60),
        },
        numbers: numbers(index, trade, random),
        contracts: Vec::new(),
        contract_share: 0,
        borrowed: Vec::new(),
        levels: catalogue_levels(key, random),
        mix: mix_of(random),
        habits: habits(trade, random),
        factor: random.between(150, 500),
        repeated: (random.low_below(40).try_into().unwrap_or(0), random.between(3, 20) * 100 - 1),
        false_code: random.next(),
    }
}

/// Makes a jeweller, a bookseller and a sample shop of three platforms, where there are that many.
fn oddities(made: &mut [Declarant], options: &WorldOptions, key: u64, random: &mut Random) {
    let mut platforms: Vec<usize> = made
        .iter()
        .filter(|each| each.trade == Trade::Platform)
        .filter_map(|each| usize::try_from(each.index).ok())
        .collect();
    for odd in [Odd::Jeweller, Odd::Bookseller, Odd::SampleShop] {
        // Two platforms at least stay as they are.
        if platforms.len() <= 2 {
            return;
        }
        let place = usize::try_from(random.below(platforms.len() as u64)).unwrap_or(0);
        let Some(each) = made.get_mut(platforms.swap_remove(place)) else { continue };
        let mut own = Random::keyed(&[key, Stream::Odd as u64, u64::from(each.index)]);
        each.odd = Some(odd);
        each.weights = weights(options, each.trade, true, &mut own);
        each.sellers = if odd == Odd::Bookseller { 6 } else { 20 };
        (each.levels, each.mix) = super::range::odd(odd, std::mem::take(&mut each.levels));
    }
}

/// Couriers, posts and brokers declare for up to two platforms, under these' own numbers.
fn contracts(made: &mut [Declarant], random: &mut Random) {
    let platforms: Vec<u32> = made
        .iter()
        .filter(|each| each.trade == Trade::Platform && each.odd.is_none())
        .map(|each| each.index)
        .collect();
    for each in made.iter_mut().filter(|each| each.trade != Trade::Platform) {
        each.contract_share = share_between(5_000, 20_000, random);
        for _ in 0..random.below(3) {
            let platform = random.pick(&platforms);
            if !platforms.is_empty() && !each.contracts.contains(&platform) {
                each.contracts.push(platform);
            }
        }
    }
}

fn plant(
    made: &mut [Declarant],
    planted: Vec<Planted>,
    random: &mut Random,
) -> Result<(), MisbehaveError> {
    for each in planted {
        let place = usize::try_from(each.actor).unwrap_or(usize::MAX);
        if let Some(declarant) = made.get_mut(place) {
            declarant.planted.push(each);
        }
    }
    let owners: Vec<(u32, Vec<String>)> = made
        .iter()
        .filter(|each| each.planted.is_empty() && each.trade == Trade::Platform)
        .map(|each| (each.index, each.numbers.clone()))
        .collect();
    let borrows =
        |each: &&mut Declarant| each.planted.iter().any(|planted| planted.kind == Kind::Borrow);
    for each in made.iter_mut().filter(borrows) {
        let mut others: Vec<&String> = owners
            .iter()
            .filter(|(owner, _)| *owner != each.index && !each.contracts.contains(owner))
            .flat_map(|(_, numbers)| numbers)
            .collect();
        while each.borrowed.len() < BORROWED && !others.is_empty() {
            let place = usize::try_from(random.below(others.len() as u64)).unwrap_or(0);
            each.borrowed.push(others.swap_remove(place).clone());
        }
        if each.borrowed.is_empty() {
            return Err(MisbehaveError::NothingToBorrow { actor: each.index });
        }
    }
    Ok(())
}

impl Declarant {
    /// A draw of its own.
    pub(super) fn random(&self, key: u64, stream: Stream, number: u64) -> Random {
        Random::keyed(&[key, stream as u64, u64::from(self.index), number])
    }

    /// How strongly it misbehaves in this way on that day, in 2^-32.
    pub(super) fn strength(&self, kind: Kind, on: Day) -> u64 {
        self.planted
            .iter()
            .filter(|each| each.kind == kind && each.from <= on && on <= each.to)
            .map(|each| super::number::share(each.strength))
            .sum()
    }

    /// A place in the catalogue.
    pub(super) fn product(&self, random: &mut Random) -> usize {
        let place = usize::try_from(random.below(MIX_PLACES)).unwrap_or(0);
        usize::from(self.mix.get(place).copied().unwrap_or_default())
    }

    /// What lines of those goods are worth and weigh.
    pub(super) fn level(&self, product: usize) -> Level {
        self.levels.get(product).copied().unwrap_or_default()
    }

    /// What its size is, for the truth: all weights together.
    pub(super) fn weight(&self) -> u128 {
        self.weights.iter().map(|&weight| u128::from(weight)).sum()
    }
}

/// Logarithm of an amount that is plausible for a range: its middle, and how far it strays.
pub(super) fn middle((low, high): (u64, u64)) -> (Log, Log) {
    let (low, high) = (log(low), log(high));
    (i64::midpoint(low, high), (high - low) / 4)
}
