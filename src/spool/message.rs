//! A batch as it came, and as it is forwarded.

use bytes::Bytes;
use prost::Message as _;

use crate::proto::v1::{Declaration, FallbackLodgement, SubmitBatchRequest};
use crate::wire::malformed::Malformed;
use crate::wire::reader::{Batch, Bounds};
use crate::wire::view;

/// The number of `fallback` in `Declaration`.
const FALLBACK: u32 = 13;

/// What a message says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) declarant: String,
    pub(super) batch_id: String,
    pub(super) declarations: u32,
    /// Declarations with a fallback of their own, or of the batch.
    pub(super) own_fallbacks: u32,
}

/// Reads a message.
///
/// # Errors
/// Where it is no `SubmitBatchRequest`, or past the contract's bounds on lists.
pub(super) fn read(message: &[u8]) -> Result<Said, Malformed> {
    let batch = top(message)?;
    let own = own_of(&batch)?;
    Ok(Said {
        declarant: batch.declarant().to_owned(),
        batch_id: batch.batch_id().to_owned(),
        // A declaration takes two bytes at least, and a message has 16 MiB at most.
        declarations: u32::try_from(batch.len()).unwrap_or(u32::MAX),
        own_fallbacks: u32::try_from(own.iter().filter(|own| **own).count()).unwrap_or(u32::MAX),
    })
}

/// Of each declaration, whether it has a fallback of its own, or the batch has one.
///
/// # Errors
/// As [`read`].
pub(super) fn own_fallbacks(message: &[u8]) -> Result<Vec<bool>, Malformed> {
    own_of(&top(message)?)
}

fn top(message: &[u8]) -> Result<Batch<'_>, Malformed> {
    // How many declarations there may be is a setting of the service.
    Batch::read(message, Bounds { declarations_max: usize::MAX, ..Bounds::default() })
}

fn own_of(batch: &Batch<'_>) -> Result<Vec<bool>, Malformed> {
    let of_batch = batch.raw_common().is_some_and(|(_, held)| held.has(FALLBACK));
    let mut declaration = view::Declaration::default();
    (0..batch.len())
        .map(|index| {
            let held = batch.raw_declaration(index, &mut declaration)?;
            Ok(of_batch || held.has(FALLBACK))
        })
        .collect()
}

/// The message with `fallback` in what its declarations have in common; those that have their own keep it.
/// Protobuf merges what comes twice, field by field, so that all that came travels as it came.
pub(super) fn with_fallback(message: &[u8], fallback: FallbackLodgement) -> Bytes {
    let common = Declaration { fallback: Some(fallback), ..Declaration::default() };
    let more = SubmitBatchRequest { common: Some(common), ..SubmitBatchRequest::default() };
    let mut bytes = Vec::with_capacity(message.len() + more.encoded_len());
    bytes.extend_from_slice(message);
    // A Vec takes all there is.
    let _ = more.encode(&mut bytes);
    bytes.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn fallback(reference: &str) -> FallbackLodgement {
        FallbackLodgement { reference: reference.into(), lodged_at_ms: 7 }
    }

    fn declaration(lrn: &str, own: Option<FallbackLodgement>) -> Declaration {
        Declaration { lrn: lrn.into(), fallback: own, ..Declaration::default() }
    }

    #[test]
    fn a_fallback_is_put_beside_what_the_declarations_have_in_common_and_changes_nothing_else() {
        let common = Declaration { ucr: "U-1".into(), ..Declaration::default() };
        let request = SubmitBatchRequest {
            batch_id: "b".into(),
            declarant: "NL810000003".into(),
            declarations: vec![
                declaration("1", None),
                declaration("2", Some(fallback("OWN"))),
                declaration("3", Some(FallbackLodgement::default())),
            ],
            common: Some(common.clone()),
            ..SubmitBatchRequest::default()
        };
        let message = request.encode_to_vec();
        let said = read(&message).unwrap();
        assert_eq!((said.declarations, said.own_fallbacks), (3, 2));
        assert_eq!(own_fallbacks(&message).unwrap(), [false, true, true]);
        let forwarded = with_fallback(&message, fallback("SPOOL"));
        assert!(forwarded.starts_with(&message));
        let common = Declaration { fallback: Some(fallback("SPOOL")), ..common };
        let expected = SubmitBatchRequest { common: Some(common), ..request };
        assert_eq!(SubmitBatchRequest::decode(forwarded).unwrap(), expected);
    }

    #[test]
    fn a_batch_with_a_fallback_of_its_own_has_it_for_all() {
        let request = SubmitBatchRequest {
            declarations: vec![declaration("1", None)],
            common: Some(declaration("", Some(fallback("OWN")))),
            ..SubmitBatchRequest::default()
        };
        assert_eq!(read(&request.encode_to_vec()).unwrap().own_fallbacks, 1);
        read(&[0x2A, 9]).unwrap_err();
    }
}
