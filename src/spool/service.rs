//! `waag.v1.Spool`: see `spool.proto`.

use std::pin::Pin;
use std::time::{Duration, Instant};

use bumpalo::Bump;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::daemon::Rates;
use super::reach::Reach;
use super::store::{LodgeError, Store, StoreError};
use crate::proto::server::spool_server::Spool;
use crate::proto::v1::{self, lodge_stream_response};
use crate::rpc::codec::RequestBytes;
use crate::wire::normalise::normalise_id;

/// Batches of a stream whose receipts are on their way: enough to fill a group.
pub(super) const STREAM_IN_FLIGHT_MAX: usize = 64;
/// Sets of one answer, unless asked for fewer,
const SETS_DEFAULT: u32 = 100;
/// bounded by the limit of most clients, 4 MiB: the last one may go over.
const SETS_BYTES_MAX: usize = 3 << 20;
/// Longer than this nobody waits in one call.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The service.
#[derive(Debug, Clone)]
pub struct SpoolService {
    pub(super) store: Store,
    pub(super) reach: Reach,
    pub(super) rates: Rates,
    /// Streams end once this says so.
    pub(super) stopping: watch::Receiver<bool>,
}

/// A status with the time to come back, where that helps.
pub(super) fn later(code: Code, message: &str, retry_after_ms: u32) -> Status {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(Duration::from_millis(retry_after_ms.into())));
    Status::with_error_details(code, message, details)
}

/// Why a batch is not taken in, as code, field and time to come back.
pub(super) fn refusal(error: &LodgeError) -> (Code, String, u32) {
    match error {
        LodgeError::Malformed(malformed) => (Code::InvalidArgument, malformed.field.clone(), 0),
        LodgeError::Full { retry_after_ms, .. } => {
            (Code::ResourceExhausted, String::new(), *retry_after_ms)
        }
        LodgeError::Stopped => (Code::Unavailable, String::new(), 1_000),
    }
}

pub(super) fn lodge_status(error: &LodgeError) -> Status {
    let (code, field, retry_after_ms) = refusal(error);
    if retry_after_ms > 0 {
        return later(code, &error.to_string(), retry_after_ms);
    }
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation(field, error.to_string());
    Status::with_error_details(code, error.to_string(), details)
}

/// The same as an item of a stream.
pub(super) fn batch_refusal(message: &[u8], error: &LodgeError) -> v1::BatchRefusal {
    let (code, field, retry_after_ms) = refusal(error);
    v1::BatchRefusal {
        batch_id: crate::wire::reader::batch_id(message),
        code: code.into(),
        message: error.to_string(),
        field,
        retry_after_ms,
    }
}

fn failed(error: StoreError) -> Status {
    tracing::error!(%error, "what the spool keeps cannot be read");
    Status::data_loss(error.to_string())
}

/// How long a call may wait: as it asks, or until shortly before its deadline.
pub(super) fn patience<T>(request: &Request<T>, asked: Duration) -> Duration {
    let deadline = request.metadata().get("grpc-timeout").and_then(|value| value.to_str().ok());
    let deadline = deadline.and_then(|text| {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: u64 = number.parse().ok()?;
        Some(match unit {
            "H" => Duration::from_secs(number.saturating_mul(3_600)),
            "M" => Duration::from_secs(number.saturating_mul(60)),
            "S" => Duration::from_secs(number),
            "m" => Duration::from_millis(number),
            "u" => Duration::from_micros(number),
            "n" => Duration::from_nanos(number),
            _ => return None,
        })
    });
    // A fifth is for the way back.
    deadline.map_or(asked, |deadline| asked.min(deadline.mul_f64(0.8)))
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender gone is a stop as well.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}

impl SpoolService {
    /// Verdicts after `position`, as many as go into one answer.
    async fn sets(&self, position: u64, most: usize) -> Result<Vec<v1::VerdictSet>, Status> {
        let store = self.store.clone();
        let reading = move || {
            let (mut sets, mut bytes) = (Vec::new(), 0);
            for number in store.answered_after(position, most) {
                // One that went meanwhile was acknowledged.
                let Some(set) = store.verdicts(number)? else { continue };
                bytes += set.encoded_len();
                if bytes > SETS_BYTES_MAX && !sets.is_empty() {
                    break;
                }
                sets.push(set);
            }
            Ok(sets)
        };
        let read = tokio::task::spawn_blocking(reading).await;
        read.map_err(|error| Status::internal(error.to_string()))?.map_err(failed)
    }

    /// The answer to one batch, once it is there; none where it does not come within `wait`.
    pub(super) async fn answered(
        &self,
        number: u64,
        wait: Duration,
    ) -> Result<Option<v1::VerdictSet>, Status> {
        let mut changes = self.store.changes();
        let until = Instant::now() + wait;
        loop {
            match self.store.is_answered(number) {
                None => {
                    let told = format!(
                        "receipt {number} was never given by this spool, or its verdicts are no longer kept"
                    );
                    return Err(Status::not_found(told));
                }
                Some(true) => break,
                Some(false) => {}
            }
            match tokio::time::timeout_at(until.into(), changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(None),
            }
        }
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || store.verdicts(number)).await;
        read.map_err(|error| Status::internal(error.to_string()))?.map_err(failed)
    }

    async fn stream(self, mut position: u64, sets: mpsc::Sender<Result<v1::VerdictSet, Status>>) {
        let mut changes = self.store.changes();
        let mut stopping = self.stopping.clone();
        loop {
            let found = match self.sets(position, STREAM_IN_FLIGHT_MAX).await {
                Ok(found) => found,
                Err(status) => return drop(sets.send(Err(status)).await),
            };
            let is_empty = found.is_empty();
            for set in found {
                position = set.position;
                if sets.send(Ok(set)).await.is_err() {
                    return;
                }
            }
            if is_empty {
                tokio::select! {
                    () = stopped(&mut stopping) => {
                        let status = later(Code::Unavailable, "the spool is stopping", 1_000);
                        return drop(sets.send(Err(status)).await);
                    }
                    () = sets.closed() => return,
                    changed = changes.changed() => if changed.is_err() { return },
                }
            }
        }
    }
}

type Pending = Pin<Box<dyn Future<Output = Result<v1::LodgeStreamResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Spool for SpoolService {
    async fn lodge(&self, request: Request<RequestBytes>) -> Result<Response<v1::Receipt>, Status> {
        let lodged = self.store.lodge(request.into_inner().0, self.reach.is_up()).await;
        lodged.map(Response::new).map_err(|error| lodge_status(&error))
    }

    type LodgeStreamStream =
        Pin<Box<dyn Stream<Item = Result<v1::LodgeStreamResponse, Status>> + Send>>;

    async fn lodge_stream(
        &self,
        request: Request<Streaming<RequestBytes>>,
    ) -> Result<Response<Self::LodgeStreamStream>, Status> {
        let (sender, pending) = mpsc::channel::<Pending>(STREAM_IN_FLIGHT_MAX);
        let (service, mut requests) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            let mut stopping = service.stopping.clone();
            loop {
                let message = tokio::select! {
                    () = stopped(&mut stopping) => {
                        Err(later(Code::Unavailable, "the spool is stopping", 1_000))
                    }
                    message = requests.message() => message,
                };
                let message = match message {
                    Ok(Some(RequestBytes(message))) => message,
                    Ok(None) => return,
                    Err(status) => {
                        let _ = sender.send(Box::pin(std::future::ready(Err(status)))).await;
                        return;
                    }
                };
                // Begun at once, so that many go into one group; the order is that of the answers alone.
                let (store, is_up) = (service.store.clone(), service.reach.is_up());
                let of = message.clone();
                let lodging = tokio::spawn(async move { store.lodge(message, is_up).await });
                let answer = async move {
                    use lodge_stream_response::Result as Item;
                    let lodged = lodging.await.unwrap_or(Err(LodgeError::Stopped));
                    let result = match lodged {
                        Ok(receipt) => Item::Receipt(receipt),
                        Err(error) => Item::Refusal(batch_refusal(&of, &error)),
                    };
                    Ok(v1::LodgeStreamResponse { result: Some(result) })
                };
                if sender.send(Box::pin(answer)).await.is_err() {
                    return;
                }
            }
        });
        let answers = ReceiverStream::new(pending).then(|pending: Pending| pending);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn pull_verdicts(
        &self,
        request: Request<v1::PullVerdictsRequest>,
    ) -> Result<Response<v1::PullVerdictsResponse>, Status> {
        let asked = Duration::from_millis(request.get_ref().wait_ms.into()).min(WAIT_MAX);
        let wait = patience(&request, asked);
        let request = request.into_inner();
        self.store.acknowledge(request.acknowledged_position).await;
        if request.receipt > 0 {
            let set = self.answered(request.receipt, wait).await?;
            let position = set.as_ref().map_or(request.after_position, |set| set.position);
            let sets = set.into_iter().collect();
            return Ok(Response::new(v1::PullVerdictsResponse { sets, position }));
        }
        let most = if request.sets_max == 0 { SETS_DEFAULT } else { request.sets_max };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut changes = self.store.changes();
        let until = Instant::now() + wait;
        let sets = loop {
            let sets = self.sets(request.after_position, most).await?;
            if !sets.is_empty() {
                break sets;
            }
            match tokio::time::timeout_at(until.into(), changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break sets,
            }
        };
        let position = sets.last().map_or(request.after_position, |set| set.position);
        Ok(Response::new(v1::PullVerdictsResponse { sets, position }))
    }

    type StreamVerdictsStream = ReceiverStream<Result<v1::VerdictSet, Status>>;

    async fn stream_verdicts(
        &self,
        request: Request<v1::StreamVerdictsRequest>,
    ) -> Result<Response<Self::StreamVerdictsStream>, Status> {
        let request = request.into_inner();
        self.store.acknowledge(request.acknowledged_position).await;
        // One that waits is enough: sets are read some at a time.
        let (sender, sets) = mpsc::channel(1);
        tokio::spawn(self.clone().stream(request.after_position, sender));
        Ok(Response::new(ReceiverStream::new(sets)))
    }

    async fn get_reconciliation(
        &self,
        request: Request<v1::GetReconciliationRequest>,
    ) -> Result<Response<v1::GetReconciliationResponse>, Status> {
        let (request, arena) = (request.into_inner(), Bump::new());
        let declarant = normalise_id(&request.declarant, &arena);
        let state = self.store.shared.state();
        let rows = state.figures.rows();
        let rows = rows.filter(|row| declarant.is_empty() || row.declarant == declarant);
        let reconciliations = rows.cloned().collect();
        let watermark = state.watermark;
        Ok(Response::new(v1::GetReconciliationResponse { reconciliations, watermark }))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let (received_per_s, answered_per_s) = self.rates.now();
        let shared = &self.store.shared;
        let state = shared.state();
        let oldest = state.unanswered.first().and_then(|number| state.batch(*number));
        let status = v1::GetStatusResponse {
            service_reachable: self.reach.is_up(),
            waiting_batches: state.unanswered.len() as u64,
            waiting_declarations: state.waiting_declarations,
            waiting_bytes: state.waiting_bytes,
            oldest_received_at_ms: oldest.map_or(0, |batch| batch.received_at_ms),
            answered_batches: state.answers.len() as u64,
            position: state.answers.last_key_value().map_or(0, |(position, _)| *position),
            disk_bytes: shared.used(&state),
            disk_bytes_max: shared.bounds.disk_bytes_max,
            received_per_s,
            answered_per_s,
            public_key: shared.key.public().to_vec(),
            last_receipt: state.next_number.saturating_sub(1),
        };
        Ok(Response::new(status))
    }
}
