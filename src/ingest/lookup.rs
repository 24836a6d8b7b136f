//! One declaration, by LRN or by MRN: what became of it, and why.
//!
//! Only what is durable is told: an answer that a crash could take back is none.
//!
//! Look-ups are made one after another, so that they take little from the batches; how many calls may
//! wait for that is bounded ([`Lookups::enter`]).

use std::sync::Arc;

use bumpalo::Bump;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};

use super::again::{Again, Under};
use super::laws::Laws;
use super::prepare::{Bounds, Preparer};
use super::record::{BatchRecord, Entry};
use super::refusal::Refusal;
use crate::archive::{self, Archive};
use crate::day::Moment;
use crate::id::{Eori, Ordinal, Watermark};
use crate::index::Index;
use crate::index::filed::{Placing, Settled};
use crate::index::first::First;
use crate::journal::{JournalError, Reader};
use crate::mrn::{Mint, Mrn};
use crate::outcome::Outcome;
use crate::proto::v1;
use crate::rules::Judgement;
use crate::rules::day_law::DayLaw;
use crate::rules::finding::{Findings, OwnFindings, Span};
use crate::rules::lrn_is_usable;
use crate::wire::normalise::{normalise_id, normalise_lrn};
use crate::wire::reader::Batch;
use crate::wire::view::Declaration;

const WAIT: std::time::Duration = std::time::Duration::from_micros(500);
const WAITS_MAX: u32 = 4_000;

/// The look-ups of a server.
#[derive(Debug)]
pub struct Lookups {
    lookup: Mutex<Lookup>,
    places: Arc<Semaphore>,
    in_flight_max: usize,
}

/// A call's place among the look-ups in flight; free again when this is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the place back"]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Lookups {
    /// `in_flight_max` calls at once.
    #[must_use]
    pub fn new(lookup: Lookup, in_flight_max: usize) -> Self {
        let places = Arc::new(Semaphore::new(in_flight_max));
        Self { lookup: Mutex::new(lookup), places, in_flight_max }
    }

    /// A place for a call that may take long. Never waits. Keep it until the work is done, also
    /// where the caller has gone away meanwhile.
    ///
    /// # Errors
    /// [`Refusal`], where as many are in flight as there may be.
    pub fn enter(&self) -> Result<Place, Refusal> {
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Refusal::exhausted(
                format!(
                    "{} look-ups are in work, the most there may be (lookups_in_flight_max): ask \
                     again later",
                    self.in_flight_max
                ),
                1_000,
            )
        })?;
        Ok(Place { _permit: permit })
    }

    /// Asks, after those who came before. It blocks: not for a tokio worker.
    pub fn ask<T>(&self, _place: &Place, ask: impl FnOnce(&mut Lookup) -> T) -> T {
        ask(&mut self.lookup.blocking_lock())
    }
}

/// Looks up declarations; it has a journal reader and a judge of its own.
#[derive(Debug)]
pub struct Lookup {
    pub(super) index: Arc<Index>,
    pub(super) laws: Arc<Laws>,
    pub(super) preparer: Preparer,
    pub(super) reader: Reader,
    pub(super) archive: Archive,
    pub(super) mint: Mint,
    pub(super) durable: watch::Receiver<Watermark>,
}

/// A declaration that was found.
#[derive(Debug)]
pub struct Found {
    /// Accepted or rejected.
    pub outcome: Outcome,
    /// Where it was accepted.
    pub mrn: Option<Mrn>,
    /// Amounts.
    pub judgement: Judgement,
    findings: Findings,
    found: Span,
    /// The law that found it.
    pub law: Arc<DayLaw>,
    /// Who lodged it.
    pub declarant: String,
    /// The batch's one time.
    pub judged_at: Moment,
    /// The declaration as it was judged; none where it is no longer kept.
    pub declaration: Option<v1::Declaration>,
    /// Its LRN.
    pub lrn: String,
    /// Names and streets of private persons are not in the declaration, or none of it is kept.
    pub is_withheld: bool,
}

impl Found {
    /// What was found.
    #[must_use]
    pub fn findings(&self) -> OwnFindings<'_> {
        self.findings.of(self.found)
    }
}

/// Why a declaration that is there cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The request does not name one.
    #[error("{message}")]
    Invalid {
        /// The field at fault.
        field: &'static str,
        /// A sentence with the value and the bound.
        message: String,
    },
    /// It has its place in the journal and is not on disk yet: a slow disk, or one that failed.
    #[error("what stands under this key is being written: ask again")]
    NotDurable,
    /// It cannot be read back.
    #[error("the declaration cannot be read back: {0}")]
    Damaged(String),
}

/// As much of a value as an error repeats: statuses travel in headers, which clients bound.
fn shown(value: &str) -> &str {
    value.get(..value.floor_char_boundary(64)).unwrap_or_default()
}

impl Lookup {
    /// The declaration under a declarant's LRN: the accepted one, else the latest rejected one.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn by_reference(
        &mut self,
        declarant: &str,
        lrn: &str,
    ) -> Result<Option<Found>, LookupError> {
        let arena = Bump::new();
        let declarant = normalise_id(declarant, &arena);
        let declarant = Eori::parse(declarant).ok_or_else(|| LookupError::Invalid {
            field: "local_reference.declarant",
            message: format!(
                "local_reference.declarant {:?} is no EORI: two letters followed by 1 to \
                 15 letters, digits or hyphens",
                shown(declarant)
            ),
        })?;
        let lrn = normalise_lrn(lrn);
        if !lrn_is_usable(lrn) {
            return Err(LookupError::Invalid {
                field: "local_reference.lrn",
                message: format!(
                    "local_reference.lrn {:?} is no LRN: 1 to 22 printable ASCII characters",
                    shown(lrn)
                ),
            });
        }
        let key = self.preparer.keys().key_of(&declarant, lrn);
        let index = Arc::clone(&self.index);
        match index.under(key).map_err(|error| LookupError::Damaged(error.to_string()))? {
            Some(first) => self.show(&first, &Asked { declarant: declarant.as_str(), lrn }),
            None => Ok(None),
        }
    }

    /// The declaration with this MRN, all 18 characters compared.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub fn by_mrn(&mut self, mrn: &str) -> Result<Option<Found>, LookupError> {
        if mrn.len() != 18 || !mrn.is_ascii() {
            let message = format!("mrn {:?} is no MRN: it must have 18 characters", shown(mrn));
            return Err(LookupError::Invalid { field: "mrn", message });
        }
        let index = Arc::clone(&self.index);
        let Some(ordinal) = self.mint.ordinal(mrn) else { return Ok(None) };
        let first = index.at(ordinal).map_err(|error| LookupError::Damaged(error.to_string()))?;
        let Some(first) = first else { return Ok(None) };
        // Only what was accepted has an MRN. One that nobody was given stands for a declaration that is
        // there once in 10^8 at most.
        let found = self.show(&first, &Asked::default())?;
        Ok(found.filter(|found| found.mrn.is_some_and(|given| given.as_str() == mrn)))
    }

    fn show(&mut self, first: &First, asked: &Asked<'_>) -> Result<Option<Found>, LookupError> {
        // In flight: not lodged yet, as far as anybody has been told.
        let Some(placing) = first.placing() else { return Ok(None) };
        let place = first.index();
        // Placed, but perhaps not durable yet, while an earlier rejection under this LRN was told
        // long ago: a matter of one write.
        let mut waits = 0;
        while placing.number > *self.durable.borrow() {
            if waits == WAITS_MAX {
                return Err(LookupError::NotDurable);
            }
            waits += 1;
            std::thread::sleep(WAIT);
        }
        // The journal may have it still, in a segment that has later records as well.
        let ordinal = Ordinal(placing.first_ordinal.0 + place as u64);
        if self.archive.is_dropped(ordinal, first.admission().day) {
            return self.dropped(first, placing, asked).map(Some);
        }
        let damaged = |error: &dyn std::fmt::Display| LookupError::Damaged(error.to_string());
        let record = match self.reader.read(placing.position) {
            Ok(record) => record,
            Err(error) if is_gone(&error) => return self.sealed(first, placing, asked),
            Err(error) => return Err(damaged(&error)),
        };
        let entry = Entry::read(record.kind, &record.body).map_err(|error| damaged(&error))?;
        let Entry::Batch(BatchRecord { message, outcomes, .. }) = entry else {
            return Err(damaged(&"its record is no batch"));
        };
        let settled = outcomes.get(place).and_then(|byte| Settled::from_byte(*byte));
        let settled = settled.ok_or_else(|| damaged(&"its record has no such declaration"))?;
        let mut findings = Findings::default();
        let under = Under::first(first, settled.outcome == Outcome::Conflict);
        let again = self
            .preparer
            .judge_again(message, &self.laws, std::iter::once((place, under)), &mut findings)
            .map_err(LookupError::Damaged)?;
        let Some(Again { judgement, found, law, .. }) = again.into_iter().next() else {
            return Err(damaged(&"it was not judged"));
        };
        let arena = Bump::new();
        let batch =
            Batch::read(message, Bounds::NONE.of_reader()).map_err(|error| damaged(&error))?;
        let mut declaration = Declaration::default();
        batch.declaration(place, &arena, &mut declaration).map_err(|error| damaged(&error))?;
        let mrn = (settled.outcome == Outcome::Accepted)
            .then(|| self.mint.mrn_of(first.admission().day, placing.first_ordinal, place));
        Ok(Some(Found {
            outcome: settled.outcome,
            mrn,
            judgement,
            findings,
            found,
            law,
            declarant: normalise_id(batch.declarant(), &arena).to_owned(),
            judged_at: first.admission().at,
            lrn: declaration.lrn.to_owned(),
            declaration: Some(crate::wire::message::to_message(&declaration)),
            is_withheld: false,
        }))
    }

    /// What the runs have of a declaration whose day is dropped.
    fn dropped(
        &self,
        first: &First,
        placing: Placing,
        asked: &Asked<'_>,
    ) -> Result<Found, LookupError> {
        let damaged = |error: &dyn std::fmt::Display| LookupError::Damaged(error.to_string());
        let admission = first.admission();
        let law = self.laws.law(admission.law).map_err(|error| damaged(&error))?;
        let law = law.on(first.judged_under().0).map_err(|error| damaged(&error))?;
        // It is not known where it was asked for by its MRN, which only an accepted one has.
        let outcome = first.outcome().unwrap_or(Outcome::Accepted);
        let mrn = (outcome == Outcome::Accepted)
            .then(|| self.mint.mrn_of(admission.day, placing.first_ordinal, first.index()));
        let mut findings = Findings::default();
        let found = findings.close(0);
        Ok(Found {
            outcome,
            mrn,
            judgement: Judgement::default(),
            findings,
            found,
            law,
            declarant: asked.declarant.to_owned(),
            judged_at: admission.at,
            lrn: asked.lrn.to_owned(),
            declaration: None,
            is_withheld: true,
        })
    }

    /// What the archive has of a declaration whose segment has gone.
    fn sealed(
        &self,
        first: &First,
        placing: Placing,
        asked: &Asked<'_>,
    ) -> Result<Option<Found>, LookupError> {
        let damaged = |error: &dyn std::fmt::Display| LookupError::Damaged(error.to_string());
        let ordinal = Ordinal(placing.first_ordinal.0 + first.index() as u64);
        let found = self.archive.declaration(ordinal).map_err(|error| damaged(&error))?;
        let sealed = match found {
            archive::Found::Declaration(sealed) => sealed,
            archive::Found::Dropped => return self.dropped(first, placing, asked).map(Some),
            archive::Found::NotHere => {
                return Err(damaged(&format!("declaration {} is not in the archive", ordinal.0)));
            }
        };
        let law = self.laws.law(sealed.law).map_err(|error| damaged(&error))?;
        let law = law.on(sealed.law_day).map_err(|error| damaged(&error))?;
        let mrn = (sealed.outcome == Outcome::Accepted)
            .then(|| self.mint.mrn_of(sealed.day, placing.first_ordinal, first.index()));
        let (outcome, judgement, judged_at) = (sealed.outcome, sealed.judgement, sealed.judged_at);
        let (declarant, is_withheld) = (sealed.declarant.as_str().to_owned(), sealed.is_withheld);
        let (declaration, mut findings) = sealed.into_parts();
        let found = findings.close(0);
        Ok(Some(Found {
            outcome,
            mrn,
            judgement,
            findings,
            found,
            law,
            declarant,
            judged_at,
            lrn: declaration.lrn.clone(),
            declaration: Some(declaration),
            is_withheld,
        }))
    }
}

/// What was asked for by declarant and LRN; by MRN nothing.
#[derive(Debug, Default)]
struct Asked<'a> {
    declarant: &'a str,
    lrn: &'a str,
}

/// Whether the segment of a record was removed: what it had is in the archive.
fn is_gone(error: &JournalError) -> bool {
    matches!(error, JournalError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}
