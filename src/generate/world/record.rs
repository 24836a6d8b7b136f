//! The truth as a file of its own, JSON Lines: a record to a line, told apart by `record`.
//!
//! | `record` | how many, in this order | fields |
//! |---|---|---|
//! | `declaration` | one for each that is affected, as lodged | `day` (`2026-10-26`), `declarant` (EORI), `lrn`, `outcome` (`accepted`, `replayed`, `conflict`), `kinds` (names) |
//! | `declarant` | one for each, by index | [`DeclarantTruth`] |
//! | `ioss_number` | one for each that belongs to a declarant or to clients of one | [`NumberTruth`] |
//! | `world` | one, the last line: a file without it is not complete | [`WorldTruth`] |
//!
//! Invariant: nothing of it is in the batches, and nothing of the batches depends on whether it is
//! written.

use std::io::{self, Write};

use serde::Serialize;

use super::kind::Kind;
use super::truth::{DeclarantTruth, NumberTruth, Truth, WorldTruth};
use super::{Mark, WorldBatch};
use crate::outcome::Outcome;

#[derive(Serialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Record<'a> {
    Declaration {
        day: &'a str,
        declarant: &'a str,
        lrn: &'a str,
        outcome: &'static str,
        kinds: Vec<&'static str>,
    },
    Declarant(&'a DeclarantTruth),
    IossNumber(&'a NumberTruth),
    World(&'a WorldTruth),
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Rejected => "rejected",
        Outcome::Replayed => "replayed",
        Outcome::Conflict => "conflict",
    }
}

/// Writes the truth while a world is made.
#[derive(Debug)]
pub struct TruthWriter<W: Write> {
    out: W,
}

impl<W: Write> TruthWriter<W> {
    /// Nothing is written yet. `out` should be buffered.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// The declarations of a batch that are affected.
    ///
    /// # Errors
    /// What the writer says.
    pub fn batch(&mut self, batch: &WorldBatch) -> io::Result<()> {
        let day = batch.day.to_string();
        let marked = batch.request.declarations.iter().zip(&batch.marks);
        for (declaration, Mark { outcome, kinds }) in marked.filter(|(_, m)| !m.kinds.is_empty()) {
            let kinds = Kind::ALL.iter().filter(|kind| kinds.has(**kind));
            self.line(&Record::Declaration {
                day: &day,
                declarant: &batch.request.declarant,
                lrn: &declaration.lrn,
                outcome: name(*outcome),
                kinds: kinds.map(|kind| kind.name()).collect(),
            })?;
        }
        Ok(())
    }

    /// All else, once the world is made.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self, truth: &Truth) -> io::Result<()> {
        for each in &truth.declarants {
            self.line(&Record::Declarant(each))?;
        }
        for each in &truth.ioss_numbers {
            self.line(&Record::IossNumber(each))?;
        }
        self.line(&Record::World(&truth.world))?;
        self.out.flush()
    }

    fn line(&mut self, record: &Record<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, record)?;
        self.out.write_all(b"\n")
    }
}
