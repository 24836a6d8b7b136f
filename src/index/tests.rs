//! The index against a plain model: whatever the order in which batches claim and are placed, the
//! outcomes are those of a single thread that takes the batches in the order of the journal.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod changing;
mod crashing;
mod world;
mod writing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::filed::{Admission, Draft, DraftFallback, Filed, FiledFallback, Placing, Settled};
use super::first::First;
use super::settle::{Claimed, Decided, Settler};
use super::{BATCH_OVERHEAD, Full, Index, PLACE_BYTES, Unclaimed, Why};
use crate::day::{Day, Moment};
use crate::id::{Eori, Ordinal, Watermark};
use crate::journal::Position;
use crate::outcome::Outcome;
use crate::rules::fallback::FallbackCheck;
use crate::wire::digest::{Digest, Digests, Keys};

/// A declaration as far as the index cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sent {
    lrn: u8,
    content: u8,
    /// 0: none.
    fallback: u8,
}

impl Sent {
    /// The rules of this model: a pure function of content and fallback.
    fn is_rejected(self) -> bool {
        (u32::from(self.content) * 7 + u32::from(self.fallback) * 5) % 3 == 0
    }
}

/// The contract's rules, one declaration after another.
#[derive(Default)]
struct Model {
    accepted: HashMap<u8, (u8, usize)>,
    rejected: HashMap<Sent, usize>,
    conflicts: HashMap<(u8, u8), usize>,
    latest_rejected: HashMap<u8, usize>,
    count: usize,
}

impl Model {
    /// The outcome, and the ordinal of the first answer of a replay.
    fn place(&mut self, sent: Sent) -> (Settled, Option<usize>) {
        let ordinal = self.count;
        self.count += 1;
        if let Some(&first) = self.rejected.get(&sent) {
            return (Settled::replay_of(Outcome::Rejected), Some(first));
        }
        if let Some(&(content, first)) = self.accepted.get(&sent.lrn) {
            if content == sent.content {
                return (Settled::replay_of(Outcome::Accepted), Some(first));
            }
            if let Some(&first) = self.conflicts.get(&(sent.lrn, sent.content)) {
                return (Settled::replay_of(Outcome::Conflict), Some(first));
            }
            self.conflicts.insert((sent.lrn, sent.content), ordinal);
            return (Settled::first(Outcome::Conflict), None);
        }
        if sent.is_rejected() {
            self.rejected.insert(sent, ordinal);
            self.latest_rejected.insert(sent.lrn, ordinal);
            return (Settled::first(Outcome::Rejected), None);
        }
        self.accepted.insert(sent.lrn, (sent.content, ordinal));
        (Settled::first(Outcome::Accepted), None)
    }

    /// Forgets what was answered before, and what came in conflict with what was accepted before.
    fn forget(&mut self, before: usize) {
        self.accepted.retain(|_, (_, ordinal)| *ordinal >= before);
        self.rejected.retain(|_, ordinal| *ordinal >= before);
        self.latest_rejected.retain(|_, ordinal| *ordinal >= before);
        self.conflicts.retain(|(lrn, _), _| self.accepted.contains_key(lrn));
    }

    fn under(&self, lrn: u8) -> Option<usize> {
        let accepted = self.accepted.get(&lrn).map(|(_, ordinal)| *ordinal);
        accepted.or_else(|| self.latest_rejected.get(&lrn).copied())
    }
}

fn keys() -> Keys {
    Keys::new([3; 16], [5; 32])
}

fn admission() -> Admission {
    Admission { at: Moment(0), day: Day(20_000), law: 0 }
}

fn draft(batch: &[Sent]) -> Draft {
    let declarant = Eori::parse("NL810000003").unwrap();
    let mut draft = Draft::with_capacity(batch.len());
    for sent in batch {
        let content = Digest(u64::from(sent.content) + 1, 0);
        let with_fallback = match sent.fallback {
            0 => content,
            n => Digest(content.0, n.into()),
        };
        let fallback = (sent.fallback > 0).then(|| DraftFallback {
            check: FallbackCheck::default(),
            law_day: Day(20_000),
            quoted: None,
        });
        let key = keys().key_of(&declarant, &format!("L{}", sent.lrn));
        draft.push(key, Digests { content, with_fallback }, sent.is_rejected(), fallback);
    }
    draft
}

fn filed(batch: &[Sent]) -> Filed {
    Filed::new(admission(), draft(batch))
}

fn full_of(claimed: Result<Claimed, Unclaimed>) -> Full {
    match claimed.unwrap_err().why {
        Why::Full(full) => full,
        other => panic!("{other}"),
    }
}

fn ordinal_of(first: &First) -> usize {
    usize::try_from(first.placing().unwrap().first_ordinal.0).unwrap() + first.index()
}

/// What a batch takes of the table's room: a fallback's bytes count as well.
fn places(batch: &[Sent]) -> u64 {
    let fallbacks = batch.iter().filter(|sent| sent.fallback > 0).count();
    let bytes = (fallbacks * size_of::<FiledFallback>()) as u64;
    batch.len() as u64 + BATCH_OVERHEAD + bytes.div_ceil(PLACE_BYTES)
}

/// The committer's thread of the tests.
struct Committer {
    settler: Settler,
    ordinal: u64,
    records: u64,
}

impl Committer {
    fn place(&mut self, claimed: Claimed) -> Decided {
        let decided = self.settler.settle(claimed);
        self.records += 1;
        let placing = Placing {
            number: Watermark(self.records),
            position: Position::default(),
            first_ordinal: Ordinal(self.ordinal),
        };
        self.ordinal += decided.filed.len() as u64;
        self.settler.place(&decided.filed, placing);
        decided
    }
}

fn check(model: &mut Model, batch: &[Sent], decided: &Decided) -> Result<(), TestCaseError> {
    let mut replays = decided.replays.iter().peekable();
    for (index, sent) in batch.iter().enumerate() {
        let (settled, first) = model.place(*sent);
        prop_assert_eq!(decided.filed.settled(index), Some(settled), "{:?} at {}", sent, index);
        let target =
            replays.next_if(|(i, _)| usize::from(*i) == index).map(|(_, first)| ordinal_of(first));
        prop_assert_eq!(target, first, "{:?} at {}", sent, index);
    }
    prop_assert!(replays.next().is_none());
    Ok(())
}

fn sent() -> impl Strategy<Value = Sent> {
    (0_u8..4, 0_u8..4, 0_u8..3).prop_map(|(lrn, content, fallback)| Sent { lrn, content, fallback })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// `picks` decides, step by step, whether the next batch claims or which of those in flight is
    /// placed.
    #[test]
    fn outcomes_follow_the_journal_whatever_the_order_of_claims(
        batches in prop::collection::vec(prop::collection::vec(sent(), 1..6), 1..12),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let index = Arc::new(Index::new(keys(), 1 << 16).unwrap());
        let room = index.room();
        let mut committer =
            Committer { settler: Settler::new(Arc::clone(&index)), ordinal: 0, records: 0 };
        let mut model = Model::default();
        let mut waiting = batches.iter();
        let mut in_flight: Vec<(&Vec<Sent>, Claimed)> = Vec::new();
        let mut picks = picks.iter().cycle();
        // Places of batches that were filed, and by ordinal whether its batch was.
        let (mut taken, mut is_filed) = (0, Vec::new());
        loop {
            let choice = picks.next().unwrap().index(in_flight.len() + 1);
            if choice == in_flight.len()
                && let Some(batch) = waiting.next()
            {
                let claimed = index.claim(filed(batch)).unwrap();
                if claimed.filed.sequence.is_some() {
                    taken += places(batch);
                }
                in_flight.push((batch, claimed));
            } else if !in_flight.is_empty() {
                let (batch, claimed) = in_flight.swap_remove(choice.min(in_flight.len() - 1));
                let decided = committer.place(claimed);
                is_filed.extend(batch.iter().map(|_| decided.filed.sequence.is_some()));
                check(&mut model, batch, &decided)?;
            } else if waiting.len() == 0 {
                break;
            }
        }
        // What stands under each LRN, and that room was taken for every declaration that is filed.
        for lrn in 0..4 {
            let key = keys().key_of(&Eori::parse("NL810000003").unwrap(), &format!("L{lrn}"));
            let found = index.under(key).unwrap().map(|first| ordinal_of(&first));
            prop_assert_eq!(found, model.under(lrn));
        }
        prop_assert_eq!(room - index.room(), taken);
        for (ordinal, is_filed) in is_filed.into_iter().enumerate() {
            let found = index.at(Ordinal(ordinal as u64)).unwrap().map(|first| ordinal_of(&first));
            prop_assert_eq!(found, is_filed.then_some(ordinal));
        }
        prop_assert!(index.at(Ordinal(model.count as u64)).unwrap().is_none());
    }
}

#[test]
fn threads_that_claim_at_once_come_out_as_the_journal_has_them() {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for _ in 0..20 {
        let index = Arc::new(Index::new(keys(), 1 << 16).unwrap());
        let batches: Vec<Vec<Sent>> = (0..400)
            .map(|_| {
                (0..20)
                    .map(|_| Sent {
                        lrn: random(60) as u8,
                        content: random(3) as u8,
                        fallback: (random(5) == 0).into(),
                    })
                    .collect()
            })
            .collect();
        let (sender, receiver) = crossbeam::channel::unbounded();
        let decided = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for part in batches.chunks(100) {
                let (index, sender) = (&index, sender.clone());
                scope.spawn(move || {
                    for batch in part {
                        let claimed = index.claim(filed(batch)).unwrap();
                        sender.send((batch, claimed)).unwrap();
                    }
                });
            }
            drop(sender);
            let settler = Settler::new(Arc::clone(&index));
            let decided = &decided;
            scope.spawn(move || {
                let mut committer = Committer { settler, ordinal: 0, records: 0 };
                for (batch, claimed) in receiver {
                    decided.lock().unwrap().push((batch, committer.place(claimed)));
                }
            });
        });
        let mut model = Model::default();
        for (batch, decided) in decided.into_inner().unwrap() {
            check(&mut model, batch, &decided).unwrap();
        }
    }
}

fn sents(all: &[(u8, u8)]) -> Vec<Sent> {
    all.iter().map(|&(lrn, content)| Sent { lrn, content, fallback: 0 }).collect()
}

#[test]
fn what_was_answered_is_repeated_without_room_even_when_the_index_is_full() {
    let index = Arc::new(Index::new(keys(), 1 << 10).unwrap());
    let mut committer =
        Committer { settler: Settler::new(Arc::clone(&index)), ordinal: 0, records: 0 };
    let mut model = Model::default();
    // Contents 0 and 3 are rejected: rejections, a correction, a conflict, and an acceptance.
    let sent = [
        sents(&[(1, 0), (2, 3), (3, 1)]),
        sents(&[(1, 3), (2, 1), (3, 2)]),
        sents(&[(2, 2), (1, 1), (2, 2)]),
    ];
    for batch in &sent {
        let decided = committer.place(index.claim(filed(batch)).unwrap());
        assert!(decided.filed.sequence.is_some());
        check(&mut model, batch, &decided).unwrap();
    }
    // Others fill the table.
    let mut other = 4;
    while let Ok(claimed) = index.claim(filed(&sents(&[(other, 1)]))) {
        let decided = committer.place(claimed);
        check(&mut model, &sents(&[(other, 1)]), &decided).unwrap();
        other += 1;
    }
    let full = index.room();
    for batch in sent.iter().cycle().take(30) {
        let decided = committer.place(index.claim(filed(batch)).unwrap());
        check(&mut model, batch, &decided).unwrap();
        assert_eq!(index.room(), full);
    }
    // Something new among them does take room.
    let refused = full_of(index.claim(filed(&sents(&[(1, 0), (other, 2)]))));
    assert_eq!((refused.needed, refused.free), (2 + BATCH_OVERHEAD, full));
    assert_eq!(index.room(), full, "a batch that does not fit takes nothing");
}

#[test]
fn the_smallest_batches_that_take_room_never_outgrow_it() {
    let index = Arc::new(Index::new(keys(), 1 << 10).unwrap());
    let mut committer =
        Committer { settler: Settler::new(Arc::clone(&index)), ordinal: 0, records: 0 };
    // In flight together, so that none is known to repeat another.
    let one = sents(&[(1, 1)]);
    let claimed: Vec<_> = std::iter::from_fn(|| index.claim(filed(&one)).ok()).collect();
    let mut accepted = 0;
    for claimed in claimed {
        let decided = committer.place(claimed);
        accepted += u32::from(decided.filed.settled(0) == Some(Settled::first(Outcome::Accepted)));
    }
    assert_eq!(accepted, 1);
    assert!(committer.records > 70, "{}", committer.records);
    assert!(index.at(Ordinal(committer.ordinal - 1)).unwrap().is_some());
}
