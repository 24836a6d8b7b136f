//! A declaration as it is judged: normalised, with what the batch has in common applied, and
//! borrowed from the message (or from the arena of the batch, where normalising changed a text).
//!
//! The fields are those of `proto/waag/v1/declaration.proto`, where they are described. An absent
//! message and an empty one are the same here, as they are in the content digest: all its texts
//! are empty and its numbers 0.

use smallvec::SmallVec;

/// That all texts of a declaration but its LRN are printable ASCII, where that is known: whoever asks
/// about their characters is spared a look at each. It says nothing that the texts do not say, so two
/// declarations of the same texts are equal whether it is known of both or of one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain(pub(super) bool);

impl Plain {
    /// Whether it is known.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.0
    }
}

impl PartialEq for Plain {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Plain {}

/// One consignment to one importer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declaration<'a> {
    /// 12 09. Trimmed only.
    pub lrn: &'a str,
    /// At least one, or a finding says so.
    pub goods_items: Vec<GoodsItem<'a>>,
    /// 11 02.
    pub additional_declaration_type: &'a str,
    /// 13 01.
    pub exporter: Party<'a>,
    /// 13 04.
    pub importer: Party<'a>,
    /// 13 16 034.
    pub ioss_number: &'a str,
    /// 12 05.
    pub transport_document: DocumentReference<'a>,
    /// 12 01.
    pub previous_documents: Vec<DocumentReference<'a>>,
    /// 14 15.
    pub transport_costs: Money<'a>,
    /// 16 15.
    pub location_of_goods: LocationOfGoods<'a>,
    /// 12 08.
    pub ucr: &'a str,
    /// 12 03.
    pub supporting_documents: Vec<DocumentReference<'a>>,
    /// Emergency procedure.
    pub fallback: FallbackLodgement<'a>,
    /// No field of the contract: found when the declaration is normalised.
    pub plain: Plain,
}

/// A declaration line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoodsItem<'a> {
    /// 11 03.
    pub goods_item_number: u32,
    /// 18 09 056.
    pub hs6: &'a str,
    /// 18 05.
    pub description: &'a str,
    /// 14 14.
    pub intrinsic_value: Money<'a>,
    /// 18 04, milligrams.
    pub gross_mass_mg: u64,
    /// 18 06 004.
    pub packages: u32,
    /// 11 10.
    pub additional_procedures: SmallVec<[&'a str; 3]>,
    /// From 2026-11-01.
    pub product: ProductIdentifiers<'a>,
    /// ISO 3166-1 alpha-2.
    pub country_of_origin: &'a str,
}

/// An amount in hundredths of the currency's unit, whatever the currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Money<'a> {
    /// ISO 4217.
    pub currency: &'a str,
    /// JPY 8900 is 890000.
    pub hundredths: u64,
}

/// Exporter or importer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Party<'a> {
    /// Name.
    pub name: &'a str,
    /// Street and number.
    pub street: &'a str,
    /// Postcode.
    pub postcode: &'a str,
    /// City.
    pub city: &'a str,
    /// ISO 3166-1 alpha-2 and the customs extras.
    pub country: &'a str,
    /// EORI, where the party has one.
    pub identification: &'a str,
}

/// 16 15.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LocationOfGoods<'a> {
    /// 16 15 045.
    pub r#type: &'a str,
    /// 16 15 046.
    pub qualifier: &'a str,
    /// What the qualifier announces.
    pub identification: &'a str,
}

/// A document's type and reference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DocumentReference<'a> {
    /// As `N337`.
    pub r#type: &'a str,
    /// Its number.
    pub reference: &'a str,
}

/// What identifies the product, from 2026-11-01.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProductIdentifiers<'a> {
    /// The seller's.
    pub merchant: &'a str,
    /// The maker's.
    pub manufacturer: &'a str,
    /// GTIN, where there is one.
    pub gtin: &'a str,
}

/// First taken in under the emergency procedure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FallbackLodgement<'a> {
    /// The reference given then.
    pub reference: &'a str,
    /// Milliseconds since the Unix epoch.
    pub lodged_at_ms: i64,
}

/// Who lodges a batch: its actors, normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lodger<'a> {
    /// 13 05. Well formed, or the call was refused.
    pub declarant: crate::id::Eori,
    /// 13 06. Empty where there is none; may be malformed, which the rules find.
    pub representative: &'a str,
    /// 13 06 030. 0 where there is none.
    pub representative_status: u32,
}
