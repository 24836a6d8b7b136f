//! What is looked at: of the indicators of a declarant's day those that rules are about.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::insight::{HIGH_FOR_ACTOR, Kind, PRICE_EXPORTERS, Part};
use crate::rules::finding::Reason;

macro_rules! inputs {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// One of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Input {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Input {
            const ALL: &[Self] = &[$(Self::$name),+];

            /// The name of the indicator, or the reason.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

inputs! {
    /// I-07.
    Bunching => "threshold_bunching",
    /// I-16.
    Splits => "consignment_split_rate",
    /// I-13.
    Vague => "vague_description_rate",
    /// I-04.
    Replays => "replay_rate",
    /// I-05.
    Conflicts => "conflict_rate",
    /// I-11.
    BelowEuro => "value_below_eur_1_rate",
    /// I-08.
    LowPerKg => "low_value_per_kg_rate",
    /// I-08: what is low beyond what is expected, out of all.
    LowForActor => "low_value_excess_rate",
    /// I-08: what is low, or as far on the other side: how much of the one before may be chance.
    FarForActor => "low_value_excess_rate (low and high)",
    /// I-10.
    OnePrice => "repeated_price_share",
    /// I-15: of one HS code, the most frequent.
    TopCode => "top_hs6_share",
    /// I-14.
    Mismatch => "hs_mismatch_rate",
    /// I-12.
    Joined => "joined_goods_rate",
    /// I-20.
    OtherNumber => "exporter_other_number_rate",
    /// I-25: gifts with signs of a company, out of all declarations.
    CompanyGifts => "GIFT_COMMERCIAL_SIGNS",
}

/// Exporters of one price from which on it is nobody's own: a brand has fewer.
const PRICE_EXPORTERS_MIN: u64 = 10;

/// So many out of so many; added up over days.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) numerator: f64,
    pub(crate) denominator: f64,
}

/// What a declarant's days come to, by what is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures([Count; Input::ALL.len()]);

impl Figures {
    pub(crate) fn of(&self, input: Input) -> Count {
        self.0.get(input as usize).copied().unwrap_or_default()
    }

    fn set(&mut self, input: Input, numerator: f64, denominator: f64) {
        if let Some(count) = self.0.get_mut(input as usize) {
            *count = Count { numerator, denominator };
        }
    }

    /// Whether a finding of this kind is looked at.
    pub(crate) fn takes(kind: Kind) -> bool {
        let name = kind.description().name;
        Input::ALL.iter().any(|input| input.name() == name)
    }

    /// Takes an indicator of summaries, where it is one that is looked at.
    pub fn take_indicator(&mut self, name: &str, numerator: u64, denominator: u64) {
        if let Some(input) = Input::ALL.iter().find(|input| input.name() == name) {
            self.set(*input, numerator as f64, denominator as f64);
        }
    }

    /// Takes what summaries count of a reason, of so many accepted declarations.
    pub fn take_reason(&mut self, reason: Reason, declarations: u64, accepted: u64) {
        if reason == Reason::GiftCommercialSigns {
            self.set(Input::CompanyGifts, declarations as f64, accepted as f64);
        }
    }

    /// Takes a finding.
    pub fn take_finding(
        &mut self,
        kind: Kind,
        (numerator, denominator): (u64, u64),
        own_value: Option<f64>,
        parts: &[Part],
    ) {
        match kind {
            Kind::LowForActor => {
                let beyond = own_value.unwrap_or(0.0) * denominator as f64;
                self.set(Input::LowForActor, beyond, denominator as f64);
                let high = parts.iter().find(|part| part.what == HIGH_FOR_ACTOR);
                let far = numerator + high.map_or(0, |part| part.count);
                self.set(Input::FarForActor, far as f64, denominator as f64);
            }
            Kind::RepeatedPrice => {
                let exporters = parts.iter().find(|part| part.what == PRICE_EXPORTERS);
                let is_of_many = exporters.is_some_and(|part| part.count >= PRICE_EXPORTERS_MIN);
                let numerator = if is_of_many { numerator } else { 0 };
                self.set(Input::OnePrice, numerator as f64, denominator as f64);
            }
            _ => self.take_indicator(kind.description().name, numerator, denominator),
        }
    }
}

impl AddAssign<&Self> for Figures {
    fn add_assign(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            own.numerator += other.numerator;
            own.denominator += other.denominator;
        }
    }
}
