//! The reader against prost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use waag::proto::v1::submit_batches_response::Result as Item;
use waag::proto::v1::{
    self, BatchRefusal, BatchTotals, SubmitBatchResponse, SubmitBatchesResponse,
};

use super::*;

fn findings() -> impl Strategy<Value = Vec<v1::Finding>> {
    let one = (".{0,12}", any::<i32>(), any::<u32>(), ".{0,9}", ".{0,40}").prop_map(
        |(reason, severity, goods_item_number, data_element, message)| v1::Finding {
            reason,
            severity,
            goods_item_number,
            data_element,
            legal_basis: message.clone(),
            message,
        },
    );
    vec(one, 0..4)
}

fn verdict() -> impl Strategy<Value = v1::Verdict> {
    let numbers = (any::<i32>(), any::<i32>(), any::<u32>(), any::<u64>(), any::<u64>());
    (numbers, ".{0,18}", findings()).prop_map(|(numbers, mrn, findings)| {
        let (outcome, replay_of, omitted, value, duty) = numbers;
        v1::Verdict {
            outcome,
            mrn,
            findings,
            replay_of,
            findings_omitted: omitted,
            intrinsic_value_eur_cents: value,
            duty_eur_cents: duty,
        }
    })
}

fn answer() -> impl Strategy<Value = SubmitBatchResponse> {
    let totals = proptest::option::of(any::<[u32; 5]>());
    (".{0,20}", vec(verdict(), 0..5), totals, any::<u64>(), any::<bool>()).prop_map(
        |(batch_id, verdicts, totals, watermark, texts_omitted)| SubmitBatchResponse {
            batch_id,
            verdicts,
            totals: totals.map(|[accepted, rejected, replayed, conflicts, accepted_lines]| {
                BatchTotals { accepted, rejected, replayed, conflicts, accepted_lines }
            }),
            watermark,
            texts_omitted,
        },
    )
}

fn item() -> impl Strategy<Value = SubmitBatchesResponse> {
    let refusal = (".{0,9}", any::<i32>(), ".{0,9}", ".{0,9}", any::<u32>()).prop_map(
        |(batch_id, code, message, field, retry_after_ms)| BatchRefusal {
            batch_id,
            code,
            message,
            field,
            retry_after_ms,
        },
    );
    let result = prop_oneof![answer().prop_map(Item::Answer), refusal.prop_map(Item::Refusal)];
    proptest::option::of(result).prop_map(|result| SubmitBatchesResponse { result })
}

fn same_verdicts(read: &Verdicts<'_>, made: &SubmitBatchResponse) {
    assert_eq!(read.batch_id, made.batch_id.as_bytes());
    assert_eq!(read.watermark, made.watermark);
    let totals = made.totals.unwrap_or_default();
    assert_eq!(
        read.totals,
        [
            totals.accepted,
            totals.rejected,
            totals.replayed,
            totals.conflicts,
            totals.accepted_lines
        ]
    );
    assert_eq!(read.list.len(), made.verdicts.len());
    for (read_one, made) in read.list.iter().zip(&made.verdicts) {
        assert_eq!(read_one.outcome, made.outcome);
        assert_eq!(read_one.mrn, made.mrn.as_bytes());
        assert_eq!(read_one.replay_of, made.replay_of);
        assert_eq!(read_one.findings_omitted, made.findings_omitted);
        assert_eq!(read_one.value_eur_cents, made.intrinsic_value_eur_cents);
        assert_eq!(read_one.duty_eur_cents, made.duty_eur_cents);
        let findings = read.findings(read_one);
        assert_eq!(findings.len(), made.findings.len());
        for (read, made) in findings.iter().zip(&made.findings) {
            assert_eq!((read.reason, read.severity), (made.reason.as_bytes(), made.severity));
        }
    }
}

fn same(read: &Answer<'_>, made: &SubmitBatchesResponse) {
    match (read, &made.result) {
        (Answer::Empty, None) => {}
        (Answer::Verdicts(read), Some(Item::Answer(made))) => same_verdicts(read, made),
        (Answer::Refusal(read), Some(Item::Refusal(made))) => {
            assert_eq!(read.batch_id, made.batch_id.as_bytes());
            assert_eq!((read.code, read.retry_after_ms), (made.code, made.retry_after_ms));
            assert_eq!(read.message, made.message.as_bytes());
            assert_eq!(read.field, made.field.as_bytes());
        }
        _ => panic!("{read:?} is not {made:?}"),
    }
}

/// A change that leaves bytes which are likely to be read still.
fn damaged(mut bytes: Vec<u8>, changes: &[(usize, u8)], cut: usize) -> Vec<u8> {
    for &(at, byte) in changes {
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
    }
    bytes.truncate(bytes.len() - cut.min(bytes.len()));
    bytes
}

proptest! {
    #[test]
    fn the_reader_equals_prost_on_arbitrary_answers(items in vec(item(), 1..4)) {
        // One after another they are one message, which is merged.
        let bytes: Vec<u8> = items.iter().flat_map(Message::encode_to_vec).collect();
        let made = SubmitBatchesResponse::decode(&bytes[..]).unwrap();
        same(&Answer::of_stream(&bytes).unwrap(), &made);
    }

    #[test]
    fn the_reader_equals_prost_on_the_answers_to_calls(made in answer()) {
        let bytes = made.encode_to_vec();
        match Answer::of_call(&bytes).unwrap() {
            Answer::Verdicts(read) => same_verdicts(&read, &made),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_reader_takes_what_prost_takes_of_damaged_answers(
        item in item(),
        changes in vec((any::<usize>(), any::<u8>()), 0..3),
        cut in 0_usize..3,
    ) {
        let bytes = damaged(item.encode_to_vec(), &changes, cut);
        let read = Answer::of_stream(&bytes);
        if let Ok(made) = SubmitBatchesResponse::decode(&bytes[..]) {
            same(&read.unwrap(), &made);
        }
    }

    #[test]
    fn unknown_fields_are_passed_over(item in item(), number in 16_u32..1_000, what in 0_u32..5) {
        let mut bytes = Vec::new();
        let key = |wire: u32| u64::from(number << 3 | wire);
        prost::encoding::encode_varint(key([0, 1, 2, 3, 5][what as usize]), &mut bytes);
        match what {
            0 => bytes.push(7),
            1 => bytes.extend([1; 8]),
            2 => bytes.extend([2, 9, 9]),
            3 => {
                bytes.extend([1 << 3, 5, 2 << 3 | 3, 2 << 3 | 4]);
                prost::encoding::encode_varint(key(4), &mut bytes);
            }
            _ => bytes.extend([1; 4]),
        }
        bytes.extend(item.encode_to_vec());
        same(&Answer::of_stream(&bytes).unwrap(), &item);
    }
}
