//! What the index keeps of each batch: the full key and digest of every declaration, what became
//! of it, and what is needed to give its first answer again. A slot of the table only points here.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::day::{Day, Moment};
use crate::id::{Ordinal, Watermark};
use crate::journal::Position;
use crate::outcome::Outcome;
use crate::rules::fallback::FallbackCheck;
use crate::rules::finding::VALUE_QUOTED_BYTES_MAX;
use crate::wire::digest::{Digest, Digests, Key};
use crate::wire::view::FallbackLodgement;

/// The most declarations a batch may be configured to hold: an owner word has 16 bits for the
/// index within the batch.
pub const BATCH_DECLARATIONS_MAX: usize = 1 << 16;

/// A declaration of some batch, as one word: 40 bits of batch sequence, 16 of index, and marks.
/// Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(u64);

impl Owner {
    const PRESENT: u64 = 1;
    const OTHERS: u64 = 1 << 1;
    const REJECTION: u64 = 1 << 2;
    const CONFLICT: u64 = 1 << 3;

    /// Declaration `index` of batch `sequence`, under its LRN.
    #[must_use]
    pub fn new(sequence: u64, index: u16) -> Self {
        Self((sequence << 24) | (u64::from(index) << 8) | Self::PRESENT)
    }

    /// From the word in a slot.
    #[must_use]
    pub fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The word for a slot.
    #[must_use]
    pub fn word(self) -> u64 {
        self.0
    }

    /// The batch's sequence number.
    #[must_use]
    pub fn sequence(self) -> u64 {
        self.0 >> 24
    }

    /// The index within the batch.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from((self.0 >> 8) as u16)
    }

    /// Under this LRN, other contents were answered too: they are remembered beside.
    #[must_use]
    pub fn has_others(self) -> bool {
        self.0 & Self::OTHERS != 0
    }

    /// The same with [`Self::has_others`].
    #[must_use]
    pub fn with_others(self) -> Self {
        Self(self.0 | Self::OTHERS)
    }

    /// The same, as what a slot for a remembered rejection holds.
    #[must_use]
    pub fn as_rejection(self) -> Self {
        Self((self.0 & !0xff) | Self::PRESENT | Self::REJECTION)
    }

    /// The same, as what a slot for a remembered conflict holds.
    #[must_use]
    pub fn as_conflict(self) -> Self {
        Self((self.0 & !0xff) | Self::PRESENT | Self::CONFLICT)
    }

    /// This word stands under an LRN, not under a remembered content.
    #[must_use]
    pub fn is_under_lrn(self) -> bool {
        self.0 & (Self::REJECTION | Self::CONFLICT) == 0
    }

    /// This word stands for a remembered rejection.
    #[must_use]
    pub fn is_rejection(self) -> bool {
        self.0 & Self::REJECTION != 0
    }

    /// This word stands for a remembered conflict.
    #[must_use]
    pub fn is_conflict(self) -> bool {
        self.0 & Self::CONFLICT != 0
    }
}

/// What became of a declaration, and of which outcome it is a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The outcome.
    pub outcome: Outcome,
    /// On [`Outcome::Replayed`]: the first answer.
    pub replay_of: Option<Outcome>,
}

impl Settled {
    /// A first answer.
    #[must_use]
    pub fn first(outcome: Outcome) -> Self {
        Self { outcome, replay_of: None }
    }

    /// A replay of a first answer.
    #[must_use]
    pub fn replay_of(first: Outcome) -> Self {
        Self { outcome: Outcome::Replayed, replay_of: Some(first) }
    }

    /// As it stands in the journal: three bits each.
    #[must_use]
    pub fn byte(self) -> u8 {
        self.outcome as u8 | (self.replay_of.map_or(0, |first| first as u8) << 3)
    }

    /// From the journal; `None` where no such byte is ever written.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        let outcome = Outcome::from_number(byte & 7)?;
        let replay_of = match (outcome, byte >> 3) {
            (Outcome::Replayed, first) => {
                Some(Outcome::from_number(first).filter(|f| *f != Outcome::Replayed)?)
            }
            (_, 0) => None,
            _ => return None,
        };
        Some(Self { outcome, replay_of })
    }
}

/// What a declaration with a fallback lodgement needs beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiledFallback {
    /// The declaration's index in its batch.
    pub index: u16,
    /// Digest with the fallback in it, under which a rejection is remembered.
    pub digest: Digest,
    /// What was found about the fallback itself.
    pub check: FallbackCheck,
    /// The day whose law and rates judged it.
    pub law_day: Day,
    /// What findings about the fallback quote, where there are any: a replay of a conflict may come
    /// with another fallback, and its findings are the first answer's all the same.
    pub quoted: Option<Quoted>,
}

/// A faulty fallback lodgement as findings quote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// As much of the reference as is ever quoted.
    pub reference: Box<str>,
    /// Milliseconds since the Unix epoch.
    pub lodged_at_ms: i64,
}

impl Quoted {
    /// Of this lodgement.
    #[must_use]
    pub fn of(fallback: &FallbackLodgement<'_>) -> Self {
        let reference = fallback.reference;
        let end = reference.floor_char_boundary(VALUE_QUOTED_BYTES_MAX);
        let reference = reference.get(..end).unwrap_or_default().into();
        Self { reference, lodged_at_ms: fallback.lodged_at_ms }
    }
}

/// A declaration's fallback as it is handed to [`Draft::push`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftFallback {
    /// See [`FiledFallback::check`].
    pub check: FallbackCheck,
    /// See [`FiledFallback::law_day`].
    pub law_day: Day,
    /// See [`FiledFallback::quoted`].
    pub quoted: Option<Quoted>,
}

/// A batch before it is filed.
#[derive(Debug, Default)]
pub struct Draft {
    keys: Vec<Key>,
    digests: Vec<Digest>,
    outcomes: Vec<AtomicU8>,
    fallbacks: Vec<FiledFallback>,
    has_known_replays: bool,
}

impl Draft {
    /// Makes room for `declarations`.
    #[must_use]
    pub fn with_capacity(declarations: usize) -> Self {
        Self {
            keys: Vec::with_capacity(declarations),
            digests: Vec::with_capacity(declarations),
            outcomes: Vec::with_capacity(declarations),
            fallbacks: Vec::new(),
            has_known_replays: false,
        }
    }

    /// Adds the next declaration. `rejected` is what the rules say; the outcome is open still.
    pub fn push(
        &mut self,
        key: Key,
        digests: Digests,
        rejected: bool,
        fallback: Option<DraftFallback>,
    ) {
        if let (Some(fallback), Ok(index)) = (fallback, u16::try_from(self.keys.len())) {
            let DraftFallback { check, law_day, quoted } = fallback;
            let digest = digests.with_fallback;
            self.fallbacks.push(FiledFallback { index, digest, check, law_day, quoted });
        }
        self.keys.push(key);
        self.digests.push(digests.content);
        let judged = if rejected { Outcome::Rejected } else { Outcome::Accepted };
        self.outcomes.push(AtomicU8::new(Settled::first(judged).byte()));
    }

    /// Adds a declaration that is known to replay one of this outcome: it claims nothing.
    pub fn push_replay(&mut self, of: Outcome) {
        self.has_known_replays = true;
        self.keys.push(Key(0, 0));
        self.digests.push(Digest(0, 0));
        self.outcomes.push(AtomicU8::new(Settled::replay_of(of).byte()));
    }

    /// How many declarations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// When and under which law a batch was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// The batch's one time.
    pub at: Moment,
    /// Its day: summary day, archive day and MRN year.
    pub day: Day,
    /// The number of the law in force (see [`crate::ingest::laws`]).
    pub law: u32,
}

/// Where a batch stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placing {
    /// How many records there were, this one included.
    pub number: Watermark,
    /// Where to read it.
    pub position: Position,
    /// Of its first declaration.
    pub first_ordinal: Ordinal,
}

/// One batch in the index.
#[derive(Debug)]
pub struct Filed {
    /// By which the table's slots name it; none where all its declarations are replays.
    pub(super) sequence: Option<u64>,
    admission: Admission,
    keys: Box<[Key]>,
    digests: Box<[Digest]>,
    outcomes: Box<[AtomicU8]>,
    fallbacks: Box<[FiledFallback]>,
    /// Some declarations were [pushed as replays](Draft::push_replay).
    has_known_replays: bool,
    placing: OnceLock<Placing>,
    placed: AtomicU64,
}

impl Filed {
    /// A batch that is to claim its keys.
    #[must_use]
    pub fn new(admission: Admission, draft: Draft) -> Self {
        Self {
            sequence: None,
            admission,
            keys: draft.keys.into_boxed_slice(),
            digests: draft.digests.into_boxed_slice(),
            outcomes: draft.outcomes.into_boxed_slice(),
            fallbacks: draft.fallbacks.into_boxed_slice(),
            has_known_replays: draft.has_known_replays,
            placing: OnceLock::new(),
            placed: AtomicU64::new(0),
        }
    }

    /// When and under which law it came in.
    #[must_use]
    pub fn admission(&self) -> Admission {
        self.admission
    }

    /// How many declarations it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has none, which no batch in the journal has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn key(&self, index: usize) -> Option<Key> {
        self.keys.get(index).copied()
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Digest of declaration `index`, fallback apart.
    pub(crate) fn content(&self, index: usize) -> Option<Digest> {
        self.digests.get(index).copied()
    }

    /// The digest under which declaration `index` is remembered should it be rejected.
    pub(super) fn with_fallback(&self, index: usize) -> Option<Digest> {
        self.fallback(index).map_or_else(|| self.content(index), |f| Some(f.digest))
    }

    pub(super) fn fallbacks(&self) -> &[FiledFallback] {
        &self.fallbacks
    }

    /// What declaration `index` has of a fallback lodgement.
    #[must_use]
    pub fn fallback(&self, index: usize) -> Option<&FiledFallback> {
        if self.fallbacks.is_empty() {
            return None;
        }
        let index = u16::try_from(index).ok()?;
        let at = self.fallbacks.binary_search_by_key(&index, |f| f.index).ok()?;
        self.fallbacks.get(at)
    }

    /// Bytes held for fallback lodgements, beside what every declaration takes.
    pub(super) fn fallback_bytes(&self) -> usize {
        let quoted = |fallback: &FiledFallback| {
            fallback.quoted.as_ref().map_or(0, |quoted| quoted.reference.len())
        };
        size_of_val(&*self.fallbacks) + self.fallbacks.iter().map(quoted).sum::<usize>()
    }

    /// The day whose law judged declaration `index`, and what was found of its fallback.
    #[must_use]
    pub fn judged_under(&self, index: usize) -> (Day, FallbackCheck) {
        self.fallback(index)
            .map_or((self.admission.day, FallbackCheck::default()), |f| (f.law_day, f.check))
    }

    /// What became of declaration `index`; open until the batch is placed.
    #[must_use]
    pub fn settled(&self, index: usize) -> Option<Settled> {
        Settled::from_byte(self.outcomes.get(index)?.load(Ordering::Relaxed))
    }

    /// All outcomes as they stand in the journal, appended to `bytes`.
    pub fn write_outcomes(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.outcomes.iter().map(|o| o.load(Ordering::Relaxed)));
    }

    /// Whether declaration `index` was known to be a replay before anything was claimed.
    pub(super) fn is_known_replay(&self, index: usize) -> bool {
        // Asked for every declaration that is lodged, of which none ever is.
        self.has_known_replays
            && self.settled(index).is_some_and(|settled| settled.outcome == Outcome::Replayed)
    }

    pub(super) fn settle(&self, index: usize, settled: Settled) {
        if let Some(outcome) = self.outcomes.get(index) {
            outcome.store(settled.byte(), Ordering::Relaxed);
        }
    }

    pub(super) fn set_placed(&self, placing: Placing) {
        // Set once, by the committer; a second placing would be a defect, and changes nothing.
        let _ = self.placing.set(placing);
        // Whoever sees the batch as placed sees its outcomes as settled.
        self.placed.store(1, Ordering::Release);
    }

    /// Where it stands in the journal, once it does. Its outcomes are final then.
    #[must_use]
    pub fn placing(&self) -> Option<Placing> {
        if self.placed.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.placing.get().copied()
    }
}
