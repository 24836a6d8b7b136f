//! What one journal record changes in the fold.

use crate::day::Day;
use crate::id::Eori;
use crate::outcome::Outcome;
use crate::rules::finding::{OwnFindings, Reason};
use crate::summary::delay::DELAYS;
use crate::summary::{ActorId, Counters, Facts, FallbackReference, IossNumber};

/// One journal record, as the fold sees it.
#[derive(Debug, Clone)]
pub enum Event {
    /// A batch.
    Batch(Delta),
    /// From this record on so many ids of each role get figures of their own.
    ActorsMax(u32),
    /// A record that changes no figure: it counts for the watermark.
    Other,
}

impl Event {
    /// Bytes of memory that it holds while it waits to be folded in: none worth counting where it
    /// is no batch.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Batch(delta) => delta.bytes(),
            Self::ActorsMax(_) | Self::Other => 0,
        }
    }
}

/// One batch's contribution, built by the worker once its outcomes are final.
///
/// All of a batch has one declarant and one representative, so these are summed here; holders of
/// IOSS numbers differ from declaration to declaration, and are summed by the fold. Fallback references
/// are mostly those of the declaration before.
#[derive(Debug, Clone)]
pub struct Delta {
    pub(crate) day: Day,
    pub(crate) declarant: ActorId,
    pub(crate) representative: Option<ActorId>,
    /// On the heap, so that a delta is cheap to hand over.
    pub(crate) whole: Box<Counters>,
    pub(crate) by_ioss_number: Vec<IossShare>,
    pub(crate) by_reference: Vec<Referred>,
    /// The reasons of all in `by_ioss_number`, one after another.
    reasons: Vec<(Reason, u32)>,
}

/// A declaration, as it counts for the holder of its IOSS number.
#[derive(Debug, Clone)]
pub(crate) struct IossShare {
    pub(crate) holder: ActorId,
    pub(crate) outcome: Outcome,
    /// How many of [`Delta::reasons`] are its own.
    reasons: u16,
    pub(crate) facts: Facts,
}

/// Declarations that follow on one another, all with the same fallback reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Referred {
    pub(crate) reference: FallbackReference,
    pub(crate) accepted: u32,
    pub(crate) rejected: u32,
    pub(crate) replayed: u32,
    pub(crate) conflicts: u32,
    pub(crate) accepted_lines: u64,
    pub(crate) intrinsic_value: u64,
    /// Of those that are no replays.
    pub(crate) delays: [u32; DELAYS],
}

impl Referred {
    fn with(reference: &FallbackReference) -> Self {
        Self {
            reference: reference.clone(),
            accepted: 0,
            rejected: 0,
            replayed: 0,
            conflicts: 0,
            accepted_lines: 0,
            intrinsic_value: 0,
            delays: [0; DELAYS],
        }
    }

    // A batch has at most 65,536 declarations.
    fn add(&mut self, outcome: Outcome, facts: &Facts) {
        match outcome {
            Outcome::Replayed => {
                self.replayed += 1;
                return;
            }
            Outcome::Accepted => {
                self.accepted += 1;
                self.accepted_lines = self.accepted_lines.saturating_add(facts.lines.into());
                self.intrinsic_value = self.intrinsic_value.saturating_add(facts.intrinsic_value);
            }
            Outcome::Rejected => self.rejected += 1,
            Outcome::Conflict => self.conflicts += 1,
        }
        if let Some(count) = facts.delay.and_then(|delay| self.delays.get_mut(delay as usize)) {
            *count += 1;
        }
    }
}

impl Delta {
    /// A batch of summary day `day`. A representative whose EORI is malformed is none.
    #[must_use]
    pub fn new(day: Day, declarant: Eori, representative: Option<Eori>) -> Self {
        Self {
            day,
            declarant: declarant.into(),
            representative: representative.map(ActorId::from),
            whole: Box::default(),
            by_ioss_number: Vec::new(),
            by_reference: Vec::new(),
            reasons: Vec::new(),
        }
    }

    /// Makes room for `declarations` more, so that adding them does not move what is there.
    pub fn reserve(&mut self, declarations: usize) {
        self.by_ioss_number.reserve(declarations);
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.whole.bytes()
            + self.by_ioss_number.capacity() * size_of::<IossShare>()
            + self.by_reference.capacity() * size_of::<Referred>()
            + self.by_reference.iter().map(|it| it.reference.as_str().len()).sum::<usize>()
            + self.reasons.capacity() * size_of::<(Reason, u32)>()
    }

    /// Adds a declaration. `findings` are those of the answer, LRN_CONTENT_CONFLICT of a conflict
    /// included (those of a replay are not looked at); `ioss` is its IOSS number, where it has one
    /// that is well formed.
    pub fn add<'f>(
        &mut self,
        outcome: Outcome,
        facts: &Facts,
        findings: impl Into<OwnFindings<'f>>,
        ioss: Option<IossNumber>,
    ) {
        let start = self.reasons.len();
        if outcome != Outcome::Replayed {
            for (reason, more) in findings.into().reasons() {
                let own = self.reasons.get_mut(start..).unwrap_or_default();
                match own.iter_mut().find(|(found, _)| *found == reason) {
                    Some((_, count)) => *count = count.saturating_add(more),
                    None => self.reasons.push((reason, more)),
                }
            }
        }
        let own = self.reasons.get(start..).unwrap_or_default();
        self.whole.add(outcome, facts, own);
        if let Some(number) = ioss {
            // There are fewer than 256 reasons, each at most once here.
            let reasons = u16::try_from(own.len()).unwrap_or(u16::MAX);
            let share = IossShare { holder: number.into(), outcome, reasons, facts: facts.clone() };
            self.by_ioss_number.push(share);
        } else {
            self.reasons.truncate(start);
        }
    }

    /// Adds a declaration once more, under the fallback reference that it came with.
    pub fn refer(&mut self, outcome: Outcome, facts: &Facts, reference: &FallbackReference) {
        match self.by_reference.last_mut() {
            Some(last) if last.reference == *reference => last.add(outcome, facts),
            _ => {
                let mut referred = Referred::with(reference);
                referred.add(outcome, facts);
                self.by_reference.push(referred);
            }
        }
    }

    /// The declarations with an IOSS number, each with its reasons.
    pub(crate) fn shares(&self) -> impl Iterator<Item = (&IossShare, &[(Reason, u32)])> {
        let mut rest = self.reasons.as_slice();
        self.by_ioss_number.iter().map(move |share| {
            let (own, later) = rest.split_at_checked(share.reasons.into()).unwrap_or_default();
            rest = later;
            (share, own)
        })
    }
}
