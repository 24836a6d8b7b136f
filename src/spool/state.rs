//! What the records of the journal amount to: the fold that the clerk keeps as it writes, and makes again
//! from the journal at a start.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bumpalo::Bump;

use super::figures::Figures;
use super::record::{AnswerHead, BatchHead, Entry, MarkHead, SentHead, TakenHead};
use crate::journal::Position;
use crate::wire::normalise::normalise_id;

/// What of a SHA-256 tells one batch from another: 128 bits.
pub(super) type Content = [u8; 16];

/// What of it is kept in memory.
pub(super) fn content(sha256: &[u8]) -> Content {
    sha256.first_chunk().copied().unwrap_or_default()
}

/// Bytes of disk that an answer is expected to take for each declaration: a verdict with a finding or two.
const ANSWER_BYTES_EACH: u64 = 512;
/// An answer has this much at most, unless the service is set otherwise.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// A batch that is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) at: Position,
    /// The number of its record.
    pub(super) record: u64,
    pub(super) content: Content,
    pub(super) received_at_ms: i64,
    pub(super) declarant: Arc<str>,
    pub(super) declarations: u32,
    pub(super) own_fallbacks: u32,
    pub(super) bytes: u64,
    pub(super) stage: Stage,
}

/// How far a batch is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    Waiting { is_fallback: bool },
    Sent { is_fallback: bool },
    Answered(Answered),
}

/// An answer that is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answered {
    pub(super) is_fallback: bool,
    pub(super) at: Position,
    /// The number of its record.
    pub(super) position: u64,
    pub(super) answered_at_ms: i64,
    /// Whoever lodged it was given the answer.
    pub(super) is_taken: bool,
}

impl Kept {
    /// Bytes of disk that are held for its answer.
    pub(super) fn promised(&self) -> u64 {
        promised(self.declarations)
    }

    /// What there is to forward with a fallback: some declaration has none of its own.
    pub(super) fn may_have_fallback(&self) -> bool {
        self.own_fallbacks < self.declarations
    }
}

/// Bytes of disk that the answer to so many declarations is expected to take.
pub(super) fn promised(declarations: u32) -> u64 {
    (4_096 + u64::from(declarations) * ANSWER_BYTES_EACH).min(ANSWER_BYTES_MAX)
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct State {
    /// The number of the first that is kept.
    first: u64,
    batches: VecDeque<Kept>,
    contents: HashMap<Content, u64>,
    declarants: HashSet<Arc<str>>,
    /// Batches without an answer.
    pub(super) unanswered: BTreeSet<u64>,
    /// Position of each answer, and whose it is.
    pub(super) answers: BTreeMap<u64, u64>,
    pub(super) next_number: u64,
    /// Answers up to this position are acknowledged.
    pub(super) taken_through: u64,
    /// The newest that an answer named.
    pub(super) watermark: u64,
    pub(super) figures: Figures,
    pub(super) waiting_declarations: u64,
    pub(super) waiting_bytes: u64,
    /// Held for answers to come.
    pub(super) promised: u64,
    /// Where the last record is.
    pub(super) end: Position,
    /// Since the start: declarations.
    pub(super) received: u64,
    pub(super) answered: u64,
}

/// Gives a batch its reference.
pub(super) type Reference<'a> = &'a dyn Fn(i64) -> String;

impl State {
    pub(super) fn new() -> Self {
        Self { first: 1, next_number: 1, ..Self::default() }
    }

    pub(super) fn batch(&self, number: u64) -> Option<&Kept> {
        self.batches.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn batch_mut(&mut self, number: u64) -> Option<&mut Kept> {
        self.batches.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// The batch with this content that is not refused.
    pub(super) fn number_of(&self, content: &Content) -> Option<u64> {
        self.contents.get(content).copied()
    }

    /// Takes a record in that is durable at `at`, the `record`-th, with so many bytes behind its head.
    ///
    /// # Errors
    /// A sentence, where it does not follow on what came before.
    pub(super) fn apply(
        &mut self,
        entry: &Entry,
        behind: usize,
        (record, at): (u64, Position),
        reference: Reference<'_>,
    ) -> Result<(), String> {
        self.end = at;
        match entry {
            Entry::Batch(head) => self.take_in(head, behind, (record, at), reference),
            Entry::Sent(head) => self.sent(head, reference),
            Entry::Answer(head) => self.answer(head, (record, at)),
            Entry::Taken(head) => {
                self.taken(head);
                Ok(())
            }
            Entry::Mark(head) => {
                self.mark(head);
                Ok(())
            }
        }
    }

    fn take_in(
        &mut self,
        head: &BatchHead,
        behind: usize,
        (record, at): (u64, Position),
        reference: Reference<'_>,
    ) -> Result<(), String> {
        if self.batches.is_empty() {
            self.first = head.number;
        } else if head.number != self.next_number {
            return Err(format!("batch {} follows on {}", head.number, self.next_number - 1));
        }
        self.next_number = head.number + 1;
        // Figures are by declarant however it is written, as those of the service.
        let arena = Bump::new();
        let normal = normalise_id(&head.declarant, &arena);
        let declarant = match self.declarants.get(normal) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = normal.into();
                self.declarants.insert(Arc::clone(&new));
                new
            }
        };
        let kept = Kept {
            at,
            record,
            content: content(&head.sha256),
            received_at_ms: head.received_at_ms,
            declarant,
            declarations: head.declarations,
            own_fallbacks: head.own_fallbacks,
            bytes: behind as u64,
            stage: Stage::Waiting { is_fallback: head.is_fallback },
        };
        let reference =
            if head.is_fallback { reference(head.received_at_ms) } else { String::new() };
        let (all, own) = (head.declarations, head.own_fallbacks);
        self.figures.receive(normal, &reference, all, own);
        self.received += u64::from(all);
        self.waiting_declarations += u64::from(all);
        self.waiting_bytes += kept.bytes;
        self.promised += kept.promised();
        self.contents.insert(kept.content, head.number);
        self.unanswered.insert(head.number);
        self.batches.push_back(kept);
        Ok(())
    }

    fn sent(&mut self, head: &SentHead, reference: Reference<'_>) -> Result<(), String> {
        let decided = [(&head.as_they_came, false), (&head.with_fallback, true)];
        for (&number, is_fallback) in
            decided.iter().flat_map(|(numbers, with)| numbers.iter().map(move |n| (n, *with)))
        {
            // Of one that is gone all figures are in the mark.
            let Some(batch) = self.batch_mut(number) else { continue };
            let Stage::Waiting { is_fallback: was_fallback } = batch.stage else {
                return Err(format!("batch {number} is sent for the first time a second time"));
            };
            batch.stage = Stage::Sent { is_fallback };
            if is_fallback && !was_fallback {
                let (all, own) = (batch.declarations, batch.own_fallbacks);
                let (declarant, at) = (Arc::clone(&batch.declarant), batch.received_at_ms);
                self.figures.refer(&declarant, &reference(at), all, own);
            }
        }
        Ok(())
    }

    fn answer(&mut self, head: &AnswerHead, (record, at): (u64, Position)) -> Result<(), String> {
        head.adds.iter().for_each(|row| self.figures.add(row));
        self.watermark = self.watermark.max(head.watermark);
        let Some(batch) = self.batch_mut(head.number) else { return Ok(()) };
        let Stage::Sent { is_fallback } = batch.stage else {
            return Err(format!(
                "batch {} has an answer, and was not waiting for one",
                head.number
            ));
        };
        batch.stage = Stage::Answered(Answered {
            is_fallback,
            at,
            position: record,
            answered_at_ms: head.answered_at_ms,
            is_taken: false,
        });
        let (bytes, promised) = (batch.bytes, batch.promised());
        let (declarations, content) = (u64::from(batch.declarations), batch.content);
        self.answered += declarations;
        self.waiting_declarations = self.waiting_declarations.saturating_sub(declarations);
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        self.promised = self.promised.saturating_sub(promised);
        self.unanswered.remove(&head.number);
        self.answers.insert(record, head.number);
        // What is refused may be lodged again, once whoever refuses it thinks otherwise.
        if head.is_refused && self.contents.get(&content) == Some(&head.number) {
            self.contents.remove(&content);
        }
        Ok(())
    }

    fn taken(&mut self, head: &TakenHead) {
        self.taken_through = self.taken_through.max(head.through);
        for &number in &head.numbers {
            if let Some(Kept { stage: Stage::Answered(answered), .. }) = self.batch_mut(number) {
                answered.is_taken = true;
            }
        }
    }

    fn mark(&mut self, head: &MarkHead) {
        self.next_number = self.next_number.max(head.next_number);
        self.taken_through = self.taken_through.max(head.taken_through);
        self.watermark = self.watermark.max(head.watermark);
        self.figures = Figures::of(&head.figures);
    }

    /// The figures of all records so far.
    pub(super) fn to_mark(&self) -> MarkHead {
        MarkHead {
            next_number: self.next_number,
            taken_through: self.taken_through,
            watermark: self.watermark,
            figures: self.figures.rows().cloned().collect(),
        }
    }

    /// The first batch that must stay where answers may go that are older than `oldest_ms`.
    pub(super) fn first_needed(&self, oldest_ms: i64) -> Option<&Kept> {
        self.batches.iter().find(|batch| match batch.stage {
            Stage::Answered(answered) => {
                let is_taken = answered.is_taken || answered.position <= self.taken_through;
                !is_taken && answered.answered_at_ms >= oldest_ms
            }
            _ => true,
        })
    }

    /// The first segment that any batch is in.
    pub(super) fn first_segment(&self) -> Option<u64> {
        self.batches.front().map(|batch| batch.at.segment)
    }

    /// Segments before this one are gone, with the batches in them.
    pub(super) fn forget_before(&mut self, segment: u64) {
        while let Some(batch) = self.batches.front()
            && batch.at.segment < segment
        {
            if self.contents.get(&batch.content) == Some(&self.first) {
                self.contents.remove(&batch.content);
            }
            if let Stage::Answered(answered) = batch.stage {
                self.answers.remove(&answered.position);
            }
            self.batches.pop_front();
            self.first += 1;
        }
        if self.batches.is_empty() {
            self.first = self.next_number;
        }
    }
}
