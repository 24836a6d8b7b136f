//! The reader in place gives what prost gives, on every input: both fail, or both give the same
//! tree. And a declaration with what the batch has in common applied is what a plain model makes of
//! prost's tree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::test_runner::{Config, TestRunner};
use prost::Message;
use waag::proto::v1;

mod proto {
    pub(crate) use waag::proto::v1;
}

#[path = "../src/wire/arbitrary.rs"]
mod arbitrary;

#[path = "checks/reader.rs"]
mod reader;

/// Shows a message on one line.
#[derive(PartialEq)]
struct Hex(Vec<u8>);

impl std::fmt::Debug for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// `percent` of 256 cases, or of `PROPTEST_CASES`.
fn config(percent: u32) -> Config {
    Config {
        cases: Config::default().cases * percent / 100,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    }
}

/// Compares over all that `messages` gives, of which at least `sound` in a hundred must be sound and
/// `unsound` in a hundred not: a generator of nothing but rubbish would show nothing.
fn compare_all(
    percent: u32,
    messages: impl Strategy<Value = Vec<u8>>,
    sound: usize,
    unsound: usize,
) {
    let mut runner = TestRunner::new(config(percent));
    let counts = std::cell::Cell::new((0, 0));
    let result = runner.run(&messages.prop_map(Hex), |message| {
        let (yes, no) = counts.get();
        counts.set(if reader::is_read_by_both(&message.0) { (yes + 1, no) } else { (yes, no + 1) });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let (yes, no) = counts.get();
    assert!(yes * 100 >= sound * (yes + no), "{yes} sound, {no} not");
    assert!(no * 100 >= unsound * (yes + no), "{yes} sound, {no} not");
}

// What a field can hold, by message of the contract.
enum Kind {
    Text,
    Number,
    Message(&'static [(u32, Kind)]),
}
use Kind::{Number, Text};

static MONEY: [(u32, Kind); 2] = [(1, Text), (2, Number)];
static DOCUMENT: [(u32, Kind); 2] = [(1, Text), (2, Text)];
static THREE_TEXTS: [(u32, Kind); 3] = [(1, Text), (2, Text), (3, Text)];
static FALLBACK: [(u32, Kind); 2] = [(1, Text), (2, Number)];
static PARTY: [(u32, Kind); 6] = [(1, Text), (2, Text), (3, Text), (4, Text), (5, Text), (6, Text)];
static GOODS_ITEM: [(u32, Kind); 9] = [
    (1, Number),
    (2, Text),
    (3, Text),
    (4, Kind::Message(&MONEY)),
    (5, Number),
    (6, Number),
    (7, Text),
    (8, Kind::Message(&THREE_TEXTS)),
    (9, Text),
];
static DECLARATION: [(u32, Kind); 13] = [
    (1, Text),
    (2, Kind::Message(&GOODS_ITEM)),
    (3, Text),
    (4, Kind::Message(&PARTY)),
    (5, Kind::Message(&PARTY)),
    (6, Text),
    (7, Kind::Message(&DOCUMENT)),
    (8, Kind::Message(&DOCUMENT)),
    (9, Kind::Message(&MONEY)),
    (10, Kind::Message(&THREE_TEXTS)),
    (11, Text),
    (12, Kind::Message(&DOCUMENT)),
    (13, Kind::Message(&FALLBACK)),
];
static BATCH: [(u32, Kind); 6] = [
    (1, Text),
    (2, Text),
    (3, Text),
    (4, Number),
    (5, Kind::Message(&DECLARATION)),
    (6, Kind::Message(&DECLARATION)),
];

/// A varint over `length` bytes at least.
fn padded(mut value: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 || bytes.len() + 1 < length {
        bytes.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A varint, mostly of the shortest form.
fn varint(value: u64) -> BoxedStrategy<Vec<u8>> {
    prop_oneof![9 => Just(1), 1 => 1..=10_usize]
        .prop_map(move |length| padded(value, length))
        .boxed()
}

fn joined(parts: impl Strategy<Value = Vec<Vec<u8>>> + 'static) -> BoxedStrategy<Vec<u8>> {
    parts.prop_map(|parts| parts.concat()).boxed()
}

fn key(number: u32, wire_type: u32) -> BoxedStrategy<Vec<u8>> {
    varint(u64::from(number) << 3 | u64::from(wire_type))
}

fn number() -> BoxedStrategy<Vec<u8>> {
    (any::<u64>(), 0..64_u32).prop_flat_map(|(value, shift)| varint(value >> shift)).boxed()
}

fn with_length(value: BoxedStrategy<Vec<u8>>) -> BoxedStrategy<Vec<u8>> {
    value
        .prop_flat_map(|value| {
            varint(value.len() as u64).prop_map(move |length| [length, value.clone()].concat())
        })
        .boxed()
}

fn value(kind: &'static Kind, faults: u32) -> BoxedStrategy<Vec<u8>> {
    match kind {
        Number => number(),
        Text => with_length(arbitrary::text().prop_map(String::into_bytes).boxed()),
        Kind::Message(schema) => with_length(message(schema, faults)),
    }
}

/// A field of any number and any wire type, sound by itself; groups up to `depth` deep.
fn unknown(number: u32, depth: u32) -> BoxedStrategy<Vec<u8>> {
    let with_key = move |wire_type, value: BoxedStrategy<Vec<u8>>| {
        (key(number, wire_type), value).prop_map(|(key, value)| [key, value].concat()).boxed()
    };
    let mut all = vec![
        with_key(0, self::number()),
        with_key(1, vec(any::<u8>(), 8).boxed()),
        with_key(2, with_length(vec(any::<u8>(), 0..10).boxed())),
        with_key(5, vec(any::<u8>(), 4).boxed()),
    ];
    if depth > 0 {
        let inner = (1..30_u32).prop_flat_map(move |number| unknown(number, depth - 1));
        let group = (with_key(3, joined(vec(inner, 0..3))), key(number, 4));
        all.push(group.prop_map(|(start, end)| [start, end].concat()).boxed());
    }
    Union::new(all).boxed()
}

/// Something that makes a message unsound, or may.
fn fault() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        // A known field in another encoding, field number 0 included.
        (0..14_u32).prop_flat_map(|number| unknown(number, 1)),
        // Wire types 6 and 7, and the end of a group that was not begun.
        (0..20_u32, prop_oneof![Just(4_u32), Just(6), Just(7)])
            .prop_flat_map(|(number, wire_type)| key(number, wire_type)),
        // A group that does not end, or ends under another number.
        (14..20_u32).prop_flat_map(|number| key(number, 3)),
        Just([padded(20 << 3 | 3, 1), padded(21 << 3 | 4, 1)].concat()),
        // More than 64 bits, more than 10 bytes; keys of 32 bits and more.
        Just([padded(20 << 3, 1), vec![0xff; 9], vec![2]].concat()),
        Just([padded(20 << 3, 1), vec![0x80; 10], vec![0]].concat()),
        Just([padded(u64::from(u32::MAX) - 7, 1), vec![1]].concat()),
        Just([padded((1 << 32) + (20 << 3), 1), vec![1]].concat()),
        // Texts that are not UTF-8: cut short, overlong, a surrogate, a stray byte.
        (
            1..4_u32,
            proptest::sample::select(vec![
                &b"a\xe6\xbc"[..],
                b"\xc0\x80",
                b"\xed\xa0\x80",
                b"\x80",
                b"ok\xff",
                b"\xc3",
            ])
        )
            .prop_map(|(number, bytes)| {
                [padded(u64::from(number << 3 | 2), 1), vec![bytes.len() as u8], bytes.to_vec()]
                    .concat()
            }),
        // A length that promises too much or too little.
        (1..14_u8, 0..8_u8).prop_map(|(number, length)| vec![number << 3 | 2, length, 0x0a, 1]),
        Just([vec![0x0a], padded(u64::MAX, 1)].concat()),
    ]
    .boxed()
}

/// A message with its fields in any order, any number of times, unknown ones between them, of which
/// `faults` in a thousand are not sound.
fn message(schema: &'static [(u32, Kind)], faults: u32) -> BoxedStrategy<Vec<u8>> {
    let known = (0..schema.len()).prop_flat_map(move |place| {
        let (number, kind) = &schema[place];
        let wire_type = if matches!(kind, Number) { 0 } else { 2 };
        (key(*number, wire_type), value(kind, faults))
            .prop_map(|(key, value)| [key, value].concat())
            .boxed()
    });
    let other = prop_oneof![14..20_u32, Just(1_000), Just((1 << 29) - 1)]
        .prop_flat_map(|number| unknown(number, 2));
    let mut all = vec![(900, known.boxed()), (100, other.boxed())];
    if faults > 0 {
        all.push((faults, fault()));
    }
    joined(vec(Union::new_weighted(all), 0..8))
}

#[test]
fn on_encoded_messages() {
    compare_all(40, arbitrary::batch().prop_map(|batch| batch.encode_to_vec()), 100, 0);
}

#[test]
fn on_messages_put_together() {
    let concatenated = vec(arbitrary::batch(), 1..4).prop_map(|batches| {
        batches.iter().flat_map(v1::SubmitBatchRequest::encode_to_vec).collect()
    });
    compare_all(15, concatenated, 100, 0);
}

#[test]
fn on_any_order_and_unknown_fields() {
    compare_all(80, message(&BATCH, 0), 100, 0);
}

#[test]
fn on_faults_in_their_place() {
    compare_all(150, message(&BATCH, 30), 15, 15);
}

#[test]
fn on_messages_cut_short() {
    let cut = (message(&BATCH, 0), any::<proptest::sample::Index>()).prop_map(|(mut bytes, at)| {
        bytes.truncate(at.index(bytes.len() + 1));
        bytes
    });
    compare_all(80, cut, 5, 30);
}

#[test]
fn on_changed_bytes() {
    let sound = prop_oneof![
        message(&BATCH, 0),
        arbitrary::batch().prop_map(|batch| batch.encode_to_vec()).boxed(),
    ];
    let places = vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3), 1..4);
    let changed = (sound, places).prop_map(|(mut bytes, changes)| {
        for (at, byte, how) in changes {
            let at = at.index(bytes.len() + 1);
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] ^= 1 << (byte % 8),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => bytes.push(byte),
            }
        }
        bytes
    });
    compare_all(150, changed, 10, 30);
}

#[test]
fn on_random_bytes() {
    compare_all(800, vec(any::<u8>(), 0..40), 1, 50);
}

#[test]
fn on_nesting_up_to_the_limit_and_past_it() {
    let nested = |key: u8, inner: Vec<u8>| {
        [vec![key << 3 | 2], padded(inner.len() as u64, 1), inner].concat()
    };
    let mut refused = 0;
    for depth in 94..103 {
        for innermost in [vec![], vec![14 << 3, 1], vec![0x0a, 1, b'x']] {
            // A group within a group, in the message itself and within messages of the contract.
            let group =
                [vec![14 << 3 | 3; depth], innermost.clone(), vec![14 << 3 | 4; depth]].concat();
            let item = nested(2, group.clone());
            let money = nested(2, nested(4, group.clone()));
            for message in [
                group.clone(),
                nested(5, group),
                nested(5, item.clone()),
                nested(6, item),
                nested(5, money),
            ] {
                refused += usize::from(!reader::is_read_by_both(&message));
            }
        }
    }
    assert!(refused > 0);
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn what_is_common_is_applied_by_whole_fields_and_all_is_normalised(
        batch in arbitrary::batch(),
    ) {
        reader::common_is_applied(&batch.encode_to_vec(), batch);
    }
}

#[test]
fn content_copied_is_content_written() {
    // What most senders send: normal texts, and no empty message.
    let normal_batch = arbitrary::batch()
        .prop_map(|batch| {
            let tidy = |declaration| reader::pruned(reader::normal(declaration));
            let declarations = batch.declarations.into_iter().map(tidy).collect();
            v1::SubmitBatchRequest { declarations, ..batch }.encode_to_vec()
        })
        .boxed();
    // And what is encoded in other ways, a little or wholly.
    let other = (normal_batch, vec((any::<proptest::sample::Index>(), any::<u8>()), 0..5));
    let messages = prop_oneof![
        4 => other.prop_map(|(mut bytes, changes)| {
            for (at, byte) in changes {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..(at + 1).min(bytes.len()), [byte]);
            }
            bytes
        }),
        1 => message(&BATCH, 0),
    ];
    let counts = std::cell::Cell::new((0, 0));
    let mut runner = TestRunner::new(config(150));
    let result = runner.run(&messages.prop_map(Hex), |message| {
        let (quick, all) = reader::contents_are_equal(&message.0);
        counts.set((counts.get().0 + quick, counts.get().1 + all));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let (quick, all) = counts.get();
    assert!(quick * 10 > all * 2 && quick < all, "{quick} of {all} the quick way");
}
