//! The tables: by what accepted declarations are brought together, and over which days.
//!
//! | table | group | sub | a row for each | count | amount | days before, after |
//! |---|---|---|---|---|---|---|
//! | goods | HS code, as a number | 0 | lodger with it | goods items | | 0, 0 |
//! | importers | the importer's pseudonym and 1; 0 without a name | 0 | lodger with it | declarations | | 6, 0 |
//! | addresses | the pseudonym of the importer's address | that of its name and 1; 0 without | lodger with both | declarations | | 0, 0 |
//! | splits | exporter and importer | ordinal | declaration | 1 | intrinsic value | 1, 1 |
//! | documents | transport document | ordinal | declaration | 1 | | 27, 0 |
//! | ioss_declarants | the digits of the IOSS number | 0 | lodger with it | declarations | intrinsic value | 27, 0 |
//! | ioss_exporters | the same | exporter, 0 without | lodger with both | goods items | | 0, 0 |
//! | ioss_states | the same | the importer's country | lodger with both | declarations | intrinsic value | 30, 0 |
//! | prices | HS code, currency and amount | exporter, 0 without | lodger with all | goods items | | 0, 0 |
//! | gifts | exporter, 0 without | ordinal | declaration with C08 on some goods item | 1 | 1 with commercial signs | 6, 0 |
//! | ratios | HS code | bucket of its value per kilogram | lodger with both | goods items | | 89, 0 |
//! | descriptions | 1 where it joins goods, or 0 | 0 | lodger with such | goods items | | 0, 0 |
//! | exporter_numbers | exporter at its address | the digits of the IOSS number | lodger with both | declarations | | 6, 0 |
//!
//! What has no such key (or a malformed IOSS number) is in no row, but that `importers` has every declaration.

use super::counting_ioss::state_number;
use super::counting_prices::price_number;
use super::error::InsightError;
use super::keys::Keys;
use super::ratio;
use super::row::Row;
use crate::archive::DeclarationEntry;
use crate::rules::finding::{Finding, Reason};
use crate::summary::{IossNumber, joins_goods};
use crate::wire::view::Money;

/// The days that a day's figures look at, at most: before it, and after it.
pub(super) const DAYS_BEFORE_MAX: u16 = 89;
/// A month, the day itself not among them.
pub(super) const MONTH: u16 = 30;
/// 7 days, the day itself among them.
pub(super) const WEEK: u16 = 6;
/// 28 days, the day itself among them.
pub(super) const FOUR_WEEKS: u16 = 27;
pub(super) const DAYS_AFTER_MAX: u16 = 1;

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Table {
    Goods = 1,
    Importers = 2,
    Addresses = 3,
    Splits = 4,
    Documents = 5,
    IossDeclarants = 6,
    IossExporters = 7,
    IossStates = 8,
    Prices = 9,
    Gifts = 10,
    Ratios = 11,
    Descriptions = 12,
    ExporterNumbers = 13,
}

impl Table {
    pub(super) const ALL: [Self; 13] = [
        Self::Goods,
        Self::Importers,
        Self::Addresses,
        Self::Splits,
        Self::Documents,
        Self::IossDeclarants,
        Self::IossExporters,
        Self::IossStates,
        Self::Prices,
        Self::Gifts,
        Self::Ratios,
        Self::Descriptions,
        Self::ExporterNumbers,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Goods => "goods",
            Self::Importers => "importers",
            Self::Addresses => "addresses",
            Self::Splits => "splits",
            Self::Documents => "documents",
            Self::IossDeclarants => "ioss_declarants",
            Self::IossExporters => "ioss_exporters",
            Self::IossStates => "ioss_states",
            Self::Prices => "prices",
            Self::Gifts => "gifts",
            Self::Ratios => "ratios",
            Self::Descriptions => "descriptions",
            Self::ExporterNumbers => "exporter_numbers",
        }
    }

    /// How many days before and after a day have a part in its figures.
    pub(super) fn days(self) -> (u16, u16) {
        match self {
            Self::Goods | Self::Addresses | Self::IossExporters => (0, 0),
            Self::Prices | Self::Descriptions => (0, 0),
            Self::Splits => (1, 1),
            Self::Documents | Self::IossDeclarants => (FOUR_WEEKS, 0),
            Self::IossStates => (MONTH, 0),
            Self::Importers | Self::Gifts | Self::ExporterNumbers => (WEEK, 0),
            Self::Ratios => (DAYS_BEFORE_MAX, 0),
        }
    }

    /// Hands the rows of a declaration to `add`.
    pub(super) fn rows(
        self,
        of: &Keyed<'_, '_>,
        add: &mut dyn FnMut(Row) -> Result<(), InsightError>,
    ) -> Result<(), InsightError> {
        let Keyed { entry, who, .. } = *of;
        let (ordinal, amount) = (entry.ordinal.0, entry.judgement.intrinsic_value.0);
        let row = |group, sub| Row { group, sub, who, ordinal, count: 1, amount: 0 };
        // Pseudonyms have 48 bits.
        let person = entry.importer_person.map_or(0, |person| person.saturating_add(1));
        match self {
            Self::Goods => {
                let codes = entry.declaration.goods_items.iter().filter_map(|item| hs6(item.hs6));
                codes.map(|code| row(code, 0)).try_for_each(add)
            }
            Self::Importers => add(row(person, 0)),
            Self::Addresses => {
                entry.importer_address.map(|address| row(address, person)).map_or(Ok(()), add)
            }
            Self::Splits => {
                of.pair.map(|pair| Row { amount, ..row(pair, ordinal) }).map_or(Ok(()), add)
            }
            Self::Documents => of.document.map(|key| row(key, ordinal)).map_or(Ok(()), add),
            Self::IossDeclarants => {
                of.ioss.map(|ioss| Row { amount, ..row(ioss, 0) }).map_or(Ok(()), add)
            }
            Self::IossExporters => {
                let count = entry.declaration.goods_items.len() as u64;
                let row = |ioss| Row { count, ..row(ioss, of.exporter.unwrap_or(0)) };
                of.ioss.map(row).map_or(Ok(()), add)
            }
            Self::IossStates => {
                let state = state_number(entry.declaration.importer.country);
                of.ioss.map(|ioss| Row { amount, ..row(ioss, state) }).map_or(Ok(()), add)
            }
            Self::Prices => {
                let exporter = of.exporter.unwrap_or(0);
                let goods_items = entry.declaration.goods_items.iter();
                let prices = goods_items.filter_map(|item| {
                    let Money { currency, hundredths } = item.intrinsic_value;
                    price_number(hs6(item.hs6)?, currency, hundredths)
                });
                prices.map(|price| row(price, exporter)).try_for_each(add)
            }
            Self::Gifts => {
                let mut goods_items = entry.declaration.goods_items.iter();
                if !goods_items.any(|item| item.additional_procedures.contains(&"C08")) {
                    return Ok(());
                }
                let is_sign = |finding: &Finding| finding.reason == Reason::GiftCommercialSigns;
                let amount = u64::from(entry.findings.list.iter().any(is_sign));
                add(Row { amount, ..row(of.exporter.unwrap_or(0), ordinal) })
            }
            Self::Ratios => {
                let goods_items = entry.declaration.goods_items.iter().zip(&entry.line_values);
                let ratios = goods_items.filter_map(|(item, value)| {
                    let bucket = ratio::bucket((*value)?.0, item.gross_mass_mg)?;
                    Some((hs6(item.hs6)?, bucket))
                });
                ratios.map(|(code, bucket)| row(code, bucket)).try_for_each(add)
            }
            Self::Descriptions => {
                let goods_items = entry.declaration.goods_items.iter();
                let described = goods_items.filter(|item| !item.description.is_empty());
                let kinds = described.map(|item| u64::from(joins_goods(item.description)));
                kinds.map(|kind| row(kind, 0)).try_for_each(add)
            }
            Self::ExporterNumbers => {
                of.sender.zip(of.ioss).map(|(sender, ioss)| row(sender, ioss)).map_or(Ok(()), add)
            }
        }
    }
}

/// A declaration with its keys.
#[derive(Debug)]
pub(super) struct Keyed<'a, 'd> {
    entry: &'a DeclarationEntry<'d>,
    who: u32,
    exporter: Option<u64>,
    /// Where it sells under an IOSS number.
    sender: Option<u64>,
    pair: Option<u64>,
    ioss: Option<u64>,
    document: Option<u64>,
}

impl<'a, 'd> Keyed<'a, 'd> {
    pub(super) fn new(entry: &'a DeclarationEntry<'d>, who: u32, keys: &mut Keys) -> Self {
        let declaration = &entry.declaration;
        let exporter = keys.exporter(&declaration.exporter, entry.exporter_person);
        let pair = exporter.zip(entry.importer_person);
        let ioss = IossNumber::parse(declaration.ioss_number);
        let ioss = ioss.and_then(|ioss| ioss.as_str().get(2..)?.parse().ok());
        let seller = exporter.filter(|_| ioss.is_some());
        Self {
            entry,
            who,
            exporter,
            sender: seller.map(|seller| keys.sender(seller, &declaration.exporter)),
            ioss,
            pair: pair.map(|(exporter, importer)| keys.pair(exporter, importer)),
            document: keys.document(&declaration.transport_document),
        }
    }
}

/// An HS code as a number.
fn hs6(text: &str) -> Option<u64> {
    let is_code = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_code { text.parse().ok() } else { None }
}
