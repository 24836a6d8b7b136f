//! The rules: what each looks at, and from where on it says something.

use super::input::{Count, Figures, Input};
use crate::statistics::wilson;

/// Standard deviations of the lower bounds. Each window of a period is a test, for each declarant and rule: some
/// 10,000 in 28 days, most of them of the same days. Chance passes 4 once in 30,000, and a rule's distance beyond that hardly ever.
const Z: f64 = 4.0;

/// How a figure is made of a count, and its lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A share: the lower end of its Wilson interval.
    Share,
    /// A quotient of two counts: by the standard error of its logarithm, √(1/a + 1/b).
    Quotient,
    /// A share of what is far on one side less what is far on the other and less what is expected, which may be below 0:
    /// by the standard error of the counts on both sides, √(a + b).
    Difference { both: Input },
}

impl Form {
    fn lower(self, Count { numerator, denominator }: Count, figures: &Figures) -> f64 {
        match self {
            Self::Share => {
                let (k, n) = (numerator as u64, denominator as u64);
                wilson(k, n, Z).map_or(0.0, |(lower, _)| lower)
            }
            Self::Difference { both } => {
                let error = figures.of(both).numerator.max(1.0).sqrt();
                (numerator - Z * error) / denominator
            }
            Self::Quotient => {
                let error = (1.0 / numerator.max(1.0) + 1.0 / denominator).sqrt();
                numerator / denominator * (-Z * error).exp()
            }
        }
    }
}

/// What else makes a figure high.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Explained {
    input: Input,
    /// How much of it for each of its own,
    factor: f64,
    /// of what is above this.
    beyond: f64,
}

impl Explained {
    fn of(&self, figures: &Figures) -> f64 {
        let Count { numerator, denominator } = figures.of(self.input);
        let value = if denominator > 0.0 { numerator / denominator } else { 0.0 };
        self.factor * (value - self.beyond).max(0.0)
    }
}

/// Of this, so many times its lower bound there are at most.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Backed {
    input: Input,
    form: Form,
    factor: f64,
}

/// Goods on one line differ in value and in code. One who sells sets of things joins some.
const fn merged(factor: f64) -> Explained {
    Explained { input: Input::Joined, factor, beyond: 0.015 }
}

/// Who sells one kind of goods above all is itself most of what its values are compared with, and its own price
/// list lies above and below as it happens to.
const ONE_KIND: Explained = Explained { input: Input::TopCode, factor: 1.0, beyond: 0.6 };

/// Of [`Input::LowForActor`].
const LOW_LESS_HIGH: Form = Form::Difference { both: Input::FarForActor };

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// What it is known by.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What is compared with what, in words.
    pub formula: &'static str,
    input: Input,
    form: Form,
    /// What is taken off for it.
    explained: &'static [Explained],
    /// What has to be high, too.
    backed: Option<Backed>,
    /// So far above what is usual among the others, at least.
    pub above: f64,
}

/// What a rule comes to over some days.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measure {
    pub(crate) count: Count,
    pub(crate) value: f64,
    /// The lower bound of what is not explained otherwise.
    pub(crate) lower: f64,
}

/// All of them.
pub static RULES: &[Rule] = &[
    Rule {
        name: "undervaluation",
        title: "Values too low for the goods",
        formula: "low values less high ones beyond those expected of the same HS codes, out of all lines; less nine tenths of those \
                  below EUR 1, a fifth of lines that join goods beyond 0.015, and the share of the most frequent HS code \
                  beyond 0.6",
        input: Input::LowForActor,
        form: LOW_LESS_HIGH,
        explained: &[
            Explained { input: Input::BelowEuro, factor: 0.9, beyond: 0.0 },
            merged(0.2),
            ONE_KIND,
        ],
        backed: None,
        above: 0.005,
    },
    Rule {
        name: "bunching",
        title: "Values bunch below EUR 150",
        formula: "n(145, 150] / (n(125, 145] / 4)",
        input: Input::Bunching,
        form: Form::Quotient,
        explained: &[],
        backed: None,
        above: 1.0,
    },
    Rule {
        name: "splitting",
        title: "Orders are split into consignments",
        formula: "consignments that with others of the same parties exceed EUR 150, out of all",
        input: Input::Splits,
        form: Form::Share,
        explained: &[],
        backed: None,
        above: 0.008,
    },
    Rule {
        name: "borrowed_number",
        title: "Sales under IOSS numbers of others",
        formula: "consignments whose exporter sells mostly under another IOSS number, out of all under one",
        input: Input::OtherNumber,
        form: Form::Share,
        explained: &[],
        backed: None,
        above: 0.02,
    },
    Rule {
        name: "vagueness",
        title: "Vague descriptions",
        formula: "lines with a stop word or a malformed text for a description, out of all",
        input: Input::Vague,
        form: Form::Share,
        explained: &[],
        backed: None,
        above: 0.006,
    },
    Rule {
        name: "misclassification",
        title: "HS codes that do not fit the descriptions",
        formula: "lines whose description fits other HS headings, out of all; less half of those that join goods beyond 0.015",
        input: Input::Mismatch,
        form: Form::Share,
        explained: &[merged(0.5)],
        backed: None,
        above: 0.006,
    },
    Rule {
        name: "merging",
        title: "Several goods on one line",
        formula: "lines whose description joins goods, out of all with one",
        input: Input::Joined,
        form: Form::Share,
        explained: &[],
        backed: None,
        above: 0.015,
    },
    Rule {
        name: "gifts",
        title: "Gifts from companies",
        formula: "declarations with a gift that has signs of a company, out of all that are accepted",
        input: Input::CompanyGifts,
        form: Form::Share,
        explained: &[],
        backed: None,
        above: 0.01,
    },
    Rule {
        name: "resending",
        title: "Declarations sent again",
        formula: "replays, out of all that is received",
        input: Input::Replays,
        form: Form::Share,
        explained: &[],
        backed: None,
        above: 0.007,
    },
    Rule {
        name: "conflicts",
        title: "LRNs of accepted declarations with other content",
        formula: "conflicts, out of all that is received",
        input: Input::Conflicts,
        form: Form::Share,
        explained: &[],
        backed: None,
        above: 0.0001,
    },
    Rule {
        name: "one_price",
        title: "One price for one kind of goods, from many exporters",
        formula: "lines with the most frequent price of the day, if 10 exporters or more have it, out of all",
        input: Input::OnePrice,
        form: Form::Share,
        explained: &[],
        backed: None,
        above: 0.008,
    },
    Rule {
        name: "nominal_value",
        title: "Goods worth next to nothing",
        formula: "lines below EUR 1, out of all, and no more than 1.5 times the low values less high ones beyond those \
                  expected of the same HS codes; less 0.85 of the latter, which all lines have that are worth too little",
        input: Input::BelowEuro,
        form: Form::Share,
        explained: &[Explained { input: Input::LowForActor, factor: 0.85, beyond: 0.0 }],
        // Not of all that is nominal there is enough to compare with.
        backed: Some(Backed { input: Input::LowForActor, form: LOW_LESS_HIGH, factor: 1.5 }),
        above: 0.001,
    },
];

impl Rule {
    /// The indicator that it looks at, or the reason.
    #[must_use]
    pub fn indicator(&self) -> &'static str {
        self.input.name()
    }

    /// Whether its value is a share, and not a quotient of two counts.
    #[must_use]
    pub fn is_share(&self) -> bool {
        self.form != Form::Quotient
    }

    /// Over some days; `None` where there is nothing to divide by.
    pub(crate) fn measure(&self, figures: &Figures) -> Option<Measure> {
        let count = figures.of(self.input);
        if count.denominator <= 0.0 {
            return None;
        }
        let value = count.numerator / count.denominator;
        let backed = self
            .backed
            .map(|Backed { input, form, factor }| factor * form.lower(figures.of(input), figures));
        let lower = self.form.lower(count, figures).min(backed.unwrap_or(f64::INFINITY));
        let explained: f64 = self.explained.iter().map(|other| other.of(figures)).sum();
        Some(Measure { count, value, lower: lower - explained })
    }
}
