//! A request that is encoded while declarations are put into it: no more is held of a declaration than its
//! bytes and its LRN.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use bytes::Bytes;
use prost::Message as _;

use crate::proto::v1::{Declaration, SubmitBatchRequest};
use crate::wire::malformed::Malformed;
use crate::wire::reader::{self, Bounds};
use crate::wire::view;

/// `declarations`, field 5 of `SubmitBatchRequest`, with its length before it.
const DECLARATIONS_KEY: u8 = (5 << 3) | 2;

/// Who answers for declarations, and who lodges them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lodger {
    /// EORI of the declarant.
    pub declarant: String,
    /// EORI of the representative; empty where there is none.
    pub representative: String,
    /// 2 direct, 3 indirect; 0 without a representative.
    pub representative_status: u32,
}

impl Lodger {
    /// A declarant that nobody represents.
    #[must_use]
    pub fn declarant(eori: impl Into<String>) -> Self {
        Self { declarant: eori.into(), ..Self::default() }
    }
}

/// Declarations of one declarant, which travel and are answered together.
///
/// The service takes 10,000 declarations, 100,000 goods items and 16 MiB at most, unless set otherwise.
#[derive(Debug, Clone)]
pub struct Batch {
    id: String,
    lodger: Lodger,
    common: Option<Declaration>,
    /// As they stand in the request, one after another.
    encoded: Vec<u8>,
    marks: Vec<Mark>,
    /// The whole request, where it came encoded: what travels then, byte for byte.
    whole: Option<Bytes>,
}

/// Where a declaration ends in what is encoded.
#[derive(Debug, Clone)]
struct Mark {
    lrn: String,
    end: usize,
}

impl Batch {
    /// Without declarations. The id is echoed in the answer and in logs, and has 64 characters at most.
    #[must_use]
    pub fn new(id: impl Into<String>, lodger: Lodger) -> Self {
        let (encoded, marks) = (Vec::new(), Vec::new());
        Self { id: id.into(), lodger, common: None, encoded, marks, whole: None }
    }

    /// An encoded `SubmitBatchRequest`, which travels as it is, with all that a later contract may have put
    /// into it. It is never halved.
    ///
    /// # Errors
    /// Where it is none, or a declaration of it has more goods items than a batch may have.
    pub fn of_encoded(request: Bytes) -> Result<Self, Malformed> {
        let bounds = Bounds { declarations_max: usize::MAX, ..Bounds::default() };
        let mut read = Self::new("", Lodger::default());
        {
            let top = reader::Batch::read(&request, bounds)?;
            top.batch_id().clone_into(&mut read.id);
            top.declarant().clone_into(&mut read.lodger.declarant);
            let mut view = view::Declaration::default();
            for index in 0..top.len() {
                top.raw_declaration(index, &mut view)?;
                read.marks.push(Mark { lrn: view.lrn.to_owned(), end: 0 });
            }
        }
        read.whole = Some(request);
        Ok(read)
    }

    /// Adds a declaration.
    pub fn push(&mut self, declaration: &Declaration) {
        self.encoded.reserve(declaration.encoded_len() + 6);
        self.encoded.push(DECLARATIONS_KEY);
        // A Vec takes all there is.
        let _ = declaration.encode_length_delimited(&mut self.encoded);
        self.marks.push(Mark { lrn: declaration.lrn.clone(), end: self.encoded.len() });
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose it is.
    #[must_use]
    pub fn lodger(&self) -> &Lodger {
        &self.lodger
    }

    /// How many declarations it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Bytes of its declarations.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.encoded.len()
    }

    /// The LRN of each declaration, in order.
    pub fn lrns(&self) -> impl Iterator<Item = &str> {
        self.marks.iter().map(|mark| mark.lrn.as_str())
    }

    /// What all declarations are judged with: the lodger, and what the batch has in common.
    pub(crate) fn shared_content(&self) -> Vec<u8> {
        self.head(String::new())
    }

    /// The encoded content of each declaration, in order.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.marks.iter().map(move |mark| {
            let content = self.encoded.get(start..mark.end).unwrap_or_default();
            start = mark.end;
            content
        })
    }

    /// All but the declarations.
    fn head(&self, batch_id: String) -> Vec<u8> {
        let Lodger { declarant, representative, representative_status } = self.lodger.clone();
        let head = SubmitBatchRequest {
            batch_id,
            declarant,
            representative,
            representative_status,
            declarations: Vec::new(),
            common: self.common.clone(),
        };
        head.encode_to_vec()
    }

    /// As it travels.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        // Fields may come in any order.
        let mut request = self.head(self.id.clone());
        request.extend_from_slice(&self.encoded);
        request.into()
    }

    /// Both halves, which have the id of the whole; none where there is one declaration at most, or it
    /// came encoded.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        if self.whole.is_some() {
            return None;
        }
        let half = self.len() / 2;
        let middle = self.marks.get(half.checked_sub(1)?)?.end;
        let part = |encoded: &[u8], marks: &[Mark], before: usize| Self {
            id: self.id.clone(),
            lodger: self.lodger.clone(),
            common: self.common.clone(),
            whole: None,
            encoded: encoded.to_vec(),
            marks: marks
                .iter()
                .map(|mark| Mark { lrn: mark.lrn.clone(), end: mark.end - before })
                .collect(),
        };
        let (first, second) = self.encoded.split_at_checked(middle)?;
        let (first_marks, second_marks) = self.marks.split_at_checked(half)?;
        Some((part(first, first_marks, 0), part(second, second_marks, middle)))
    }

    /// A number for each (declarant, LRN), the same wherever it comes again; two may share a number.
    pub(crate) fn keys(&self) -> Vec<u64> {
        let declarant = self.lodger.declarant.trim().to_ascii_uppercase();
        let lrns = self.lrns().map(str::trim).filter(|lrn| !lrn.is_empty());
        let mut keys: Vec<u64> = lrns
            .map(|lrn| {
                let mut hasher = DefaultHasher::new();
                (&declarant, lrn).hash(&mut hasher);
                hasher.finish()
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl From<&SubmitBatchRequest> for Batch {
    fn from(request: &SubmitBatchRequest) -> Self {
        let lodger = Lodger {
            declarant: request.declarant.clone(),
            representative: request.representative.clone(),
            representative_status: request.representative_status,
        };
        let mut batch = Self::new(request.batch_id.clone(), lodger);
        batch.common.clone_from(&request.common);
        request.declarations.iter().for_each(|declaration| batch.push(declaration));
        batch
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::day::Day;
    use crate::generate::{Generator, Options};

    fn generated() -> Vec<SubmitBatchRequest> {
        let options =
            Options { lines: 4_000, batch: 60, ..Options::on(Day::parse("2026-11-05").unwrap()) };
        Generator::new(&options).unwrap().map(|batch| batch.request).collect()
    }

    #[test]
    fn what_is_encoded_bit_by_bit_is_what_prost_encodes() {
        let mut with_common = 0;
        for request in generated() {
            let batch = Batch::from(&request);
            assert_eq!(SubmitBatchRequest::decode(batch.encode()).unwrap(), request);
            assert_eq!(batch.len(), request.declarations.len());
            assert!(batch.lrns().eq(request.declarations.iter().map(|each| each.lrn.as_str())));
            with_common += usize::from(request.common.is_some());
        }
        assert!(with_common > 0);
    }

    #[test]
    fn what_came_encoded_travels_as_it_is_and_keeps_its_keys() {
        for request in generated() {
            let mut encoded = request.encode_to_vec();
            // A field of a later contract.
            encoded.extend_from_slice(&[0xFA, 0x3F, 1, 7]);
            let batch = Batch::of_encoded(encoded.clone().into()).unwrap();
            assert_eq!(batch.encode(), encoded);
            let built = Batch::from(&request);
            assert_eq!((batch.id(), batch.len()), (built.id(), built.len()));
            assert_eq!(batch.keys(), built.keys());
            assert!(batch.halves().is_none());
        }
        Batch::of_encoded(Bytes::from_static(&[0x2A, 9])).unwrap_err();
    }

    #[test]
    fn halves_are_the_whole() {
        for request in generated() {
            let Some((first, second)) = Batch::from(&request).halves() else {
                assert!(request.declarations.len() < 2);
                continue;
            };
            let both = [first, second].map(|half| {
                let half = SubmitBatchRequest::decode(half.encode()).unwrap();
                assert_eq!((&half.common, &half.batch_id), (&request.common, &request.batch_id));
                half.declarations
            });
            assert_eq!(both.concat(), request.declarations);
            assert_eq!(both[0].len(), request.declarations.len() / 2);
        }
    }

    #[test]
    fn keys_are_the_same_however_lrn_and_declarant_are_padded() {
        let declaration = |lrn: &str| Declaration { lrn: lrn.into(), ..Declaration::default() };
        let keys = |declarant: &str, lrn: &str| {
            let mut batch = Batch::new("b", Lodger::declarant(declarant));
            batch.push(&declaration(lrn));
            batch.keys()
        };
        assert_eq!(keys("NL810000003", "A-1"), keys(" nl810000003", "A-1 "));
        assert_ne!(keys("NL810000003", "A-1"), keys("NL810000003", "a-1"));
        assert_ne!(keys("NL810000003", "A-1"), keys("NL810000004", "A-1"));
        // One without an LRN is told by its content, wherever it comes.
        assert!(keys("NL810000003", "  ").is_empty());
    }
}
