//! Which batches are sent, which are answered, and which may be sent next. No I/O.
//!
//! Batches are sent in order, and a batch waits while one before it that has an LRN in common is without
//! an answer: the service may settle batches that are under way together in either order, and the answers
//! to two declarations under one LRN depend on which came first. So the same batches get the same answers
//! every time, whatever is lost and sent again on the way.
//!
//! Where it is told to, a batch that is refused for its size, or for one of its declarations, is halved in
//! its place, again and again, until what is refused is one declaration.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::batch::Batch;
use super::error::ClientError;
use crate::proto::v1::submit_batches_response::Result as Answer;
use crate::proto::v1::{BatchRefusal, SubmitBatchResponse, SubmitBatchesResponse};

/// A batch with its answer.
#[derive(Debug)]
pub struct Answered {
    /// As it was sent.
    pub batch: Batch,
    /// What came back.
    pub reply: Reply,
    /// How many times it was sent: each but the last was left without an answer.
    pub sends: u32,
}

/// What the service makes of a batch.
#[derive(Debug)]
pub enum Reply {
    /// A verdict for each declaration.
    Verdicts(SubmitBatchResponse),
    /// Nothing of it was stored, and sending it again as it is will not help.
    Refused(BatchRefusal),
}

/// What an answer brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The batch is done with.
    Done,
    /// It is to be sent again later, for the reason that was told.
    Later(String),
}

#[derive(Debug)]
struct Slot {
    number: u64,
    batch: Batch,
    keys: Vec<u64>,
    /// It was sent once at least, so that its declarations may have been placed.
    is_begun: bool,
    /// So many times.
    sends: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting,
    /// Refused for now; may be sent again then.
    Again(Instant),
    UnderWay,
    Done(Reply),
}

/// Batches from being handed over until they are taken back with their answers.
#[derive(Debug)]
pub(super) struct Window {
    /// Without an answer in the stream at most.
    under_way_max: usize,
    halves_refused: bool,
    /// In the order of sending.
    slots: VecDeque<Slot>,
    /// How many there ever were.
    numbered: u64,
    /// Numbers of those without an answer in the stream, in its order.
    under_way: VecDeque<u64>,
    /// How many batches that are begun and not answered have each key.
    keys: HashMap<u64, u32>,
}

impl Window {
    pub(super) fn new(under_way_max: usize, halves_refused: bool) -> Self {
        Self {
            under_way_max,
            halves_refused,
            slots: VecDeque::new(),
            numbered: 0,
            under_way: VecDeque::new(),
            keys: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn push(&mut self, batch: Batch) {
        let slot = self.slot(batch);
        self.slots.push_back(slot);
    }

    fn slot(&mut self, batch: Batch) -> Slot {
        self.numbered += 1;
        let keys = batch.keys();
        Slot {
            number: self.numbered,
            batch,
            keys,
            is_begun: false,
            sends: 0,
            state: State::Waiting,
        }
    }

    /// The oldest, if it is answered.
    pub(super) fn take_first(&mut self) -> Option<Answered> {
        let Slot { state: State::Done(_), .. } = self.slots.front()? else { return None };
        let slot = self.slots.pop_front()?;
        match slot.state {
            State::Done(reply) => Some(Answered { batch: slot.batch, reply, sends: slot.sends }),
            _ => None,
        }
    }

    pub(super) fn has_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// When the first that was refused for now may be sent again.
    pub(super) fn again_at(&self) -> Option<Instant> {
        let again = self.slots.iter().filter_map(|slot| match slot.state {
            State::Again(due) => Some(due),
            _ => None,
        });
        again.min()
    }

    /// The next that may be sent now, which counts as sent.
    pub(super) fn next_to_send(&mut self, now: Instant) -> Option<Bytes> {
        if self.under_way.len() == self.under_way_max {
            return None;
        }
        let place = self.place_of_next(now)?;
        let slot = self.slots.get_mut(place)?;
        slot.state = State::UnderWay;
        slot.sends = slot.sends.saturating_add(1);
        if !slot.is_begun {
            slot.is_begun = true;
            slot.keys.iter().for_each(|&key| *self.keys.entry(key).or_default() += 1);
        }
        self.under_way.push_back(slot.number);
        Some(slot.batch.encode())
    }

    fn place_of_next(&self, now: Instant) -> Option<usize> {
        for (place, slot) in self.slots.iter().enumerate() {
            match slot.state {
                State::Again(due) if due <= now => return Some(place),
                State::Waiting => {
                    let is_free = || slot.keys.iter().all(|key| !self.keys.contains_key(key));
                    // What stands behind it waits as well: order is all there is to tell by.
                    return (slot.is_begun || is_free()).then_some(place);
                }
                State::Again(_) | State::UnderWay | State::Done(_) => {}
            }
        }
        None
    }

    /// The stream is lost: what has no answer is to be sent again.
    pub(super) fn lose(&mut self) {
        self.under_way.clear();
        for slot in &mut self.slots {
            if matches!(slot.state, State::UnderWay) {
                slot.state = State::Waiting;
            }
        }
    }

    /// Takes the answer to the one whose turn it is.
    pub(super) fn take(
        &mut self,
        answer: SubmitBatchesResponse,
        now: Instant,
    ) -> Result<Taken, ClientError> {
        let unasked = || ClientError::Empty { what: "to a batch that it was not sent" };
        let number = self.under_way.pop_front().ok_or_else(unasked)?;
        let mut slots = self.slots.iter_mut().enumerate();
        let (place, slot) = slots.find(|(_, slot)| slot.number == number).ok_or_else(unasked)?;
        let reply = match answer.result {
            Some(Answer::Answer(answer)) => {
                let batch = &slot.batch;
                if answer.batch_id != batch.id() || answer.verdicts.len() != batch.len() {
                    return Err(ClientError::Mismatch {
                        batch_id: batch.id().to_owned(),
                        declarations: batch.len(),
                        answered_id: answer.batch_id,
                        verdicts: answer.verdicts.len(),
                    });
                }
                Reply::Verdicts(answer)
            }
            Some(Answer::Refusal(refusal)) if refusal.retry_after_ms > 0 => {
                let wait = Duration::from_millis(refusal.retry_after_ms.into());
                slot.state = State::Again(now + wait);
                // That was an answer: nothing of it is stored.
                slot.sends = slot.sends.saturating_sub(1);
                return Ok(Taken::Later(refusal.message));
            }
            Some(Answer::Refusal(refusal)) => {
                let halves = if self.halves_refused && is_of_part(&refusal) {
                    slot.batch.halves()
                } else {
                    None
                };
                if let Some((first, second)) = halves {
                    self.halve(place, first, second);
                    return Ok(Taken::Done);
                }
                Reply::Refused(refusal)
            }
            None => return Err(ClientError::Empty { what: "with nothing in it" }),
        };
        slot.state = State::Done(reply);
        let keys = std::mem::take(&mut slot.keys);
        self.release(&keys);
        Ok(Taken::Done)
    }

    /// Puts both halves where the whole was, which is not stored.
    fn halve(&mut self, place: usize, first: Batch, second: Batch) {
        let (first, second) = (self.slot(first), self.slot(second));
        if let Some(whole) = self.slots.get_mut(place) {
            let whole = std::mem::replace(whole, first);
            self.release(&whole.keys);
            self.slots.insert(place + 1, second);
        }
    }

    fn release(&mut self, keys: &[u64]) {
        for key in keys {
            if let Some(count) = self.keys.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    self.keys.remove(key);
                }
            }
        }
    }
}

/// Whether a batch is refused for what halves of it may not have: too much in all, or a declaration at fault.
fn is_of_part(refusal: &BatchRefusal) -> bool {
    refusal.field.starts_with("declarations") || refusal.field == "common"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::client::Lodger;
    use crate::proto::v1::{Declaration, Verdict};
    use prost::Message as _;

    fn batch(id: &str, lrns: &[&str]) -> Batch {
        let mut batch = Batch::new(id, Lodger::declarant("NL810000003"));
        for &lrn in lrns {
            batch.push(&Declaration { lrn: lrn.into(), ..Declaration::default() });
        }
        batch
    }

    fn answer(id: &str, verdicts: usize) -> SubmitBatchesResponse {
        let answer = SubmitBatchResponse {
            batch_id: id.into(),
            verdicts: vec![Verdict::default(); verdicts],
            ..SubmitBatchResponse::default()
        };
        SubmitBatchesResponse { result: Some(Answer::Answer(answer)) }
    }

    fn refusal(id: &str, retry_after_ms: u32) -> SubmitBatchesResponse {
        let refusal = BatchRefusal {
            batch_id: id.into(),
            message: "full".into(),
            retry_after_ms,
            ..BatchRefusal::default()
        };
        SubmitBatchesResponse { result: Some(Answer::Refusal(refusal)) }
    }

    fn sent(window: &mut Window, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| window.next_to_send(now))
            .map(|bytes| crate::proto::v1::SubmitBatchRequest::decode(bytes).unwrap().batch_id)
            .collect()
    }

    fn window(batches: &[(&str, &[&str])]) -> Window {
        let mut window = Window::new(8, true);
        batches.iter().for_each(|(id, lrns)| window.push(batch(id, lrns)));
        window
    }

    #[test]
    fn a_batch_waits_for_the_answer_to_one_with_an_lrn_in_common_and_nothing_overtakes_it() {
        let now = Instant::now();
        let mut window =
            window(&[("a", &["1", "2"]), ("b", &["3"]), ("c", &["2 "]), ("d", &["4"])]);
        assert_eq!(sent(&mut window, now), ["a", "b"]);
        assert_eq!(window.take(answer("a", 2), now).unwrap(), Taken::Done);
        assert_eq!(sent(&mut window, now), ["c", "d"]);
        assert_eq!(window.take_first().unwrap().batch.id(), "a");
        assert!(window.take_first().is_none(), "b has no answer");
    }

    #[test]
    fn what_is_lost_is_sent_again_in_order_and_still_holds_up_what_shares_its_lrns() {
        let now = Instant::now();
        let mut window = window(&[("a", &["1"]), ("b", &["2"]), ("c", &["2"])]);
        assert_eq!(sent(&mut window, now), ["a", "b"]);
        window.lose();
        assert!(!window.has_under_way());
        assert_eq!(sent(&mut window, now), ["a", "b"]);
        window.take(answer("a", 1), now).unwrap();
        assert!(sent(&mut window, now).is_empty());
        window.take(answer("b", 1), now).unwrap();
        assert_eq!(sent(&mut window, now), ["c"]);
        window.take(answer("c", 1), now).unwrap();
        let sends = std::iter::from_fn(|| window.take_first()).map(|answered| answered.sends);
        assert_eq!(sends.collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn one_refused_for_now_comes_again_when_it_may_and_later_ones_keep_behind_its_lrns() {
        let now = Instant::now();
        let mut window = window(&[("a", &["1"]), ("b", &["2"]), ("c", &["1"])]);
        assert_eq!(sent(&mut window, now), ["a", "b"]);
        assert_eq!(window.take(refusal("a", 50), now).unwrap(), Taken::Later("full".into()));
        window.take(answer("b", 1), now).unwrap();
        assert!(sent(&mut window, now).is_empty());
        let due = window.again_at().unwrap();
        assert_eq!(due, now + Duration::from_millis(50));
        assert_eq!(sent(&mut window, due), ["a"]);
        window.take(refusal("a", 0), due).unwrap();
        let first = window.take_first().unwrap();
        assert!(matches!(first.reply, Reply::Refused(refusal) if refusal.message == "full"));
        assert_eq!(sent(&mut window, due), ["c"]);
    }

    #[test]
    fn a_batch_refused_for_a_part_is_halved_in_its_place_down_to_the_declaration() {
        let now = Instant::now();
        let refuse = |id| {
            let mut refused = refusal(id, 0);
            if let Some(Answer::Refusal(refusal)) = &mut refused.result {
                refusal.field = "declarations[1].goods_items".into();
            }
            refused
        };
        let mut window = window(&[("a", &["1", "2", "3"]), ("b", &["4"]), ("c", &["3"])]);
        assert_eq!(sent(&mut window, now), ["a", "b"]);
        window.take(refuse("a"), now).unwrap();
        window.take(answer("b", 1), now).unwrap();
        assert_eq!(sent(&mut window, now), ["a", "a"], "c waits for the half that has its LRN");
        window.take(answer("a", 1), now).unwrap();
        window.take(refuse("a"), now).unwrap();
        assert_eq!(sent(&mut window, now), ["a", "a"]);
        window.take(answer("a", 1), now).unwrap();
        window.take(refuse("a"), now).unwrap();
        assert_eq!(sent(&mut window, now), ["c"]);
        let taken: Vec<(String, bool)> = std::iter::from_fn(|| window.take_first())
            .map(|Answered { batch, reply, .. }| {
                (batch.lrns().collect(), matches!(reply, Reply::Refused(_)))
            })
            .collect();
        let of = |lrn: &str, is_refused| (lrn.to_owned(), is_refused);
        assert_eq!(taken, [of("1", false), of("2", false), of("3", true), of("4", false)]);
    }

    #[test]
    fn no_more_are_under_way_than_may_be() {
        let now = Instant::now();
        let mut window = Window::new(2, false);
        ["a", "b", "c"].iter().for_each(|id| window.push(batch(id, &[id])));
        assert_eq!(sent(&mut window, now), ["a", "b"]);
        let mut refused = refusal("a", 0);
        if let Some(Answer::Refusal(refusal)) = &mut refused.result {
            refusal.field = "declarations".into();
        }
        window.take(refused, now).unwrap();
        assert!(matches!(window.take_first().unwrap().reply, Reply::Refused(_)));
        assert_eq!(sent(&mut window, now), ["c"]);
    }

    #[test]
    fn an_answer_to_another_batch_or_with_too_few_verdicts_is_an_error() {
        let now = Instant::now();
        for wrong in [answer("b", 2), answer("a", 1), SubmitBatchesResponse { result: None }] {
            let mut window = window(&[("a", &["1", "2"])]);
            sent(&mut window, now);
            window.take(wrong, now).unwrap_err();
        }
        window(&[]).take(answer("a", 0), now).unwrap_err();
    }
}
