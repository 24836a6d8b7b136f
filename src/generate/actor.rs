//! The actors that lodge: platforms, couriers, postal operators and brokers, each with habits of
//! its own, and a few that misbehave in a known way.
//!
//! An actor is a function of its number alone; how much it sends follows Zipf's law: the n-th
//! sends 1/n of what the first does.

use super::law::Route;
use super::random::Random;
use crate::proto::v1::LocationOfGoods;

/// What an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trade {
    /// A web platform with its own IOSS numbers.
    Platform,
    /// An express carrier that declares for many sellers.
    Courier,
    /// A postal operator: barcodes and gifts.
    Post,
    /// A customs broker for small importers.
    Broker,
}

/// In what known way an actor misbehaves. None of these draws a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Consignments are worth EUR 140 to 150, as if by chance.
    BunchesBelow150,
    /// Descriptions are stop words.
    VagueDescriptions,
    /// The description is of other goods than the HS code.
    OtherHsCodes,
    /// Check digits of postal barcodes are wrong.
    WrongBarcodes,
    /// Transport costs are left out.
    NoTransportCosts,
    /// Several products go under one HS code.
    MergedLines,
    /// Goods are worth less than a euro.
    NominalValues,
    /// Prices are whole amounts.
    RoundPrices,
    /// Companies send gifts.
    CompanyGifts,
    /// Every line weighs a gram.
    LightParcels,
}

impl Habit {
    /// In a few words, for a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BunchesBelow150 => "just below 150",
            Self::VagueDescriptions => "vague texts",
            Self::OtherHsCodes => "other HS codes",
            Self::WrongBarcodes => "wrong barcodes",
            Self::NoTransportCosts => "no freight costs",
            Self::MergedLines => "merged lines",
            Self::NominalValues => "nominal values",
            Self::RoundPrices => "round prices",
            Self::CompanyGifts => "company gifts",
            Self::LightParcels => "one gram each",
        }
    }
}

impl Trade {
    /// How VAT is paid on the next declaration.
    pub(super) fn route(self, random: &mut Random) -> Route {
        let (ioss, special, standard) = match self {
            Self::Platform => (92, 0, 8),
            Self::Courier => (55, 15, 30),
            Self::Post => (45, 32, 8),
            Self::Broker => (40, 0, 60),
        };
        match random.below(100) {
            draw if draw < ioss => Route::Ioss,
            draw if draw < ioss + special => Route::Special,
            draw if draw < ioss + special + standard => Route::Standard,
            _ => Route::Gift,
        }
    }

    /// In a word, for a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Courier => "courier",
            Self::Post => "post",
            Self::Broker => "broker",
        }
    }
}

/// One who lodges.
#[derive(Debug, Clone)]
pub struct Actor {
    /// From 0, the largest first.
    pub index: u32,
    /// The declarant's EORI.
    pub eori: String,
    /// What it is.
    pub trade: Trade,
    /// How it misbehaves, where it does.
    pub habit: Option<Habit>,
    /// EORI of its representative; empty where it has none.
    pub representative: String,
    /// 2 direct, 3 indirect, 0 none.
    pub representative_status: u32,
    /// Declarations in each of its batches but the last.
    pub batch: u64,
    /// What the declarations of a batch share is stated once, in `common`.
    pub(crate) shares_common: bool,
    /// Now and then it writes its own EORI carelessly, in lower case.
    pub(crate) careless: bool,
    /// How often it sends, against others: 2^40 for the largest.
    pub(crate) weight: u64,
    pub(crate) location: LocationOfGoods,
}

/// Weight of the largest actor. The smallest of 10,000 still has 2^26.
const WEIGHT_MAX: u64 = 1 << 40;

const TRADES: [Trade; 7] = [
    Trade::Platform,
    Trade::Platform,
    Trade::Courier,
    Trade::Post,
    Trade::Platform,
    Trade::Courier,
    Trade::Broker,
];

/// Which of 35 actors misbehaves, and how; the trades repeat after 7, so that 10 and 24 are posts.
fn habit(index: u32) -> Option<Habit> {
    Some(match index % 35 {
        4 => Habit::BunchesBelow150,
        7 => Habit::VagueDescriptions,
        9 => Habit::OtherHsCodes,
        10 => Habit::WrongBarcodes,
        13 => Habit::NoTransportCosts,
        14 => Habit::MergedLines,
        16 => Habit::NominalValues,
        19 => Habit::RoundPrices,
        22 => Habit::VagueDescriptions,
        24 => Habit::CompanyGifts,
        26 => Habit::LightParcels,
        _ => return None,
    })
}

/// The EORI of the declarant with that index.
pub(super) fn eori(index: u32, trade: Trade) -> String {
    let number = u64::from(index);
    match (trade, index % 3) {
        (Trade::Platform, 1) => format!("IE{:07}T", 3_100_000 + number),
        (Trade::Platform, 2) => format!("DE{:09}", 710_000_000 + number),
        (Trade::Courier, 2) => format!("BE{:010}", 800_000_000 + number),
        _ => format!("NL{:09}", 830_000_000 + number),
    }
}

/// EORI and status of the representative of the declarant with that index.
pub(super) fn representative(index: u32, trade: Trade) -> (String, u32) {
    match (trade, index % 4) {
        (Trade::Platform, 0) => (format!("NL{:09}", 870_000_000 + index % 5), 2),
        (Trade::Platform, 1) => (format!("NL{:09}", 870_000_000 + index % 5), 3),
        _ => (String::new(), 0),
    }
}

/// What the declarant with that index is.
pub(super) fn trade(index: u32) -> Trade {
    let place = usize::try_from(index).unwrap_or(0) % TRADES.len();
    TRADES.get(place).copied().unwrap_or(Trade::Platform)
}

/// Where the goods of the declarant with that index are.
pub(super) fn location(index: u32) -> LocationOfGoods {
    let (r#type, qualifier, identification) = match index % 4 {
        0 => ("B", "Y", format!("NLTSTRTM{:04}", index % 10_000)),
        1 => ("B", "Y", format!("NLTSTAMS{:04}", index % 10_000)),
        2 => ("A", "U", "NLAMS".to_owned()),
        _ => ("B", "Y", format!("NLTSTMST{:04}", index % 10_000)),
    };
    LocationOfGoods { r#type: r#type.to_owned(), qualifier: qualifier.to_owned(), identification }
}

impl Actor {
    /// So many actors, when `declarations` are expected in all and batches hold at most
    /// `batch_max`.
    pub(crate) fn all(actors: u32, declarations: u64, batch_max: u64) -> Vec<Self> {
        let weights = (1..=u64::from(actors.max(1))).map(|n| WEIGHT_MAX / n).sum();
        (0..actors).map(|index| Self::new(index, weights, declarations, batch_max)).collect()
    }

    fn new(index: u32, weights: u64, declarations: u64, batch_max: u64) -> Self {
        let trade = trade(index);
        let (representative, representative_status) = representative(index, trade);
        let weight = WEIGHT_MAX / (u64::from(index) + 1);
        let share = u128::from(declarations) * u128::from(weight) / u128::from(weights);
        // A dozen batches or more for each, so that even a small run has a history to refer to.
        let batch = u64::try_from(share / 12).unwrap_or(batch_max).clamp(1, batch_max.max(1));
        Self {
            index,
            eori: eori(index, trade),
            trade,
            habit: habit(index),
            representative,
            representative_status,
            batch,
            shares_common: matches!(trade, Trade::Platform | Trade::Courier) && index % 3 != 2,
            careless: index % 8 == 5,
            weight,
            location: location(index),
        }
    }

    /// How VAT is paid on its next declaration.
    pub(crate) fn route(&self, random: &mut Random) -> Route {
        self.trade.route(random)
    }

    /// How many sellers it declares for.
    pub(crate) fn sellers(&self) -> u64 {
        match self.trade {
            Trade::Platform => 400,
            Trade::Courier | Trade::Post => 250,
            Trade::Broker => 30,
        }
    }

    /// An IOSS number: a platform's own, or one of the many that others declare under.
    pub(crate) fn ioss_number(&self, random: &mut Random) -> String {
        match self.trade {
            Trade::Platform => ioss_number(u64::from(self.index) * 8 + random.low_below(4)),
            _ => ioss_number(random.low_below(400)),
        }
    }

    /// The LRN of the declaration at `position`.
    pub(crate) fn lrn(&self, run: &str, position: u64) -> String {
        lrn(self.index, run, position)
    }
}

/// The LRN of a declarant's declaration at `position`: in one of five styles, always different from
/// those of other `run`s, 22 characters at most.
pub(super) fn lrn(index: u32, run: &str, position: u64) -> String {
    match index % 5 {
        0 => format!("PKX{run}-{position:010}"),
        1 => format!("{run}{position:012X}"),
        2 => format!("h7/{run}/{position}"),
        3 => format!("{run}.{position:09}-NL"),
        _ => format!("Ord {run} #{position}"),
    }
}

/// The IOSS number numbered `n`: IM, the numeric code of a Member State, seven digits.
pub(super) fn ioss_number(n: u64) -> String {
    const STATES: [&str; 8] = ["528", "372", "442", "276", "250", "056", "616", "528"];
    let state = usize::try_from(n % 8).ok().and_then(|at| STATES.get(at)).copied();
    // 7,919 is a prime that does not divide 9,000,000: no number comes twice among so many.
    format!("IM{}{:07}", state.unwrap_or("528"), 1_000_000 + n * 7_919 % 9_000_000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use std::collections::HashSet;

    use super::*;
    use crate::id::is_eori;

    #[test]
    fn actors_are_distinct_and_well_formed() {
        let actors = Actor::all(10_000, 500_000, 1_000);
        let eoris: HashSet<&str> = actors.iter().map(|actor| actor.eori.as_str()).collect();
        assert_eq!(eoris.len(), actors.len());
        for actor in &actors {
            assert!(is_eori(&actor.eori), "{}", actor.eori);
            assert_ne!(actor.representative, actor.eori);
            assert_eq!(actor.representative.is_empty(), actor.representative_status == 0);
            assert!(actor.lrn("ABC123", 1_000_000_000).len() <= 22);
            assert!(actor.batch >= 1 && actor.batch <= 1_000);
        }
        for index in [10, 24] {
            assert_eq!(actors[index].trade, Trade::Post);
        }
    }

    #[test]
    fn ioss_numbers_are_distinct() {
        let numbers: HashSet<String> = (0..100_000).map(ioss_number).collect();
        assert_eq!(numbers.len(), 100_000);
        assert!(numbers.iter().all(|number| number.len() == 12));
    }
}
