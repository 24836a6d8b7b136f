#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use super::*;

fn full() -> Counters {
    let mut counters = Counters::default();
    for number in counters.numbers_mut() {
        *number = u64::MAX;
    }
    counters.value_histogram = [u64::MAX; VALUE_BUCKETS];
    counters.delays = [u64::MAX; DELAYS];
    for reason in Reason::ALL {
        counters.add_reason(*reason, u64::MAX, u64::MAX);
    }
    for chapter in 0..100 {
        counters.add_chapter(chapter, u64::MAX);
    }
    counters
}

fn encoded(counters: &Counters) -> Vec<u8> {
    let mut bytes = Vec::new();
    counters.encode(&mut bytes);
    bytes
}

#[test]
fn the_largest_entry_fits_and_comes_back() {
    let counters = full();
    let bytes = encoded(&counters);
    assert!(bytes.len() > 2_000 && bytes.len() <= ENCODED_BYTES_MAX, "{}", bytes.len());
    assert_eq!(Counters::decode(&bytes), Some(counters));
    assert_eq!(Counters::decode_accepted_lines(&bytes), Some(u64::MAX));
    assert_eq!(encoded(&Counters::default()).len(), 1 + NUMBERS + VALUE_BUCKETS + DELAYS + 2);
}

#[test]
fn what_is_no_entry_is_not_read() {
    let bytes = encoded(&full());
    for cut in 0..bytes.len() {
        assert_eq!(Counters::decode(&bytes[..cut]), None, "{cut}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Counters::decode(&longer), None);
    let mut newer = bytes;
    for version in [0, 3] {
        newer[0] = version;
        assert_eq!(Counters::decode(&newer), None);
        assert_eq!(Counters::decode_accepted_lines(&newer), None);
    }
}

#[test]
fn what_version_1_wrote_is_read() {
    let counters = full().of_first_version();
    assert_eq!(counters.delays, [0; DELAYS]);
    assert!(counters.numbers()[FIRST_NUMBERS..].iter().all(|number| *number == 0));
    let bytes = first_version(&full());
    // As many counters and buckets as it had, at their largest.
    assert_eq!(
        bytes[..=(23 + 31) * 10],
        [&[1][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1].repeat(23 + 31)]
            .concat()
    );
    assert_eq!(Counters::decode(&bytes), Some(counters));
    assert_eq!(Counters::decode_accepted_lines(&bytes), Some(u64::MAX));
    for cut in 0..bytes.len() {
        assert_eq!(Counters::decode(&bytes[..cut]), None, "{cut}");
    }
}

#[test]
fn varints_past_64_bits_are_refused() {
    let mut largest: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(take_varint(&mut largest), Some(u64::MAX));
    let mut too_large: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
    assert_eq!(take_varint(&mut too_large), None);
}

#[test]
fn values_fall_into_the_contracts_buckets() {
    for (cents, expected) in [
        (0, 0),
        (1, 0),
        (500, 0),
        (501, 1),
        (14_500, 28),
        (14_501, 29),
        (15_000, 29),
        (15_001, 30),
        (u64::MAX, 30),
    ] {
        assert_eq!(bucket(cents), expected, "{cents}");
    }
}

#[test]
fn sums_stop_at_the_top() {
    let mut counters = full();
    counters.merge(&full());
    assert_eq!(counters, full());
}

#[test]
fn each_outcome_counts_its_own() {
    let facts = Facts {
        intrinsic_value: 14_600,
        duty: 600,
        gross_mass_mg: 7,
        lines: 3,
        valued_lines: 2,
        round_lines: 1,
        f48_lines: 2,
        vague_lines: 1,
        ioss_hit: true,
        free_transport: true,
        restricted_lines: 3,
        restricted_chapters: smallvec::smallvec![(9, 2), (61, 1)],
        delay: Some(Delay::Hours72),
        ..Facts::default()
    };
    let reasons = [(Reason::DescriptionStopWord, 1), (Reason::GoodsRestricted, 3)];
    let of = |outcome| {
        let mut counters = Counters::default();
        counters.add(outcome, &facts, &reasons);
        counters
    };
    let replay = of(Outcome::Replayed);
    assert_eq!(replay, Counters { replayed: 1, ..Counters::default() });

    let accepted = of(Outcome::Accepted);
    assert_eq!((accepted.accepted, accepted.accepted_lines, accepted.duty), (1, 3, 600));
    assert_eq!((accepted.value_histogram[29], accepted.non_ioss), (1, 0));
    assert_eq!(accepted.non_ioss_free_transport, 0);
    assert_eq!(accepted.delays, [0, 0, 0, 1, 0, 0]);

    let rejected = of(Outcome::Rejected);
    assert_eq!((rejected.rejected, rejected.rejected_lines, rejected.accepted), (1, 3, 0));
    assert_eq!((rejected.intrinsic_value, rejected.value_histogram), (0, [0; 31]));
    assert_eq!((rejected.ioss_hit_lines, rejected.vague_lines), (2, 1));
    assert_eq!(rejected.restricted_chapters(), [(9, 2), (61, 1)]);
    assert_eq!(rejected.reasons().len(), 2);
    assert_eq!(rejected.reasons()[0].findings + rejected.reasons()[1].findings, 4);

    let conflict = of(Outcome::Conflict);
    assert_eq!((conflict.conflicts, conflict.conflict_lines), (1, 3));
    assert_eq!(conflict.reasons(), rejected.reasons());
    assert_eq!(conflict.judged_lines(), 3);
    assert_eq!((rejected.delays, conflict.delays), (accepted.delays, accepted.delays));
}
