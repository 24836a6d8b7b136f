//! Judging without lodging: the same reading, judging and settling, over an index that is kept
//! nowhere. Replays and conflicts are found within what one [`Offline`] was given.

use std::sync::Arc;

use super::answer::Framing;
use super::engine::{StartError, too_large};
use super::laws::{Laws, Numbered};
use super::options;
use super::prepare::Preparer;
use super::refusal::Refusal;
use super::work::Finisher;
use crate::config::Config;
use crate::day::Moment;
use crate::id::{Ordinal, Watermark};
use crate::index::filed::{Filed, Placing};
use crate::index::settle::Settler;
use crate::index::{Index, SLOT_BYTES};
use crate::journal::Position;
use crate::mrn::Mint;
use crate::proto::v1;
use crate::rules::Law;
use crate::secrets::Secrets;
use crate::wire::digest::Keys;

/// Judges batches one after another.
#[derive(Debug)]
pub struct Offline {
    law: Arc<Numbered>,
    laws: Laws,
    index: Arc<Index>,
    settler: Settler,
    preparer: Preparer,
    finisher: Finisher,
    next_ordinal: Ordinal,
    bytes_max: usize,
}

impl Offline {
    /// Under `law`, with the bounds of `config`.
    ///
    /// # Errors
    /// Settings out of bounds, or no memory or random numbers from the system.
    pub fn new(config: &Config, law: Law) -> Result<Self, StartError> {
        let sizes = config.check()?;
        let secrets = Secrets::passing()?;
        let keys = Keys::new(secrets.prf(), secrets.digest());
        let index = Index::new(keys.clone(), sizes.index.bytes / SLOT_BYTES)
            .map_err(|source| StartError::Io { what: "memory for the index".into(), source })?;
        let index = Arc::new(index);
        let law = Arc::new(law);
        let laws = Laws::passing();
        let record = laws.record(&law);
        laws.note(record)?;
        laws.put_in_force(record.number, Arc::clone(&law));
        let calendar = options::calendar(config)?;
        Ok(Self {
            law: Arc::new(Numbered { number: record.number, law }),
            laws,
            settler: Settler::new(Arc::clone(&index)),
            index,
            preparer: Preparer::new(options::bounds(config), calendar, keys),
            finisher: Finisher {
                mint: Mint::new(secrets.bijection()),
                answer_bytes_max: usize::try_from(config.answer_bytes_max.0).unwrap_or(usize::MAX),
            },
            next_ordinal: Ordinal(0),
            bytes_max: usize::try_from(config.batch_bytes_max.0).unwrap_or(usize::MAX),
        })
    }

    /// Judges a batch as it would be at `at`. The answer has neither MRNs nor a watermark, since
    /// nothing was lodged.
    ///
    /// # Errors
    /// The refusal that the batch would get.
    pub fn judge(
        &mut self,
        batch: &v1::SubmitBatchRequest,
        at: Moment,
    ) -> Result<v1::SubmitBatchResponse, Refusal> {
        let message = prost::Message::encode_to_vec(batch);
        if message.len() > self.bytes_max {
            return Err(too_large(message.len() as u64, self.bytes_max));
        }
        let message = message.into();
        let when = self.preparer.calendar().when(at);
        let (prepared, draft) = self.preparer.prepare(message, when, &self.law)?;
        let declarations = draft.len();
        let filed = Filed::new(prepared.admission, draft);
        let claimed = self.index.claim(filed).map_err(|unclaimed| {
            let why = unclaimed.why;
            Refusal::exhausted(format!("{why}: give it more memory (--memory-max)"), 0)
        })?;
        let decided = self.settler.settle(claimed);
        let position = Position::default();
        let placing = Placing { number: Watermark(0), position, first_ordinal: self.next_ordinal };
        self.settler.place(&decided.filed, placing);
        self.next_ordinal.0 += declarations as u64;
        let failed = |reason: String| Refusal::unavailable(reason, 0);
        let (answer, _) = self
            .finisher
            .finish(&mut self.preparer, &self.laws, &prepared, &decided, placing, Framing::Unary)
            .map_err(failed)?;
        let mut answer: v1::SubmitBatchResponse =
            prost::Message::decode(answer).map_err(|error| failed(error.to_string()))?;
        for verdict in &mut answer.verdicts {
            verdict.mrn.clear();
        }
        Ok(answer)
    }
}
