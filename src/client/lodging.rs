//! A stream of batches that outlives its connections.

use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;

use super::batch::Batch;
use super::codec::EncodedBatches;
use super::connect::{Connection, Server};
use super::error::ClientError;
use super::window::{Answered, Taken, Window};
use crate::proto::v1::SubmitBatchesResponse;

/// The service's own bound is 4 MiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Waiting before the first attempt after a loss; doubled with each one more,
const WAIT_MIN: Duration = Duration::from_millis(100);
/// up to this.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How to lodge.
#[derive(Debug, Clone)]
pub struct LodgingOptions {
    /// Batches that are handed over and not yet taken back with their answer: enough that the service
    /// never waits for the caller while an answer travels. 0 counts as 1.
    pub batches_in_flight_max: usize,
    /// Whether a batch that is refused for its size, or for one of its declarations, is sent again in halves
    /// until what is refused is one declaration. Its answers then come for its parts, in order.
    pub halves_refused: bool,
    /// How long no batch at all may be answered before it is given up.
    pub silence_max: Duration,
}

impl Default for LodgingOptions {
    fn default() -> Self {
        let silence_max = Duration::from_secs(300);
        Self { batches_in_flight_max: 8, halves_refused: false, silence_max }
    }
}

type Opening =
    Pin<Box<dyn Future<Output = Result<Streaming<SubmitBatchesResponse>, Status>> + Send>>;

/// The stream, if there is one.
enum Link {
    /// None; not to be opened before then.
    Down {
        until: Instant,
    },
    /// Being opened, with the first batches in it already: a service may answer the call itself only with
    /// its first answer.
    Opening {
        opening: Opening,
        requests: mpsc::Sender<Bytes>,
    },
    Up {
        answers: Box<Streaming<SubmitBatchesResponse>>,
        requests: mpsc::Sender<Bytes>,
    },
}

/// Batches on their way to the service and their answers, in the order in which the batches were sent.
///
/// A batch is sent only once all before it that have an LRN in common with it are answered, so that the
/// declaration that came first is judged first. Where this is dropped, batches without an answer may have
/// been stored or not.
pub struct Lodging {
    connection: Connection,
    options: LodgingOptions,
    link: Link,
    window: Window,
    /// Losses since a batch was last answered.
    losses: u32,
    /// When a batch was last answered, or there was none to be answered.
    heard: Instant,
    /// Why nothing was answered since.
    last: String,
}

impl std::fmt::Debug for Lodging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lodging").field("batches", &self.window.len()).finish_non_exhaustive()
    }
}

impl Lodging {
    /// Connects to `server`.
    ///
    /// # Errors
    /// Where it cannot be reached now. Later on it is waited for.
    pub async fn open(server: &Server, options: LodgingOptions) -> Result<Self, ClientError> {
        let connection = server.connect().await?;
        let window = Window::new(options.batches_in_flight_max.max(1), options.halves_refused);
        Ok(Self {
            connection,
            options,
            link: Link::Down { until: Instant::now() },
            window,
            losses: 0,
            heard: Instant::now(),
            last: "nothing".to_owned(),
        })
    }

    /// Whether another batch may be handed over.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.window.len() < self.options.batches_in_flight_max.max(1)
    }

    /// Whether no batch is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.window.len() == 0
    }

    /// Hands a batch over; it travels while answers are waited for. A caller asks [`Lodging::has_room`]
    /// first: that alone bounds how much is held.
    pub fn send(&mut self, batch: Batch) {
        if self.is_empty() {
            self.heard = Instant::now();
        }
        self.window.push(batch);
        if let Link::Up { requests, .. } = &self.link {
            dispatch(&mut self.window, requests);
        }
    }

    /// The oldest batch on its way with its answer, once that is there; none where no batch is on its
    /// way. Nothing is lost where this is dropped before it is done.
    ///
    /// # Errors
    /// Where the service refuses the call for good, does not keep to the contract, or has answered
    /// nothing for as long as is to be waited.
    pub async fn answer(&mut self) -> Result<Option<Answered>, ClientError> {
        loop {
            if let Some(answered) = self.window.take_first() {
                return Ok(Some(answered));
            }
            if self.is_empty() {
                return Ok(None);
            }
            self.step().await?;
        }
    }

    async fn step(&mut self) -> Result<(), ClientError> {
        // None where that is further off than clocks go.
        let give_up = self.heard.checked_add(self.options.silence_max);
        match &mut self.link {
            Link::Down { until } => {
                sleep_until(Some(*until)).await;
                self.link = self.opening();
                Ok(())
            }
            Link::Opening { opening, requests } => {
                let requests = requests.clone();
                let opened = tokio::select! {
                    opened = opening => opened,
                    () = sleep_until(give_up) => Err(silent()),
                };
                match opened {
                    Ok(answers) => {
                        self.link = Link::Up { answers: Box::new(answers), requests };
                        Ok(())
                    }
                    Err(status) => self.lost(status),
                }
            }
            Link::Up { answers, requests } => {
                dispatch(&mut self.window, requests);
                let again = self.window.again_at();
                let message = tokio::select! {
                    biased;
                    message = answers.message(), if self.window.has_under_way() => message,
                    () = sleep_until(again) => return Ok(()),
                    () = sleep_until(give_up) => Err(silent()),
                };
                match message {
                    Ok(Some(answer)) => self.take(answer),
                    Ok(None) => self.lost(Status::unavailable("the stream has ended")),
                    Err(status) => self.lost(status),
                }
            }
        }
    }

    fn opening(&mut self) -> Link {
        // Room for all that may be under way, so that handing over never waits.
        let (requests, receiver) = mpsc::channel(self.options.batches_in_flight_max.max(1));
        dispatch(&mut self.window, &requests);
        Link::Opening { opening: Box::pin(open(self.connection.clone(), receiver)), requests }
    }

    fn take(&mut self, answer: SubmitBatchesResponse) -> Result<(), ClientError> {
        let now = Instant::now();
        match self.window.take(answer, now)? {
            Taken::Done => {
                (self.heard, self.losses) = (now, 0);
                Ok(())
            }
            Taken::Later(why) => self.wait_on(why, now),
        }
    }

    fn lost(&mut self, status: Status) -> Result<(), ClientError> {
        self.window.lose();
        if !is_passing(status.code()) {
            return Err(ClientError::Refused { source: Box::new(status) });
        }
        if self.losses == 0 {
            let why = status.message();
            tracing::info!(why, "no answer from the service: what has none is sent again");
        }
        self.losses = self.losses.saturating_add(1);
        let told = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        let now = Instant::now();
        let until = told.and_then(|told| now.checked_add(told));
        self.link = Link::Down { until: until.unwrap_or_else(|| now + wait(self.losses)) };
        self.wait_on(format!("{}: {}", status.code(), status.message()), now)
    }

    /// Gives up where nothing was answered for too long.
    fn wait_on(&mut self, why: String, now: Instant) -> Result<(), ClientError> {
        self.last = why;
        let waited = now.duration_since(self.heard);
        if waited < self.options.silence_max {
            return Ok(());
        }
        Err(ClientError::GaveUp { waited, last: std::mem::take(&mut self.last) })
    }
}

/// Hands all over that may be sent.
fn dispatch(window: &mut Window, requests: &mpsc::Sender<Bytes>) {
    while let Some(batch) = window.next_to_send(Instant::now()) {
        // There is room for all; and where the stream has broken, reading it says why.
        let _ = requests.try_send(batch);
    }
}

async fn open(
    connection: Connection,
    requests: mpsc::Receiver<Bytes>,
) -> Result<Streaming<SubmitBatchesResponse>, Status> {
    let mut client = Grpc::new(connection).max_decoding_message_size(ANSWER_BYTES_MAX);
    client.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    let path = PathAndQuery::from_static("/waag.v1.Lodgement/SubmitBatches");
    let request = Request::new(ReceiverStream::new(requests));
    Ok(client.streaming(request, path, EncodedBatches).await?.into_inner())
}

fn silent() -> Status {
    Status::deadline_exceeded("the service is connected, and answers nothing")
}

/// Whether coming back may help. Connections break in many ways, so all is passing that does not say that
/// the call itself is wrong.
fn is_passing(code: Code) -> bool {
    !matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss
    )
}

/// How long to wait after so many losses in a row: between half of it and all of it, so that clients that
/// lost the same service do not come back together.
fn wait(losses: u32) -> Duration {
    let doublings = losses.saturating_sub(1).min(8);
    let most = (WAIT_MIN * (1 << doublings)).min(WAIT_MAX);
    // Without chance, all of it is as good.
    let chance = getrandom::u32().unwrap_or(u32::MAX);
    most / 2 + most.mul_f64(f64::from(chance) / f64::from(u32::MAX)) / 2
}

/// Waits until then; for ever where there is no such moment.
async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound() {
        for (losses, most) in [(1, 100), (2, 200), (4, 800), (7, 5_000), (u32::MAX, 5_000)] {
            let (wait, most) = (wait(losses), Duration::from_millis(most));
            assert!(most / 2 <= wait && wait <= most, "{losses}: {wait:?}");
        }
    }

    #[test]
    fn what_the_caller_has_to_mend_is_not_tried_again() {
        assert!(!is_passing(Code::Unauthenticated) && !is_passing(Code::PermissionDenied));
        for code in [Code::Unavailable, Code::ResourceExhausted, Code::Unknown, Code::Internal] {
            assert!(is_passing(code), "{code:?}");
        }
    }
}
