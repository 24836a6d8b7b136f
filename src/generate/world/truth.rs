//! What was planted and what came of it: the answer sheet, which is never in the batches.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Mark;
use super::declarant::Declarant;
use super::kind::Kind;
use crate::outcome::Outcome;

/// Declarations and their goods items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Count {
    /// Declarations.
    pub declarations: u64,
    /// Goods items.
    pub lines: u64,
}

impl Count {
    fn add(&mut self, lines: u64) {
        self.declarations += 1;
        self.lines += lines;
    }
}

/// What is true of what a world has sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Of all together.
    pub world: WorldTruth,
    /// By index.
    pub declarants: Vec<DeclarantTruth>,
    /// Every IOSS number that is a declarant's own or its clients'.
    pub ioss_numbers: Vec<NumberTruth>,
}

/// The options of a world, and all that it sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorldTruth {
    /// As asked.
    pub seed: u64,
    /// As asked.
    pub lines: u64,
    /// As asked.
    pub actors: u32,
    /// As asked.
    pub batch: u32,
    /// As asked.
    pub days: u32,
    /// The first day.
    pub from: String,
    /// The last one.
    pub to: String,
    /// All that was made.
    pub sent: Count,
}

/// What is true of a declarant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeclarantTruth {
    /// From 0.
    pub index: u32,
    /// Its EORI.
    pub eori: String,
    /// What it is: platform, courier, post, broker.
    pub trade: &'static str,
    /// What is odd about it, though lawful.
    pub odd: Option<&'static str>,
    /// Misbehaves in no way.
    pub honest: bool,
    /// In which ways it does.
    pub kinds: Vec<KindTruth>,
    /// All that it sent.
    pub sent: Count,
    /// Accepted for the first time.
    pub accepted: Count,
    /// Rejected for a defect, which is no misbehaviour.
    pub rejected: Count,
    /// Sent again, planted or not.
    pub replayed: Count,
    /// Other content under an accepted LRN.
    pub conflicts: Count,
}

/// One way in which a declarant misbehaves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindTruth {
    /// Which.
    pub kind: Kind,
    /// Share of its declarations: of the accepted ones, or of all for `resend` and `conflict`.
    pub strength: f64,
    /// The first day.
    pub from: String,
    /// The last one.
    pub to: String,
    /// What is declared of a true value, for `undervalue`.
    pub factor: Option<f64>,
    /// What it is in the batches. Copies of affected declarations are not counted.
    pub affected: Count,
    /// For `borrow`: the numbers.
    pub numbers: Vec<String>,
}

/// What is true of an IOSS number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumberTruth {
    /// The number.
    pub number: String,
    /// EORI of the platform whose it is, or of the declarant for whose client's it is.
    pub holder: String,
    /// EORIs of those that declare under it by contract.
    pub contracted: Vec<String>,
    /// Nobody borrows it.
    pub honest: bool,
    /// Who does.
    pub borrowed_by: Vec<Borrower>,
}

/// Who declares under another's number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Borrower {
    /// The declarant's EORI.
    pub declarant: String,
    /// What it declared under it.
    pub affected: Count,
}

/// What one declarant has sent so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    sent: Count,
    accepted: Count,
    rejected: Count,
    replayed: Count,
    conflicts: Count,
    kinds: [Count; Kind::ALL.len()],
    borrowed: BTreeMap<String, Count>,
}

impl Tally {
    /// One more declaration.
    pub(super) fn add(&mut self, mark: Mark, lines: u64, ioss_number: &str) {
        self.sent.add(lines);
        match mark.outcome {
            Outcome::Accepted => self.accepted.add(lines),
            Outcome::Rejected => self.rejected.add(lines),
            Outcome::Replayed => self.replayed.add(lines),
            Outcome::Conflict => self.conflicts.add(lines),
        }
        if mark.kinds.is_empty() {
            return;
        }
        for (&kind, count) in Kind::ALL.iter().zip(&mut self.kinds) {
            if mark.kinds.has(kind) {
                count.add(lines);
            }
        }
        if mark.kinds.has(Kind::Borrow) {
            self.borrowed.entry(ioss_number.to_owned()).or_default().add(lines);
        }
    }

    /// What it sent in all.
    pub(super) fn sent(&self) -> Count {
        self.sent
    }

    /// What is true of `declarant`.
    pub(super) fn truth(&self, declarant: &Declarant) -> DeclarantTruth {
        let kinds = declarant.planted.iter().map(|planted| {
            let place = Kind::ALL.iter().position(|kind| *kind == planted.kind);
            let factor = f64::from(u32::try_from(declarant.factor).unwrap_or(0)) / 1_000.0;
            KindTruth {
                kind: planted.kind,
                strength: planted.strength,
                from: planted.from.to_string(),
                to: planted.to.to_string(),
                factor: (planted.kind == Kind::Undervalue).then_some(factor),
                affected: place.and_then(|at| self.kinds.get(at)).copied().unwrap_or_default(),
                numbers: if planted.kind == Kind::Borrow {
                    declarant.borrowed.clone()
                } else {
                    Vec::new()
                },
            }
        });
        DeclarantTruth {
            index: declarant.index,
            eori: declarant.eori.clone(),
            trade: declarant.trade.name(),
            odd: declarant.odd.map(super::Odd::name),
            honest: declarant.planted.is_empty(),
            kinds: kinds.collect(),
            sent: self.sent,
            accepted: self.accepted,
            rejected: self.rejected,
            replayed: self.replayed,
            conflicts: self.conflicts,
        }
    }
}

/// What is true of all IOSS numbers.
pub(super) fn numbers(declarants: &[Declarant], tallies: &[&Tally]) -> Vec<NumberTruth> {
    let borrowers = |number: &str| -> Vec<Borrower> {
        let affected = tallies.iter().zip(declarants).filter_map(|(tally, each)| {
            let affected = *tally.borrowed.get(number)?;
            Some(Borrower { declarant: each.eori.clone(), affected })
        });
        affected.collect()
    };
    let mut truths = Vec::new();
    for holder in declarants {
        let contracted: Vec<String> = declarants
            .iter()
            .filter(|each| each.contracts.contains(&holder.index))
            .map(|each| each.eori.clone())
            .collect();
        for number in &holder.numbers {
            let borrowed_by = borrowers(number);
            truths.push(NumberTruth {
                number: number.clone(),
                holder: holder.eori.clone(),
                contracted: contracted.clone(),
                honest: borrowed_by.is_empty(),
                borrowed_by,
            });
        }
    }
    truths
}
