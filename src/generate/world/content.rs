//! One declaration of a world, made from nothing but the key, its declarant and its place: it is
//! made again where it is sent again.

use super::Stream;
use super::affected::Affected;
use super::declarant::{Declarant, FREQUENT_RECEIVERS, Odd};
use super::kind::Kind;
use super::line::{self, Line};
use super::number::happens;
use super::rates::Terms;
use crate::day::Day;
use crate::generate::actor::{self, Trade};
use crate::generate::declaration::{Made, goods_item_count};
use crate::generate::document::{air_waybill, document, house_waybill, s10, storage_mrn};
use crate::generate::goods;
use crate::generate::law::{Regime, Route, procedures};
use crate::generate::party::{self, Origin};
use crate::generate::random::Random;
use crate::proto::v1::{
    Declaration, DocumentReference, GoodsItem, Money, Party, ProductIdentifiers,
};

/// What every declaration of a world is made from.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    /// The key of every draw.
    pub(super) key: u64,
    /// Six characters that tell the LRNs of this world from those of any other.
    pub(super) tag: String,
    pub(super) first: Day,
    /// By day from the first on.
    pub(super) terms: Vec<Terms>,
    /// Persons who receive.
    pub(super) importers: u64,
}

/// Where a declaration stands: that part of the declarant's order at `slot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: u64,
    pub(super) part: u64,
    /// When the order came, in days from the first.
    pub(super) day: usize,
}

/// Consignments of one order at most.
pub(super) const PARTS_MAX: u64 = 4;

impl Place {
    /// A number of its own among all of the declarant.
    pub(super) fn number(self) -> u64 {
        self.slot * PARTS_MAX + self.part
    }
}

/// Parties and route of an order: the same for all its consignments.
struct Order {
    route: Route,
    origin: &'static Origin,
    currency: &'static str,
    exporter: Party,
    importer: Party,
    ioss_number: String,
}

/// Who sells, and under which IOSS number if any.
struct Seller<'a> {
    /// The declarant to whose sellers it belongs.
    pool: u32,
    number: u64,
    ioss_number: Option<&'a String>,
}

/// Most that a sale may be worth in euros, and in other currencies, whose conversion rounds.
const SALE_EUR_CENTS_MAX: u64 = 15_000;
const OTHER_EUR_CENTS_MAX: u64 = 14_990;
const GIFT_EUR_CENTS_MAX: u64 = 4_490;
/// Sellers who send gifts over and over, of a declarant that abuses them.
const GIFT_SELLERS: u64 = 6;
/// Prices of books, in hundredths of a currency's unit.
const BOOK_PRICES: [u64; 7] = [499, 799, 999, 1_299, 1_499, 1_999, 2_499];

impl Ground {
    /// What holds on a day.
    pub(super) fn terms(&self, day: usize) -> Terms {
        self.terms.get(day).copied().unwrap_or_else(|| Terms::on(self.first))
    }

    /// The day that many after the first.
    pub(super) fn day(&self, day: usize) -> Day {
        Day(self.first.0.saturating_add(u16::try_from(day).unwrap_or(u16::MAX)))
    }

    /// The temporary storage declaration under which the goods of a batch's orders came in.
    pub(super) fn flight(&self, actor: &Declarant, slot: u64, day: usize) -> DocumentReference {
        let mut random = actor.random(self.key, Stream::Flight, slot / actor.batch);
        storage_mrn(&mut random, self.terms(day).year)
    }

    /// The declaration at a place, in good order.
    pub(super) fn content(
        &self,
        declarants: &[Declarant],
        actor: &Declarant,
        at: Place,
        affected: Affected,
    ) -> Made {
        let terms = self.terms(at.day);
        let order = self.order(declarants, actor, at, affected);
        let route = order.route;
        let mut random = actor.random(self.key, Stream::Lines, at.number());
        let random = &mut random;
        let goods_items = goods_items(actor, &terms, &order, affected, random);
        let transport_document = match actor.trade {
            Trade::Post => s10(random, order.origin.country, false),
            Trade::Courier if random.percent(60) => air_waybill(random),
            Trade::Broker => air_waybill(random),
            _ => house_waybill(random, "HWB"),
        };
        let costs = random.percent(if route == Route::Ioss { 50 } else { 98 });
        let platform = actor.trade == Trade::Platform;
        let declaration = Declaration {
            lrn: actor::lrn(actor.index, &self.tag, self.lrn_number(actor, at)),
            goods_items,
            additional_declaration_type: "A".to_owned(),
            exporter: Some(order.exporter),
            importer: Some(order.importer),
            ioss_number: order.ioss_number,
            transport_document: Some(transport_document),
            previous_documents: vec![self.flight(actor, at.slot, at.day)],
            transport_costs: (costs && route != Route::Gift).then(|| Money {
                currency: "EUR".to_owned(),
                hundredths: random.between(190, 950),
            }),
            location_of_goods: Some(actor.location.clone()),
            ucr: if platform {
                format!("EU-{:012}", random.below(1_000_000_000_000))
            } else {
                String::new()
            },
            supporting_documents: if actor.trade == Trade::Broker {
                vec![document("N380", format!("INV-{}", random.between(10_000, 99_999)))]
            } else {
                Vec::new()
            },
            fallback: None,
        };
        Made { declaration, route }
    }

    fn order(
        &self,
        declarants: &[Declarant],
        actor: &Declarant,
        at: Place,
        affected: Affected,
    ) -> Order {
        let mut random = actor.random(self.key, Stream::Order, at.slot);
        let random = &mut random;
        let mut route = actor.trade.route(random);
        match affected.shape {
            Some(Kind::Gifts) => route = Route::Gift,
            Some(Kind::Bunch | Kind::Split) if route == Route::Gift => route = Route::Standard,
            _ => {}
        }
        if affected.borrow {
            route = Route::Ioss;
        }
        let seller = seller(declarants, actor, route, affected, random);
        let mut selling = Random::keyed(&[
            self.key,
            Stream::Seller as u64,
            u64::from(seller.pool),
            seller.number,
        ]);
        let origin = party::origin(&mut selling);
        let mut currency = selling.pick(origin.currencies);
        if affected.shape == Some(Kind::Repeat) {
            currency = "EUR";
        }
        let by_company =
            affected.shape == Some(Kind::Gifts) || happens(actor.habits.company_gift, random);
        let exporter = if route == Route::Gift && !by_company {
            party::sender(random, origin)
        } else {
            party::seller(&mut selling, origin)
        };
        let importer = self.importer(actor, route, random);
        let ioss_number = seller.ioss_number.cloned().unwrap_or_default();
        Order { route, origin, currency, exporter, importer, ioss_number }
    }

    /// Who receives: always the same person under the same number. A third of those who buy under
    /// IOSS live elsewhere in the Union.
    fn importer(&self, actor: &Declarant, route: Route, random: &mut Random) -> Party {
        let number = if happens(actor.habits.frequent, random) {
            u64::MAX
                - u64::from(actor.index) * FREQUENT_RECEIVERS
                - random.below(FREQUENT_RECEIVERS)
        } else {
            random.below(self.importers)
        };
        let elsewhere = route == Route::Ioss && random.percent(35);
        let place = u64::from(elsewhere);
        let mut person = Random::keyed(&[self.key, Stream::Importer as u64, place, number]);
        if elsewhere {
            party::other_importer(&mut person)
        } else {
            party::dutch_importer(&mut person, route != Route::Gift)
        }
    }
}

fn seller<'a>(
    declarants: &'a [Declarant],
    actor: &'a Declarant,
    route: Route,
    affected: Affected,
    random: &mut Random,
) -> Seller<'a> {
    let number_of = |of: &'a Declarant, seller: u64| {
        let place = seller % (of.numbers.len() as u64).max(1);
        usize::try_from(place).ok().and_then(|at| of.numbers.get(at))
    };
    let own = random.low_below(actor.sellers);
    if affected.shape == Some(Kind::Gifts) {
        return Seller { pool: actor.index, number: own % GIFT_SELLERS, ioss_number: None };
    }
    if route != Route::Ioss {
        return Seller { pool: actor.index, number: own, ioss_number: None };
    }
    if affected.borrow {
        let place = random.low_below(actor.borrowed.len() as u64);
        let borrowed = usize::try_from(place).ok().and_then(|at| actor.borrowed.get(at));
        return Seller { pool: actor.index, number: own, ioss_number: borrowed };
    }
    if !actor.contracts.is_empty() && happens(actor.contract_share, random) {
        let platform = usize::try_from(random.pick(&actor.contracts)).ok();
        if let Some(platform) = platform.and_then(|at| declarants.get(at)) {
            let number = random.low_below(platform.sellers);
            let ioss_number = number_of(platform, number);
            return Seller { pool: platform.index, number, ioss_number };
        }
    }
    Seller { pool: actor.index, number: own, ioss_number: number_of(actor, own) }
}

fn goods_items(
    actor: &Declarant,
    terms: &Terms,
    order: &Order,
    affected: Affected,
    random: &mut Random,
) -> Vec<GoodsItem> {
    let cap = match (order.route, order.currency) {
        (Route::Gift, _) => GIFT_EUR_CENTS_MAX,
        (_, "EUR") => SALE_EUR_CENTS_MAX,
        _ => OTHER_EUR_CENTS_MAX,
    };
    let mut count = goods_item_count(random);
    if actor.odd == Some(Odd::Jeweller) {
        count = 1;
    } else if affected.text == Some(Kind::Merge) {
        count = count.max(2);
    }
    let mut lines = line::lines(actor, cap, count, random);
    if let Some(shape) = affected.shape {
        line::reshape(&mut lines, shape, actor, cap, random);
    }
    if affected.text == Some(Kind::Merge) && lines.len() == 1 {
        lines = in_two(lines, actor, random);
    }
    if affected.text == Some(Kind::Merge)
        && let Some((whole, names)) = line::merged(&lines)
    {
        let mut room = cap.saturating_sub(whole.eur_cents);
        let named = (line::product(whole.product).hs6, names);
        let money = priced(actor, terms, order, affected, whole.eur_cents, &mut room, random);
        return vec![item(actor, terms, order.route, 1, &whole, named, money, random)];
    }
    let mut room = cap.saturating_sub(lines.iter().map(|line| line.eur_cents).sum());
    lines
        .iter()
        .zip(1_u32..)
        .map(|(line, number)| {
            let named = line::naming(line, affected.text, actor, random);
            let money = priced(actor, terms, order, affected, line.eur_cents, &mut room, random);
            item(actor, terms, order.route, number, line, named, money, random)
        })
        .collect()
}

/// A single line as two of different goods, so that there is something to put together.
fn in_two(mut lines: Vec<Line>, actor: &Declarant, random: &mut Random) -> Vec<Line> {
    if let Some(line) = lines.first_mut() {
        let mut other = line.clone();
        other.product = actor.product(random);
        other.eur_cents = (line.eur_cents / 3).max(1);
        other.mass_mg = line.mass_mg / 3;
        line.eur_cents = line.eur_cents.saturating_sub(other.eur_cents).max(1);
        line.mass_mg -= other.mass_mg;
        lines.push(other);
    }
    lines
}

/// The amount in the invoice currency. Prices as shops set them end mostly in 99 or 95, some are
/// whole; they may add to the value where there is `room` (euro cents).
fn priced(
    actor: &Declarant,
    terms: &Terms,
    order: &Order,
    affected: Affected,
    eur_cents: u64,
    room: &mut u64,
    random: &mut Random,
) -> Money {
    let exact = terms.hundredths(eur_cents, order.currency);
    let hundredths = if matches!(affected.shape, Some(Kind::Bunch | Kind::Repeat | Kind::Nominal)) {
        exact
    } else if actor.odd == Some(Odd::Bookseller) {
        let below = BOOK_PRICES.iter().rev().find(|&&price| price <= exact);
        below.copied().unwrap_or(exact)
    } else {
        with_ending(exact, order.currency, actor, random)
    };
    let added = match hundredths.saturating_sub(exact) {
        0 => 0,
        more => terms.eur_cents(more, order.currency) + 1,
    };
    let fits = added <= *room;
    *room -= if fits { added } else { 0 };
    Money { currency: order.currency.to_owned(), hundredths: if fits { hundredths } else { exact } }
}

fn with_ending(exact: u64, currency: &str, actor: &Declarant, random: &mut Random) -> u64 {
    let whole = exact / 100 * 100;
    if matches!(currency, "JPY" | "KRW") || exact < 200 {
        return exact;
    }
    if happens(actor.habits.round, random) {
        return whole;
    }
    if random.percent(55) { whole + random.pick(&[99, 99, 95, 49]) } else { exact }
}

#[allow(clippy::too_many_arguments, reason = "what a goods item consists of")]
fn item(
    actor: &Declarant,
    terms: &Terms,
    route: Route,
    number: u32,
    line: &Line,
    (hs6, description): (&'static str, String),
    money: Money,
    random: &mut Random,
) -> GoodsItem {
    // Before they become mandatory some give product identifiers already; for a gift nobody does.
    let identified = route != Route::Gift
        && match terms.regime {
            Regime::ProductIdentifiers => true,
            Regime::FlatDuty => actor.index % 3 != 1,
            Regime::Relief => false,
        };
    let product = identified.then(|| {
        let sku = random.below(90_000);
        ProductIdentifiers {
            merchant: format!("SKU-{sku:05}"),
            manufacturer: if sku.is_multiple_of(4) {
                "NA".to_owned()
            } else {
                format!("MF{}-{}", sku % 97, line.product)
            },
            gtin: if sku.is_multiple_of(3) { goods::gtin(sku) } else { String::new() },
        }
    });
    GoodsItem {
        goods_item_number: number,
        hs6: hs6.to_owned(),
        description,
        intrinsic_value: Some(money),
        gross_mass_mg: line.mass_mg,
        packages: u32::from(number == 1),
        additional_procedures: procedures(terms.regime, route)
            .iter()
            .map(|&code| code.to_owned())
            .collect(),
        product,
        country_of_origin: if actor.trade == Trade::Courier && random.percent(30) {
            "CN".to_owned()
        } else {
            String::new()
        },
    }
}
