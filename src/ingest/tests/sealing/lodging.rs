//! What is lodged: a few LRNs with a few contents each, so that replays, conflicts, corrected
//! rejections and nameless declarations come of themselves.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use crate::day::{Calendar, Day, Moment};
use crate::disk::simulated::Chance;
use crate::index::filed::Draft;
use crate::ingest::laws::{Laws, Numbered};
use crate::ingest::prepare::{Bounds, Prepared, Preparer};
use crate::ingest::work::Finisher;
use crate::mrn::Mint;
use crate::proto::v1;
use crate::rules::{Law, Shelf};
use crate::wire::digest::Keys;

pub(super) const ZONE: &str = "Europe/Amsterdam";
pub(super) const IDENTITY: [u8; 16] = [4; 16];
/// Laws that are put in force one after another: as many as are held in memory at once.
pub(super) const LAWS: usize = 3;
/// Each batch has one of these many messages more often than not, so that many come twice.
const LRNS: u64 = 9;

static ALL_LAWS: LazyLock<Vec<Arc<Law>>> =
    LazyLock::new(|| (0..LAWS).map(|lines| Arc::new(super::super::law(lines))).collect());

pub(super) fn keys() -> Keys {
    Keys::new([1; 16], [2; 32])
}

pub(super) fn mint() -> Mint {
    Mint::new([5; 16])
}

pub(super) fn calendar() -> Calendar {
    Calendar::new(ZONE).unwrap()
}

pub(super) fn preparer() -> Preparer {
    Preparer::new(Bounds::NONE, calendar(), keys())
}

pub(super) fn finisher() -> Finisher {
    Finisher { mint: mint(), answer_bytes_max: 1 << 20 }
}

/// The law that gets this number.
pub(super) fn numbered(number: usize) -> Numbered {
    let law = Arc::clone(&ALL_LAWS[number]);
    Numbered { number: u32::try_from(number).unwrap(), law }
}

/// Laws of which none has a record. All are in memory, so that no start has to read one.
pub(super) fn laws(shelf: &Path) -> Arc<Laws> {
    let laws = Laws::over(Shelf::open(shelf).unwrap());
    for number in 0..LAWS {
        let Numbered { number, law } = numbered(number);
        laws.put_in_force(number, law);
    }
    Arc::new(laws)
}

/// Judges a message that arrives at `at`.
pub(super) fn prepare(
    preparer: &mut Preparer,
    message: &Bytes,
    at: Moment,
    law: &Numbered,
) -> (Prepared, Draft) {
    let when = preparer.calendar().when(at);
    preparer.prepare(message.clone(), when, law).unwrap()
}

/// When the first batches arrive.
pub(super) fn morning() -> Moment {
    calendar().parse("2026-11-05T22:00").unwrap()
}

/// The day before, when some were lodged under the emergency procedure.
fn evening_before() -> Moment {
    calendar().start_of(Day::parse("2026-11-04").unwrap())
}

/// A batch.
pub(super) fn message(chance: &mut Chance) -> Bytes {
    let declarations = (0..1 + chance.below(4)).map(|_| declaration(chance)).collect();
    let has_representative = chance.hits(20);
    let request = v1::SubmitBatchRequest {
        batch_id: format!("{}", chance.below(1_000)),
        declarant: if chance.hits(60) { "NL810000003" } else { "BE0400000008" }.into(),
        representative: if has_representative { "NL820000006" } else { "" }.into(),
        representative_status: if has_representative { 2 } else { 0 },
        declarations,
        common: None,
    };
    prost::Message::encode_to_vec(&request).into()
}

fn declaration(chance: &mut Chance) -> v1::Declaration {
    let lrn = match chance.below(LRNS + 2) {
        // No usable one.
        0 => String::new(),
        1 => "Ä".into(),
        lrn => format!("L{lrn}"),
    };
    // Above the threshold of EUR 150 in two contents of five.
    let hundredths = [3_000, 3_100, 4_200, 16_000, 17_000][chance.below(5) as usize];
    let lodged_at_ms = evening_before().0;
    let fallback = match chance.below(12) {
        0 => Some(v1::FallbackLodgement { reference: "F-1".into(), lodged_at_ms }),
        1 => Some(v1::FallbackLodgement { reference: String::new(), lodged_at_ms }),
        2 => Some(v1::FallbackLodgement { reference: "F-2".into(), lodged_at_ms: 77 }),
        _ => None,
    };
    v1::Declaration { lrn, fallback, ..sale(hundredths, chance.hits(15)) }
}

/// A clean sale through the import scheme but for its value, from a company or a private person.
fn sale(hundredths: u64, to_company: bool) -> v1::Declaration {
    let money = |hundredths| Some(v1::Money { currency: "EUR".into(), hundredths });
    let item = v1::GoodsItem {
        goods_item_number: 1,
        hs6: "610910".into(),
        // Some batches take several pages of the journal.
        description: if hundredths == 4_200 {
            "Men's cotton T-shirt, printed, size L ".repeat(13)
        } else {
            "Men's cotton T-shirt, printed, size L".into()
        },
        intrinsic_value: money(hundredths),
        gross_mass_mg: 420_000,
        packages: 1,
        additional_procedures: vec!["F48".into()],
        product: Some(v1::ProductIdentifiers {
            merchant: "SKU-1".into(),
            manufacturer: "NA".into(),
            gtin: String::new(),
        }),
        country_of_origin: String::new(),
    };
    let document = |r#type: &str, reference: &str| v1::DocumentReference {
        r#type: r#type.into(),
        reference: reference.into(),
    };
    v1::Declaration {
        goods_items: vec![item],
        additional_declaration_type: "A".into(),
        exporter: Some(v1::Party {
            name: "Lotusbay Trading Ltd".into(),
            street: "88 Xingye Rd".into(),
            postcode: "518000".into(),
            city: "Shenzhen".into(),
            country: "CN".into(),
            identification: String::new(),
        }),
        importer: Some(v1::Party {
            name: if to_company { "Kaashandel De Waag BV" } else { "J. Voorbeeld" }.into(),
            street: "Dorpsweg 12".into(),
            postcode: "7411AB".into(),
            city: "Deventer".into(),
            country: "NL".into(),
            identification: if to_company { "NL830000009" } else { "" }.into(),
        }),
        ioss_number: "IM5280007731".into(),
        transport_document: Some(document("N703", "LTB-417")),
        previous_documents: vec![document("N337", "25NLTSD000000421U7")],
        transport_costs: money(450),
        location_of_goods: Some(v1::LocationOfGoods {
            r#type: "B".into(),
            qualifier: "Y".into(),
            identification: "NLTSTTST0001".into(),
        }),
        ..v1::Declaration::default()
    }
}
