//! The catalogue of what is found after acceptance: what each counts, out of what, and where it comes from.
//! The same texts go to whoever reads a figure.

use super::table::{DAYS_BEFORE_MAX, FOUR_WEEKS, MONTH, WEEK};
use crate::summary::Description;

/// An indicator, or a flag, that is found after acceptance. Numbers stand in files, and are never given to
/// another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// I-15.
    TopHs6 = 1,
    /// I-15.
    Top3Hs6 = 2,
    /// I-16, flag CONSIGNMENT_SPLIT_SUSPECT.
    Split = 3,
    /// Flag DUPLICATE_TRANSPORT_DOCUMENT.
    DuplicateDocument = 4,
    /// I-26.
    ImporterConcentration = 5,
    /// I-26.
    TopImporter = 6,
    /// I-26.
    CrowdedAddress = 7,
    /// I-18.
    IossDeclarants = 8,
    /// I-18.
    IossNewDeclarants = 9,
    /// I-19.
    IossSpike = 10,
    /// I-20.
    IossExporters = 11,
    /// I-22.
    IossMonth = 12,
    /// I-08.
    LowValuePerKg = 13,
    /// I-10.
    RepeatedPrice = 14,
    /// I-17.
    RepeatConsignee = 15,
    /// I-25.
    GiftCluster = 16,
    /// I-12.
    JoinedGoods = 17,
    /// I-20.
    ExporterNumbers = 18,
    /// I-08.
    LowForActor = 19,
}

struct Row {
    kind: Kind,
    flag: Option<&'static str>,
    denominator_min: u64,
    description: Description,
}

/// All of them, in the order in which days have them.
static TABLE: [Row; 19] = [
    Row {
        kind: Kind::TopHs6,
        flag: None,
        denominator_min: 500,
        description: Description {
            name: "top_hs6_share",
            title: "Most frequent HS code",
            numerator: "Accepted lines with the actor's most frequent HS code of the day",
            denominator: "Accepted lines with an HS code",
            formula: "numerator / denominator; no interval, since the code is chosen for being the largest",
            source: "I-15",
            notable_above: Some(0.4),
            is_proportion: false,
        },
    },
    Row {
        kind: Kind::Top3Hs6,
        flag: None,
        denominator_min: 500,
        description: Description {
            name: "top_3_hs6_share",
            title: "Three most frequent HS codes",
            numerator: "Accepted lines with one of the actor's three most frequent HS codes of the day",
            denominator: "Accepted lines with an HS code",
            formula: "numerator / denominator; no interval, since the codes are chosen for being the largest",
            source: "I-15",
            notable_above: None,
            is_proportion: false,
        },
    },
    Row {
        kind: Kind::Split,
        flag: Some("CONSIGNMENT_SPLIT_SUSPECT"),
        denominator_min: 1,
        description: Description {
            name: "consignment_split_rate",
            title: "Consignments that may be one split up",
            numerator: "Accepted consignments of the day that with others of the same exporter and importer, one \
                        day earlier to one day later, are above EUR 150 together, none of them being so alone",
            denominator: "Accepted consignments",
            formula: "numerator / denominator",
            source: "I-16; Art. 1(48) UCC-DA (Delegated Regulation (EU) 2015/2446)",
            notable_above: Some(0.005),
            is_proportion: true,
        },
    },
    Row {
        kind: Kind::DuplicateDocument,
        flag: Some("DUPLICATE_TRANSPORT_DOCUMENT"),
        denominator_min: 1,
        description: Description {
            name: "duplicate_transport_document_rate",
            title: "Transport documents declared before",
            numerator: "Accepted consignments of the day whose transport document, by type and reference, stands \
                        in another one that was accepted before, of whomever, on that day or the 27 before it",
            denominator: "Accepted consignments with a transport document",
            formula: "numerator / denominator",
            source: "Art. 162 UCC (Regulation (EU) 952/2013); DOMAIN 3.2 and 4.1",
            notable_above: Some(0.0),
            is_proportion: true,
        },
    },
    Row {
        kind: Kind::ImporterConcentration,
        flag: None,
        // Of 500 consignments.
        denominator_min: 250_000,
        description: Description {
            name: "importer_concentration",
            title: "Concentration on importers",
            numerator: "Sum over importers of the square of their accepted consignments",
            denominator: "Square of the accepted consignments with a named importer",
            formula: "numerator / denominator: the Herfindahl-Hirschman index, the sum of squared shares; 1/n of n \
                      importers with as many each, 1 of a single one",
            source: "I-26; Herfindahl 1950, Hirschman 1964",
            notable_above: Some(0.05),
            is_proportion: false,
        },
    },
    Row {
        kind: Kind::TopImporter,
        flag: None,
        denominator_min: 500,
        description: Description {
            name: "top_importer_share",
            title: "Most frequent importer",
            numerator: "Accepted consignments of the actor's most frequent importer of the day",
            denominator: "Accepted consignments with a named importer",
            formula: "numerator / denominator; no interval, since the importer is chosen for being the largest",
            source: "I-26",
            notable_above: None,
            is_proportion: false,
        },
    },
    Row {
        kind: Kind::CrowdedAddress,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "crowded_address_rate",
            title: "Addresses with many names",
            numerator: "Accepted consignments to an address (street, postcode, country) to which consignments for 10 \
                        names or more were declared that day, by whomever",
            denominator: "Accepted consignments with an importer's street",
            formula: "numerator / denominator",
            source: "I-26",
            notable_above: None,
            is_proportion: true,
        },
    },
    Row {
        kind: Kind::IossDeclarants,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "ioss_declarants",
            title: "Declarants of an IOSS number",
            numerator: "Declarants with accepted consignments under the IOSS number on the day or the 6 before it",
            denominator: "Those consignments",
            formula: "numerator",
            source: "I-18",
            notable_above: None,
            is_proportion: false,
        },
    },
    Row {
        kind: Kind::IossNewDeclarants,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "ioss_new_declarants",
            title: "New declarants of an IOSS number",
            numerator: "Declarants with accepted consignments under the IOSS number on the day, and none on the 27 before it; only of a \
                        number that others declared under on those",
            denominator: "Accepted consignments under it on the day",
            formula: "numerator",
            source: "I-18",
            notable_above: Some(3.0),
            is_proportion: false,
        },
    },
    Row {
        kind: Kind::IossSpike,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "ioss_value_spike",
            title: "Sudden value under an IOSS number",
            numerator: "Euro cents of accepted consignments under the IOSS number on the day",
            denominator: "Euro cents of a day, as the exponentially weighted mean of those before (1 at least)",
            formula: "(numerator - mean) / standard deviation, both exponentially weighted (a day has weight 0.1) over the days of the 27 \
                      before on which anyone declared, from the first one of the number on; with 7 of them at least",
            source: "I-19; Roberts 1959 (EWMA)",
            notable_above: Some(6.0),
            is_proportion: false,
        },
    },
    Row {
        kind: Kind::IossExporters,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "ioss_exporter_spread",
            title: "Exporters of an IOSS number",
            numerator: "Different exporters of accepted consignments under the IOSS number on the day",
            denominator: "Accepted lines under it on the day",
            formula: "numerator / denominator, to be held against the number's own of before",
            source: "I-20",
            notable_above: None,
            is_proportion: false,
        },
    },
    Row {
        kind: Kind::IossMonth,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "ioss_month_value",
            title: "Value under an IOSS number, month to date",
            numerator: "Euro cents of accepted consignments under the IOSS number from the first of the month to the day, also by member \
                        state of the importer",
            denominator: "Those consignments",
            formula: "numerator; also on days on which it declared nothing: what the number's return of the month is to be held against",
            source: "I-22; Art. 369t Directive 2006/112/EC",
            notable_above: None,
            is_proportion: false,
        },
    },
    Row {
        kind: Kind::LowValuePerKg,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "low_value_per_kg_rate",
            title: "Low value per kilogram",
            numerator: "Accepted lines of the day whose value per kilogram lies more than 3 robust standard deviations below the centre \
                        of its HS code among the other actors of the role",
            denominator: "Accepted lines of the day with HS code, value and mass, of which 3 other actors or more have 30 lines in the 90 days \
                          up to it",
            formula: "numerator / denominator; z = (ln(value/kg) - centre) / (1.4826 s): centre is the median of the others' medians, and s² \
                      the square of the median of their own median absolute deviations plus that of the median distance of \
                      their medians from the centre; in buckets of 1.09 %, so that a median is at most 0.55 % off",
            source: "I-08; Hampel 1974 (MAD)",
            notable_above: Some(0.05),
            is_proportion: true,
        },
    },
    Row {
        kind: Kind::RepeatedPrice,
        flag: None,
        denominator_min: 500,
        description: Description {
            name: "repeated_price_share",
            title: "Most repeated price",
            numerator: "Accepted lines of the day with the most frequent combination of HS code, currency and amount that 3 exporters or \
                        more have",
            denominator: "Accepted lines with an HS code and a price",
            formula: "numerator / denominator; no interval, since the price is chosen for being the most frequent",
            source: "I-10",
            notable_above: Some(0.1),
            is_proportion: false,
        },
    },
    Row {
        kind: Kind::RepeatConsignee,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "repeat_consignee_rate",
            title: "Importers who receive much",
            numerator: "Accepted consignments of the day whose importer received 10 or more, of whomever, on the day and the 6 before it",
            denominator: "Accepted consignments with a named importer",
            formula: "numerator / denominator",
            source: "I-17",
            notable_above: Some(0.02),
            is_proportion: true,
        },
    },
    Row {
        kind: Kind::GiftCluster,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "gift_cluster_rate",
            title: "Gifts that may be none",
            numerator: "Accepted consignments of the day with a gift (C08) whose exporter has 5 or more such on the day and the 6 before it, \
                        or shows signs of a company (GIFT_COMMERCIAL_SIGNS)",
            denominator: "Accepted consignments with a gift",
            formula: "numerator / denominator",
            source: "I-25; Art. 25 of Regulation (EC) 1186/2009",
            notable_above: Some(0.0),
            is_proportion: true,
        },
    },
    Row {
        kind: Kind::JoinedGoods,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "joined_goods_rate",
            title: "Descriptions that join goods",
            numerator: "Accepted lines whose description has a plus sign or \"and\" between spaces (no comma, as several_goods_rate counts \
                        it: that sets off most often what one thing is made of)",
            denominator: "Accepted lines with a description",
            formula: "numerator / denominator",
            source: "I-12",
            notable_above: None,
            is_proportion: true,
        },
    },
    Row {
        kind: Kind::ExporterNumbers,
        flag: None,
        denominator_min: 1,
        description: Description {
            name: "exporter_other_number_rate",
            title: "Exporters under another IOSS number than theirs",
            numerator: "Accepted consignments of the day under an IOSS number whose exporter, from the same address, had more under another one \
                        with the same declarant, on the day and the 6 before it",
            denominator: "Accepted consignments under an IOSS number with an exporter",
            formula: "numerator / denominator",
            source: "I-20",
            notable_above: None,
            is_proportion: true,
        },
    },
    Row {
        kind: Kind::LowForActor,
        flag: None,
        denominator_min: 500,
        description: Description {
            name: "low_value_excess_rate",
            title: "More low values than others have",
            numerator: "Accepted lines of the day whose value per kilogram lies more than 2 robust standard deviations below the actor's own \
                        median of its HS code in the 90 days up to it",
            denominator: "Accepted lines of the day with HS code, value and mass, of which the actor and 3 others of the role or more have 30 \
                          lines in those days",
            formula: "(numerator - high - expected) / denominator; high are those as far above that median, since what is wide \
                      on both sides is not low; expected is the sum over HS codes of the actor's lines of the day times the \
                      median of the others' shares of such lines, low less high, in those days; a robust standard deviation \
                      is 1.4826 times the median over the actors of their median absolute deviation. No interval: it may be \
                      below 0",
            source: "I-08; Hampel 1974 (MAD); indirect standardisation",
            notable_above: Some(0.02),
            is_proportion: false,
        },
    },
];

impl Kind {
    /// All, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.kind)
    }

    /// By its number in files.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::all().find(|kind| *kind as u8 == number)
    }

    /// By its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|kind| kind.description().name == name)
    }

    fn row(self) -> &'static Row {
        let row = TABLE.iter().find(|row| row.kind == self);
        let Some(row) = row else { unreachable!("every kind has a row") };
        row
    }

    /// What it counts.
    #[must_use]
    pub fn description(self) -> &'static Description {
        &self.row().description
    }

    /// The flag that its examples have, by its name in DOMAIN section 8.
    #[must_use]
    pub fn flag(self) -> Option<&'static str> {
        self.row().flag
    }

    /// How many days before its own, and after it, it looks at.
    #[must_use]
    pub fn days(self) -> (u16, u16) {
        match self {
            Self::TopHs6 | Self::Top3Hs6 | Self::ImporterConcentration | Self::TopImporter => {
                (0, 0)
            }
            Self::CrowdedAddress | Self::IossExporters => (0, 0),
            Self::RepeatedPrice | Self::JoinedGoods => (0, 0),
            Self::Split => (1, 1),
            Self::IossDeclarants | Self::ExporterNumbers => (WEEK, 0),
            Self::RepeatConsignee | Self::GiftCluster => (WEEK, 0),
            Self::DuplicateDocument | Self::IossNewDeclarants | Self::IossSpike => (FOUR_WEEKS, 0),
            Self::IossMonth => (MONTH, 0),
            Self::LowValuePerKg | Self::LowForActor => (DAYS_BEFORE_MAX, 0),
        }
    }

    /// Without an interval it says something from here on.
    #[must_use]
    pub fn denominator_min(self) -> u64 {
        self.row().denominator_min
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_a_number_and_a_name_of_its_own_and_is_found_by_both() {
        let numbers: BTreeSet<_> = Kind::all().map(|kind| kind as u8).collect();
        assert_eq!(numbers.len(), TABLE.len());
        for kind in Kind::all() {
            let name = kind.description().name;
            assert_eq!(
                (Kind::from_number(kind as u8), Kind::parse(name)),
                (Some(kind), Some(kind))
            );
            assert!(!crate::summary::is_indicator(name), "{name} is one of the summaries, too");
        }
        assert_eq!((Kind::from_number(0), Kind::parse("rejection_rate")), (None, None));
    }
}
