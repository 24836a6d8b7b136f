//! One connection with one stream of batches, many under way at once.
//!
//! All batches of an actor go through the same lane, in their order, and at most
//! [`BATCHES_APART`] of one actor are under way: a declaration is sent only once everything that
//! its known answer rests on has been answered.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use super::DriveError;
use super::ahead::Prepared;
use super::check::{Book, Mismatches};
use crate::client::codec::EncodedBatches;
use crate::generate::BATCHES_APART;
use crate::proto::v1::submit_batches_response::Result as Answer;
use crate::proto::v1::{BatchRefusal, SubmitBatchResponse, SubmitBatchesResponse};

/// Batches under way on a lane at most: enough that the server never waits for the client while an
/// answer travels, few enough that the latency is the server's and not that of a queue.
const UNDER_WAY_MAX: usize = 8;

/// What a lane has seen when it is done.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) books: HashMap<u32, Book>,
    pub(super) mismatches: Mismatches,
    pub(super) batches: u64,
    pub(super) declarations: u64,
    pub(super) lines: u64,
    pub(super) refusals: u64,
    /// From handing a batch over to its answer, microseconds, one for each batch.
    pub(super) latencies_us: Vec<u32>,
    pub(super) watermark: u64,
}

struct Lane {
    requests: mpsc::Sender<Bytes>,
    under_way: VecDeque<(Instant, Prepared)>,
    /// Refused for now, with the moment at which each may be sent again.
    again: VecDeque<(Instant, Prepared)>,
    /// Numbers of the batches of each actor that were sent and not answered, in order.
    unanswered: HashMap<u32, Vec<u64>>,
    seen: Seen,
}

/// Sends what comes through `batches` and checks every answer.
///
/// # Errors
/// A call that fails, a refusal that no retry helps, a stream that ends early.
pub(super) async fn run(
    channel: Channel,
    mut batches: mpsc::UnboundedReceiver<Prepared>,
    progress: ProgressBar,
) -> Result<Seen, DriveError> {
    let (requests, receiver) = mpsc::channel(UNDER_WAY_MAX);
    let mut lane = Lane {
        requests,
        under_way: VecDeque::new(),
        again: VecDeque::new(),
        unanswered: HashMap::new(),
        seen: Seen::default(),
    };
    // The first goes into the channel before the call, in case the server answers the call itself
    // only with its first message.
    let Some(first) = batches.recv().await else {
        return Ok(lane.seen);
    };
    lane.send(first).await;
    let mut answers = open(channel, receiver).await?;
    let mut next: Option<Prepared> = None;
    let mut more = true;
    loop {
        let now = Instant::now();
        if lane.under_way.len() < UNDER_WAY_MAX {
            if lane.again.front().is_some_and(|(due, _)| *due <= now)
                && let Some((_, batch)) = lane.again.pop_front()
            {
                lane.send(batch).await;
                continue;
            }
            if let Some(batch) = next.take_if(|batch| lane.may_send(batch)) {
                lane.send(batch).await;
                continue;
            }
        }
        if lane.under_way.is_empty() && lane.again.is_empty() && next.is_none() && !more {
            break;
        }
        let retry = lane.again.front().map(|(due, _)| *due);
        tokio::select! {
            answer = answers.message(), if !lane.under_way.is_empty() => {
                let answer = answer.map_err(|status| DriveError::call("SubmitBatches", status))?;
                lane.take(answer.ok_or(DriveError::Closed)?, &progress)?;
            }
            batch = batches.recv(), if next.is_none() && more => {
                more = batch.is_some();
                next = batch;
            }
            () = sleep_until(retry), if retry.is_some() => {}
        }
    }
    drop(lane.requests);
    Ok(lane.seen)
}

async fn sleep_until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        tokio::time::sleep_until(moment.into()).await;
    }
}

async fn open(
    channel: Channel,
    requests: mpsc::Receiver<Bytes>,
) -> Result<Streaming<SubmitBatchesResponse>, DriveError> {
    let mut client = tonic::client::Grpc::new(channel);
    let lost =
        |source| DriveError::call("SubmitBatches", tonic::Status::from_error(Box::new(source)));
    client.ready().await.map_err(lost)?;
    let path = PathAndQuery::from_static("/waag.v1.Lodgement/SubmitBatches");
    let request = Request::new(ReceiverStream::new(requests));
    let response = client.streaming(request, path, EncodedBatches).await;
    Ok(response.map_err(|status| DriveError::call("SubmitBatches", status))?.into_inner())
}

impl Lane {
    /// Whether everything has been answered that `batch` may refer to.
    fn may_send(&self, batch: &Prepared) -> bool {
        let oldest = self.unanswered.get(&batch.actor).and_then(|numbers| numbers.first());
        oldest.is_none_or(|&oldest| batch.number < oldest + BATCHES_APART)
    }

    async fn send(&mut self, batch: Prepared) {
        let numbers = self.unanswered.entry(batch.actor).or_default();
        // One that is sent again is there already.
        if !numbers.contains(&batch.number) {
            numbers.push(batch.number);
        }
        // There is room for all that may be under way, so this never waits; and should the call
        // that takes the other end have failed, then reading its answer says why.
        let _ = self.requests.send(batch.encoded.clone()).await;
        self.under_way.push_back((Instant::now(), batch));
    }

    fn take(
        &mut self,
        answer: SubmitBatchesResponse,
        progress: &ProgressBar,
    ) -> Result<(), DriveError> {
        let (sent, batch) = self.under_way.pop_front().ok_or(DriveError::Unasked)?;
        match answer.result {
            Some(Answer::Answer(answer)) => {
                let waited = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
                self.seen.latencies_us.push(waited);
                self.check(&batch, &answer);
                if let Some(numbers) = self.unanswered.get_mut(&batch.actor) {
                    numbers.retain(|&number| number != batch.number);
                }
                progress.inc(batch.lines);
                Ok(())
            }
            Some(Answer::Refusal(refusal)) => self.refused(batch, refusal),
            None => Err(DriveError::Empty { batch_id: batch.batch_id }),
        }
    }

    fn refused(&mut self, batch: Prepared, refusal: BatchRefusal) -> Result<(), DriveError> {
        if refusal.batch_id != batch.batch_id || refusal.retry_after_ms == 0 {
            return Err(DriveError::Refused { batch_id: batch.batch_id, refusal });
        }
        self.seen.refusals += 1;
        let wait = Duration::from_millis(u64::from(refusal.retry_after_ms));
        self.again.push_back((Instant::now() + wait, batch));
        Ok(())
    }

    fn check(&mut self, batch: &Prepared, answer: &SubmitBatchResponse) {
        let Seen { books, mismatches, .. } = &mut self.seen;
        let book = books.entry(batch.actor).or_default();
        let before = book.tally;
        let verdicts = &answer.verdicts;
        let id = &batch.batch_id;
        if answer.batch_id != *id {
            mismatches.add(|| format!("batch {id}: answered as {:?}", answer.batch_id));
        }
        if verdicts.len() != batch.expected.len() {
            let (sent, found) = (batch.expected.len(), verdicts.len());
            mismatches.add(|| format!("batch {id}: {found} verdicts on {sent} declarations"));
        }
        for (position, (expected, verdict)) in
            (batch.first_position..).zip(batch.expected.iter().zip(verdicts))
        {
            if let Err(what) = book.check(position, expected, verdict) {
                let place = position - batch.first_position;
                mismatches.add(|| format!("batch {id}, declarations[{place}]: {what}"));
            }
        }
        let after = book.tally;
        let totals = answer.totals.unwrap_or_default();
        let told = [
            totals.accepted,
            totals.rejected,
            totals.replayed,
            totals.conflicts,
            totals.accepted_lines,
        ];
        let counted = [
            after.accepted - before.accepted,
            after.rejected - before.rejected,
            after.replayed - before.replayed,
            after.conflicts - before.conflicts,
            after.accepted_lines - before.accepted_lines,
        ];
        if told.map(u64::from) != counted {
            mismatches.add(|| format!("batch {id}: totals {told:?}, but verdicts {counted:?}"));
        }
        self.seen.batches += 1;
        self.seen.declarations += batch.expected.len() as u64;
        self.seen.lines += batch.lines;
        self.seen.watermark = self.seen.watermark.max(answer.watermark);
    }
}
