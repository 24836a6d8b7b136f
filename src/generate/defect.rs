//! Defects that are planted in a declaration in good order, each with the exact set of reasons for
//! which it must be rejected.
//!
//! The reasons follow from the law as section 8 of the domain description applies it: one defect,
//! one reason, the most specific; a test whose input is missing or malformed is not made. They are
//! written down here by name, and neither rules nor reasons of the product are called.

use super::declaration::Made;
use super::document::with_wrong_check_digit;
use super::law::{Regime, Route, hundredths, procedures};
use super::random::Random;
use crate::proto::v1::{Declaration, GoodsItem, LocationOfGoods, Money};

macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $name:ident => $reason:literal,)+) => {
        /// One thing that is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Defect {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Defect {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The one reason for which it is rejected.
            pub(crate) fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)+ }
            }
        }
    };
}

defects! {
    /// No LRN.
    LrnMissing => "FIELD_MISSING",
    /// An LRN of more than 22 characters.
    LrnTooLong => "FIELD_FORMAT",
    /// Neither A nor D.
    DeclarationType => "DECLARATION_TYPE_NOT_H7",
    /// None at all.
    DeclarationTypeMissing => "FIELD_MISSING",
    /// No exporter's name.
    ExporterNameMissing => "FIELD_MISSING",
    /// No exporter's country.
    ExporterCountryMissing => "FIELD_MISSING",
    /// A country that does not exist.
    ExporterCountryUnknown => "CODE_UNKNOWN",
    /// No consignee's city, and no identification instead.
    ImporterCityMissing => "FIELD_MISSING",
    /// No transport document.
    TransportDocumentMissing => "FIELD_MISSING",
    /// No previous document, with goods that are presented (type A).
    PreviousDocumentMissing => "FIELD_MISSING",
    /// The location is an empty message.
    LocationMissing => "FIELD_MISSING",
    /// A goods item without a description.
    DescriptionMissing => "FIELD_MISSING",
    /// A goods item without a value.
    ValueMissing => "FIELD_MISSING",
    /// A goods item without an HS code.
    HsCodeMissing => "FIELD_MISSING",
    /// More than 512 characters.
    DescriptionTooLong => "FIELD_FORMAT",
    /// Five digits.
    HsCodeTooShort => "FIELD_FORMAT",
    /// Nothing but digits.
    DescriptionOfDigits => "DESCRIPTION_FORMAT",
    /// Nothing but symbols.
    DescriptionOfSymbols => "DESCRIPTION_FORMAT",
    /// A gross mass of 0.
    MassZero => "VALUE_NOT_POSITIVE",
    /// A value of 0.
    ValueZero => "VALUE_NOT_POSITIVE",
    /// No packages on the first goods item.
    PackagesZero => "VALUE_NOT_POSITIVE",
    /// Far above EUR 150.
    AboveThreshold => "INTRINSIC_VALUE_EXCEEDS_THRESHOLD",
    /// A gift clearly above EUR 45, and below 150.
    GiftAbove45 => "GIFT_VALUE_EXCEEDS_45",
    /// Chapter 77 is reserved.
    HsChapter77 => "HS_CODE_NOT_IN_NOMENCLATURE",
    /// A code of HS 2017 that HS 2022 replaced.
    HsCodeOf2017 => "HS_CODE_NOT_IN_NOMENCLATURE",
    /// Wine, or cigarettes.
    Excise => "EXCISE_GOODS_NOT_ALLOWED",
    /// Medicines, fireworks, biocides or weapons.
    Restricted => "GOODS_RESTRICTED",
    /// From Russia or Belarus.
    Sanctioned => "SANCTIONED_COUNTRY",
    /// The MRN of temporary storage has a wrong check digit.
    PreviousDocumentCheckDigit => "PREVIOUS_DOCUMENT_MRN_CHECK_DIGIT",
    /// An intermediary's number in place of an IOSS number.
    IossIntermediary => "IOSS_NUMBER_MALFORMED",
    /// The number of a country that gives none.
    IossCountry => "IOSS_NUMBER_MALFORMED",
    /// F48 without a number.
    IossMissing => "IOSS_NUMBER_MISSING",
    /// A number without F48.
    IossWithoutF48 => "IOSS_WITHOUT_F48",
    /// A German consignee without IOSS.
    OtherDestination => "DESTINATION_NOT_IN_MEMBER_STATE",
    /// Relief from duty claimed after it ended.
    ReliefAbolished => "DUTY_RELIEF_ABOLISHED",
    /// Codes that do not go together, or not on this day.
    Combination => "PROCEDURE_COMBINATION_INVALID",
    /// F48 on some goods items only.
    MixedLines => "PROCEDURE_MIXED_LINES",
    /// No additional procedure at all.
    ProcedureMissing => "FIELD_MISSING",
    /// No product identifiers.
    ProductMissing => "PRODUCT_ID_MISSING",
    /// The merchant's identifier alone.
    ManufacturerMissing => "PRODUCT_ID_MISSING",
    /// No currency of any country.
    CurrencyUnknown => "CURRENCY_UNKNOWN",
    /// The last goods item's number leaves a gap.
    ItemSequence => "ITEM_NUMBER_SEQUENCE",
}

/// Two that have nothing to do with each other, so that both reasons must come.
const PAIRS: [(Defect, Defect); 8] = [
    (Defect::HsChapter77, Defect::IossIntermediary),
    (Defect::MassZero, Defect::PreviousDocumentCheckDigit),
    (Defect::Sanctioned, Defect::DescriptionOfDigits),
    (Defect::DeclarationType, Defect::ItemSequence),
    (Defect::AboveThreshold, Defect::Excise),
    (Defect::OtherDestination, Defect::Restricted),
    (Defect::TransportDocumentMissing, Defect::DescriptionOfSymbols),
    (Defect::IossMissing, Defect::PackagesZero),
];

/// Plants a defect that suits the declaration, one in eight times two of them, and returns the
/// reasons for which it must be rejected. Leaves the LRN as it is unless `in_lrn`, and draws none
/// of `but`.
pub(crate) fn plant(
    made: &mut Made,
    regime: Regime,
    in_lrn: bool,
    but: &[Defect],
    random: &mut Random,
) -> Vec<Defect> {
    let planted = choose(made, regime, in_lrn, but, random);
    for defect in &planted {
        defect.apply(made, regime, random);
    }
    planted
}

fn choose(
    made: &Made,
    regime: Regime,
    in_lrn: bool,
    but: &[Defect],
    random: &mut Random,
) -> Vec<Defect> {
    if in_lrn {
        return vec![random.pick(&[Defect::LrnMissing, Defect::LrnTooLong].map(Some))]
            .into_iter()
            .flatten()
            .collect();
    }
    let suits = |defect: Defect| {
        !matches!(defect, Defect::LrnMissing | Defect::LrnTooLong)
            && !but.contains(&defect)
            && defect.suits(made, regime)
    };
    if random.percent(12)
        && let Some((one, other)) = random.pick(&PAIRS.map(Some))
        && suits(one)
        && suits(other)
    {
        return vec![one, other];
    }
    // From a random place on, the first that suits; one that always does comes round at last.
    let start = usize::try_from(random.below(Defect::ALL.len() as u64)).unwrap_or(0);
    let round = Defect::ALL.iter().cycle().skip(start).take(Defect::ALL.len());
    round.copied().find(|&defect| suits(defect)).into_iter().collect()
}

impl Defect {
    /// Whether it can be planted in this declaration and then draws its own reason alone.
    fn suits(self, made: &Made, regime: Regime) -> bool {
        let declaration = &made.declaration;
        let sale = made.route != Route::Gift;
        let ioss = made.route == Route::Ioss;
        let importer = declaration.importer.as_ref();
        let dutch = importer.is_some_and(|importer| importer.country == "NL");
        match self {
            Self::ImporterCityMissing => {
                importer.is_some_and(|importer| importer.identification.is_empty())
            }
            Self::PreviousDocumentMissing => declaration.additional_declaration_type == "A",
            Self::PreviousDocumentCheckDigit => !declaration.previous_documents.is_empty(),
            Self::AboveThreshold | Self::Excise | Self::Restricted | Self::Sanctioned => sale,
            Self::GiftAbove45 => !sale,
            Self::IossIntermediary | Self::IossCountry | Self::IossMissing => ioss,
            Self::IossWithoutF48 | Self::OtherDestination | Self::ProcedureMissing => {
                sale && !ioss && dutch
            }
            Self::ReliefAbolished => sale && regime != Regime::Relief,
            Self::Combination => sale && dutch,
            Self::MixedLines => ioss && dutch && declaration.goods_items.len() > 1,
            Self::ProductMissing | Self::ManufacturerMissing => {
                sale && regime == Regime::ProductIdentifiers
            }
            _ => true,
        }
    }

    fn apply(self, made: &mut Made, regime: Regime, random: &mut Random) {
        let route = made.route;
        let declaration = &mut made.declaration;
        let items = declaration.goods_items.len() as u64;
        let place = usize::try_from(random.below(items)).unwrap_or(0);
        let exporter = declaration.exporter.get_or_insert_default();
        let importer = declaration.importer.get_or_insert_default();
        match self {
            Self::LrnMissing => declaration.lrn.clear(),
            Self::LrnTooLong => {
                let more = format!("/{:022}", random.below(1 << 40));
                declaration.lrn.push_str(&more);
            }
            Self::DeclarationType => {
                random
                    .pick(&["C", "Z", "X"])
                    .clone_into(&mut declaration.additional_declaration_type);
            }
            Self::DeclarationTypeMissing => declaration.additional_declaration_type.clear(),
            Self::ExporterNameMissing => exporter.name.clear(),
            Self::ExporterCountryMissing => exporter.country.clear(),
            Self::ExporterCountryUnknown => "ZZ".clone_into(&mut exporter.country),
            Self::ImporterCityMissing => importer.city.clear(),
            Self::Sanctioned => {
                let (country, city, postcode) =
                    random.pick(&[("RU", "Moscow", "101000"), ("BY", "Minsk", "220030")]);
                country.clone_into(&mut exporter.country);
                city.clone_into(&mut exporter.city);
                postcode.clone_into(&mut exporter.postcode);
            }
            Self::OtherDestination => {
                "DE".clone_into(&mut importer.country);
                "Bocholt".clone_into(&mut importer.city);
                "46395".clone_into(&mut importer.postcode);
            }
            Self::TransportDocumentMissing => declaration.transport_document = None,
            Self::PreviousDocumentMissing => declaration.previous_documents.clear(),
            Self::PreviousDocumentCheckDigit => {
                for document in &mut declaration.previous_documents {
                    document.reference = with_wrong_check_digit(&document.reference);
                }
            }
            Self::LocationMissing => {
                declaration.location_of_goods = Some(LocationOfGoods::default());
            }
            Self::IossIntermediary => {
                declaration.ioss_number = declaration.ioss_number.replacen("IM", "IN", 1);
            }
            Self::IossCountry => {
                declaration.ioss_number = format!("IM999{:07}", random.below(10_000_000));
            }
            Self::IossMissing => declaration.ioss_number.clear(),
            Self::IossWithoutF48 => "IM5280007731".clone_into(&mut declaration.ioss_number),
            Self::ReliefAbolished => {
                let codes = procedures(Regime::Relief, route);
                set_procedures(&mut declaration.goods_items, codes);
            }
            Self::Combination => {
                set_procedures(&mut declaration.goods_items, wrong_combination(regime, route));
            }
            Self::ProcedureMissing => set_procedures(&mut declaration.goods_items, &[]),
            Self::MixedLines => {
                let codes = procedures(regime, Route::Standard);
                let others = declaration.goods_items.len() - 1;
                for item in declaration.goods_items.iter_mut().take(others) {
                    set_procedures(std::slice::from_mut(item), codes);
                }
            }
            Self::AboveThreshold => set_value(declaration, random.between(26_000, 90_000)),
            Self::GiftAbove45 => set_value(declaration, random.between(8_000, 10_000)),
            Self::CurrencyUnknown => {
                for item in &mut declaration.goods_items {
                    if let Some(value) = &mut item.intrinsic_value {
                        "BTC".clone_into(&mut value.currency);
                    }
                }
            }
            Self::PackagesZero => {
                if let Some(item) = declaration.goods_items.first_mut() {
                    item.packages = 0;
                }
            }
            Self::ItemSequence => {
                if let Some(item) = declaration.goods_items.last_mut() {
                    item.goods_item_number += 1;
                }
            }
            _ => {
                if let Some(item) = declaration.goods_items.get_mut(place) {
                    self.apply_to_item(item, random);
                }
            }
        }
    }

    fn apply_to_item(self, item: &mut GoodsItem, random: &mut Random) {
        match self {
            Self::DescriptionMissing => item.description.clear(),
            Self::ValueMissing => item.intrinsic_value = None,
            Self::HsCodeMissing => item.hs6.clear(),
            Self::DescriptionTooLong => {
                while item.description.len() <= 512 {
                    item.description.push_str(", with many more words");
                }
            }
            Self::HsCodeTooShort => item.hs6.truncate(5),
            Self::DescriptionOfDigits => {
                item.description = random.between(10_000_000, 9_999_999_999).to_string();
            }
            Self::DescriptionOfSymbols => {
                random
                    .pick(&["***", "...", "- -", "#@!", "--/--"])
                    .clone_into(&mut item.description);
            }
            Self::MassZero => item.gross_mass_mg = 0,
            Self::ValueZero => {
                if let Some(value) = &mut item.intrinsic_value {
                    value.hundredths = 0;
                }
            }
            Self::HsChapter77 => item.hs6 = format!("77{:04}", random.below(10_000)),
            Self::HsCodeOf2017 => "620193".clone_into(&mut item.hs6),
            Self::Excise => become_other(
                item,
                random.pick(&[
                    ("220421", "Red wine, bottled, 75 cl"),
                    ("220830", "Blended whisky, 70 cl"),
                    ("240220", "Filter cigarettes, 20 pieces"),
                ]),
            ),
            Self::Restricted => become_other(
                item,
                random.pick(&[
                    ("300490", "Tablets against fever, 50 pieces"),
                    ("360410", "Firework rockets, set of 12"),
                    ("380891", "Spray against insects, 400 ml"),
                    ("930400", "Pepper spray, 50 ml"),
                    ("970529", "Fossil of a trilobite"),
                ]),
            ),
            Self::ProductMissing => item.product = None,
            Self::ManufacturerMissing => {
                if let Some(product) = &mut item.product {
                    product.manufacturer.clear();
                }
            }
            // All others concern the declaration as a whole.
            _ => {}
        }
    }
}

fn become_other(item: &mut GoodsItem, (hs6, description): (&str, &str)) {
    hs6.clone_into(&mut item.hs6);
    description.clone_into(&mut item.description);
}

fn set_procedures(items: &mut [GoodsItem], codes: &[&str]) {
    for item in items {
        item.additional_procedures = codes.iter().map(|&code| code.to_owned()).collect();
    }
}

/// Codes that are not allowed together, or not without C07, under that law. F48 stays where there
/// is an IOSS number, so that nothing is wrong with that.
fn wrong_combination(regime: Regime, route: Route) -> &'static [&'static str] {
    match (regime, route) {
        (Regime::Relief, Route::Ioss) => &["F48"],
        (Regime::Relief, Route::Special) => &["F49"],
        (Regime::Relief, _) => &["F53"],
        (_, Route::Ioss) => &["F48", "F49"],
        _ => &["F49", "F53"],
    }
}

/// Makes the first goods item worth so many rough euro cents.
fn set_value(declaration: &mut Declaration, eur_cents: u64) {
    if let Some(Money { currency, hundredths: amount }) =
        declaration.goods_items.first_mut().and_then(|item| item.intrinsic_value.as_mut())
    {
        *amount = hundredths(eur_cents, currency);
    }
}
