//! The kinds of misbehaviour, and who misbehaves in which way, how much and when.

use serde::Serialize;

use crate::day::Day;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// A way to misbehave. See the table of [`crate::generate::world`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Kind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// As on the command line and in the truth.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    /// Values are a fraction of the true ones; weights stay.
    Undervalue => "undervalue",
    /// Consignments worth more are declared at EUR 145 to 150.
    Bunch => "bunch",
    /// One order above EUR 150 becomes several consignments.
    Split => "split",
    /// Sold under IOSS numbers of others.
    Borrow => "borrow",
    /// Descriptions are stop words.
    Vague => "vague",
    /// HS codes do not fit the descriptions.
    Misclassify => "misclassify",
    /// Several goods in one line under one HS code.
    Merge => "merge",
    /// Companies send gifts.
    Gifts => "gifts",
    /// What was answered is sent again.
    Resend => "resend",
    /// The LRN of an accepted declaration with other content.
    Conflict => "conflict",
    /// One price for one kind of goods, from many sellers.
    Repeat => "repeat",
    /// Goods are worth less than a euro.
    Nominal => "nominal",
}

impl Kind {
    /// Its strength where none is stated: what is rare in earnest is planted rarely.
    #[must_use]
    pub fn usual_strength(self) -> f64 {
        match self {
            Self::Conflict => 0.01,
            Self::Resend => 0.1,
            _ => 0.2,
        }
    }

    /// The first day on which there is reason to do it.
    pub(crate) fn since(self) -> Day {
        match self {
            // Several goods go in one line since each line owes duty.
            Self::Merge => Day::parse("2026-07-01").unwrap_or_default(),
            _ => Day(0),
        }
    }

    /// Reads its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Those that exclude one another on a declaration, and may be 1 together.
    pub(crate) fn group(self) -> Group {
        match self {
            Self::Resend | Self::Conflict => Group::Part,
            Self::Vague | Self::Misclassify | Self::Merge => Group::Text,
            Self::Borrow => Group::Number,
            _ => Group::Shape,
        }
    }
}

/// What a kind changes: at most one of each group is on one declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// What a message is: new, or about an earlier one.
    Part,
    /// Values and parties.
    Shape,
    /// Description and HS code.
    Text,
    /// The IOSS number.
    Number,
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u16);

impl Kinds {
    /// With `kind` as well.
    #[must_use]
    pub fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u16)
    }

    /// Whether `kind` is one of them.
    #[must_use]
    pub fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }

    /// None at all.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// One declarant's misbehaviour of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planted {
    /// In which way.
    pub kind: Kind,
    /// Share of its declarations that are affected, 0 to 1: of those that are new and in good order,
    /// for `resend` and `conflict` of all that it sends.
    pub strength: f64,
    /// Index of the declarant.
    pub actor: u32,
    /// The first day.
    pub from: Day,
    /// The last one.
    pub to: Day,
}
