//! A declaration in good order, made from nothing but the seed, its actor and its position: the
//! generator keeps no history, it makes a declaration again when it needs it again.

use super::actor::{Actor, Habit, Trade};
use super::document::{air_waybill, document, house_waybill, s10, storage_mrn};
use super::goods::{self, Product, VAGUE};
use super::law::{Regime, Route, hundredths, procedures};
use super::party;
use super::random::Random;
use crate::proto::v1::{Declaration, DocumentReference, GoodsItem, Money, ProductIdentifiers};

/// What every declaration of a run is made from.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The key of every draw.
    pub(crate) key: u64,
    /// Six characters that tell the LRNs of this run from those of any other.
    pub(crate) tag: String,
    /// The law.
    pub(crate) regime: Regime,
    /// The year of the MRNs of temporary storage.
    pub(crate) year: u16,
}

/// What a stream of chance is for, so that no two draws share one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Role = 1,
    Content = 2,
    Seller = 3,
    Flight = 4,
    Change = 5,
    Spelling = 6,
    Defect = 7,
}

impl Run {
    /// The stream for one purpose, one actor and one number (a position, mostly).
    pub(crate) fn random(&self, purpose: Purpose, actor: &Actor, number: u64) -> Random {
        Random::keyed(&[self.key, purpose as u64, u64::from(actor.index), number])
    }
}

/// A declaration with what its maker knows of it.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// As the declarant means it: nothing shared with its batch, nothing misspelt.
    pub(crate) declaration: Declaration,
    /// How VAT is paid.
    pub(crate) route: Route,
}

/// Planned value of a sale at most, in rough euro cents: see
/// [`super::law::thousandths_per_eur`] for how far that is from EUR 150.
const SALE_EUR_CENTS_MAX: u64 = 12_000;
/// The same for a gift, whose limit is EUR 45.
const GIFT_EUR_CENTS_MAX: u64 = 3_000;

/// How many goods items the next declaration has: two on average.
pub(super) fn goods_item_count(random: &mut Random) -> u64 {
    match random.below(100) {
        0..44 => 1,
        44..73 => 2,
        73..88 => 3,
        88..95 => 4,
        _ => 5,
    }
}

/// The declaration of `actor` at `position`, in good order.
pub(crate) fn base(run: &Run, actor: &Actor, position: u64) -> Made {
    let mut random = run.random(Purpose::Content, actor, position);
    let random = &mut random;
    let mut route = actor.route(random);
    if actor.habit == Some(Habit::CompanyGifts) && random.percent(30) {
        route = Route::Gift;
    }

    // The seller decides where the goods come from and the currency: always the same ones.
    let seller = random.low_below(actor.sellers());
    let mut selling = run.random(Purpose::Seller, actor, seller);
    let origin = party::origin(&mut selling);
    let mut currency = selling.pick(origin.currencies);
    if actor.habit == Some(Habit::BunchesBelow150) {
        currency = "EUR";
    }
    let company_gift = actor.habit == Some(Habit::CompanyGifts) && random.percent(60);
    let exporter = if route == Route::Gift && !company_gift {
        party::sender(random, origin)
    } else {
        party::seller(&mut selling, origin)
    };
    let importer = match route {
        Route::Ioss if random.percent(35) => party::other_importer(random),
        Route::Gift => party::dutch_importer(random, false),
        _ => party::dutch_importer(random, true),
    };

    let count = goods_item_count(random);
    let values = values(actor, route, currency, count, random);
    let goods_items = values
        .into_iter()
        .zip(1_u32..)
        .map(|(amount, number)| {
            let mut item = goods_item(run, actor, route, amount.product, number, random);
            item.intrinsic_value =
                Some(Money { currency: currency.to_owned(), hundredths: amount.hundredths });
            item
        })
        .collect();

    let pre_lodged = !actor.shares_common && random.percent(20);
    let previous_documents = if pre_lodged {
        Vec::new()
    } else {
        vec![storage_declaration(run, actor, position / actor.batch)]
    };
    let transport_document = match actor.trade {
        Trade::Post => s10(random, origin.country, actor.habit == Some(Habit::WrongBarcodes)),
        Trade::Courier if random.percent(60) => air_waybill(random),
        Trade::Broker => air_waybill(random),
        _ => house_waybill(random, "HWB"),
    };
    let without_costs = route == Route::Gift
        || actor.habit == Some(Habit::NoTransportCosts)
        || (route == Route::Ioss && random.percent(50));
    let transport_costs = if without_costs {
        None
    } else {
        Some(Money { currency: "EUR".to_owned(), hundredths: random.between(190, 950) })
    };
    let declaration = Declaration {
        lrn: actor.lrn(&run.tag, position),
        goods_items,
        additional_declaration_type: if pre_lodged { "D" } else { "A" }.to_owned(),
        exporter: Some(exporter),
        importer: Some(importer),
        ioss_number: if route == Route::Ioss { actor.ioss_number(random) } else { String::new() },
        transport_document: Some(transport_document),
        previous_documents,
        transport_costs,
        location_of_goods: Some(actor.location.clone()),
        ucr: if actor.trade == Trade::Platform {
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

/// The temporary storage declaration under which the goods of an actor's batch came in.
pub(crate) fn storage_declaration(run: &Run, actor: &Actor, batch: u64) -> DocumentReference {
    storage_mrn(&mut run.random(Purpose::Flight, actor, batch), run.year)
}

/// A product and what its line costs, in hundredths of the invoice currency.
struct Amount {
    product: &'static Product,
    hundredths: u64,
}

/// Values of the goods items, whose sum stays clear of every threshold.
fn values(
    actor: &Actor,
    route: Route,
    currency: &str,
    count: u64,
    random: &mut Random,
) -> Vec<Amount> {
    let mut left = if route == Route::Gift { GIFT_EUR_CENTS_MAX } else { SALE_EUR_CENTS_MAX };
    let bunched =
        actor.habit == Some(Habit::BunchesBelow150) && route != Route::Gift && random.percent(70);
    if bunched {
        // In euros, so that EUR 150.00 itself is still safe.
        left = random.between(14_000, 15_000);
    }
    (0..count)
        .map(|place| {
            let product = goods::draw(random);
            let others = count - 1 - place;
            // Something is left for each line to come.
            let at_most = left - others * 200;
            let (low, high) = product.price_eur_cents;
            let mut eur_cents = low + random.low_below(high - low + 1);
            if eur_cents > at_most || bunched {
                eur_cents = at_most / (others + 1) * random.between(60, 100) / 100;
            }
            if bunched && others == 0 {
                eur_cents = at_most;
            }
            if actor.habit == Some(Habit::NominalValues) {
                eur_cents = random.between(10, 99);
            }
            left = left.saturating_sub(eur_cents.max(200)).max(others * 200);
            let exact = hundredths(eur_cents, currency);
            Amount { product, hundredths: priced(actor, route, bunched, exact, currency, random) }
        })
        .collect()
}

/// Prices as shops set them: mostly ending in 99 or 95, whole amounts for one actor. Adds less
/// than one unit of the currency.
fn priced(
    actor: &Actor,
    route: Route,
    bunched: bool,
    hundredths: u64,
    currency: &str,
    random: &mut Random,
) -> u64 {
    let whole = hundredths / 100 * 100;
    match currency {
        _ if actor.habit == Some(Habit::RoundPrices) => whole.max(100),
        "JPY" | "KRW" => hundredths,
        _ if bunched || route == Route::Gift || hundredths < 200 => hundredths,
        _ if random.percent(55) => whole + random.pick(&[99, 99, 95, 49]),
        _ => hundredths,
    }
}

fn goods_item(
    run: &Run,
    actor: &Actor,
    route: Route,
    product: &Product,
    number: u32,
    random: &mut Random,
) -> GoodsItem {
    let (low, high) = product.mass_g;
    let mut mass_mg = random.between(low * 1_000, high * 1_000) / 100 * 100;
    if actor.habit == Some(Habit::LightParcels) {
        mass_mg = 1_000;
    }
    let vague = actor.habit == Some(Habit::VagueDescriptions) && random.percent(40);
    let description = if vague {
        random.pick(&VAGUE).to_owned()
    } else {
        match actor.habit {
            Some(Habit::OtherHsCodes) if random.percent(25) => goods::draw(random).describe(random),
            Some(Habit::MergedLines) if random.percent(50) => {
                [product.description, goods::draw(random).description].join(" and ")
            }
            _ => product.describe(random),
        }
    };
    // Before they become mandatory some give product identifiers already; for a gift nobody does.
    let identified = route != Route::Gift
        && match run.regime {
            Regime::ProductIdentifiers => true,
            Regime::FlatDuty => actor.index % 3 != 1,
            Regime::Relief => actor.index.is_multiple_of(7),
        };
    let product_identifiers = identified.then(|| {
        let sku = random.below(90_000);
        ProductIdentifiers {
            merchant: format!("SKU-{sku:05}"),
            manufacturer: if sku.is_multiple_of(4) {
                "NA".to_owned()
            } else {
                format!("MF{}-{}", sku % 97, product.hs6)
            },
            gtin: if sku.is_multiple_of(3) { goods::gtin(sku) } else { String::new() },
        }
    });
    GoodsItem {
        goods_item_number: number,
        hs6: product.hs6.to_owned(),
        description,
        intrinsic_value: None,
        gross_mass_mg: mass_mg,
        packages: u32::from(number == 1),
        additional_procedures: procedures(run.regime, route)
            .iter()
            .map(|&code| code.to_owned())
            .collect(),
        product: product_identifiers,
        country_of_origin: if actor.trade == Trade::Courier && random.percent(30) {
            "CN".to_owned()
        } else {
            String::new()
        },
    }
}
