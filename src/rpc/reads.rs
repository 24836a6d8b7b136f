//! Reads of the summaries: on blocking threads, so many at a time, while so many more wait.
//!
//! A read takes from microseconds to seconds, so none runs on a tokio worker; nor does what is made
//! of it: a page of 1,000 summaries takes some ms to turn into messages.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::ledger::{Held, holding};
use crate::ingest::budget::ConnectionBudget;
use crate::summary::{Board, QueryError};

/// Where a page ends, whatever its size: clients take 4 MiB.
pub(super) const PAGE_BYTES: usize = 2 << 20;

/// Reads the board; clones share their bounds.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) board: Board,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    waiting_max: usize,
}

/// A place among the reads that wait, for their watermark or for their turn.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    pub(super) fn new(board: Board, reads_max: usize, waiting_max: usize) -> Self {
        Self {
            board,
            running: Arc::new(Semaphore::new(reads_max.max(1))),
            waiting: Arc::new(Semaphore::new(waiting_max.max(1))),
            waiting_max: waiting_max.max(1),
        }
    }

    /// A place for a call.
    pub(super) fn place(&self) -> Result<Place, Status> {
        let permit = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| {
            let text = format!(
                "{} reads of summaries wait for their watermark or their turn, which is the bound \
                 (summary_reads_waiting_max): ask again later",
                self.waiting_max
            );
            with_retry(Code::ResourceExhausted, text, Duration::from_secs(1))
        })?;
        Ok(Place { _permit: permit })
    }

    /// Runs `look` on a blocking thread when its turn comes, until when it keeps `place`. What comes
    /// with what was found is kept until the answer has left: memory for answers that nobody reads
    /// is bounded by it.
    pub(super) async fn read_from<T: Send + 'static>(
        &self,
        place: Place,
        connection: Option<ConnectionBudget>,
        look: impl FnOnce(&Board) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<(T, Held), Status> {
        let own = match &connection {
            Some(connection) => Some(connection.read_place().await.map_err(|_| stopping())?),
            None => None,
        };
        let turn = self.turn().await?;
        drop(place);
        let (found, turn) = self.run(turn, look).await?;
        Ok((found, Held::new((own, turn))))
    }

    /// An answer made of what is in memory, as [`Self::read_from`] makes those of summaries: in turn with them,
    /// on their threads, and within their bounds until it has left.
    pub(super) async fn answer<T: Send + 'static>(
        &self,
        extensions: &mut tonic::Extensions,
        make: impl FnOnce() -> Result<T, Status> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let place = self.place()?;
        let made = self.read_from(place, extensions.remove(), move |_| Ok(make()));
        let (made, held) = made.await?;
        Ok(holding(made?, held))
    }

    /// The same for a watch, of which there are only so many, each with one read at a time.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Board) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Status> {
        let turn = self.turn().await?;
        self.run(turn, look).await.map(|(found, _)| found)
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.running).acquire_owned().await.map_err(|_| stopping())
    }

    async fn run<T: Send + 'static>(
        &self,
        turn: OwnedSemaphorePermit,
        look: impl FnOnce(&Board) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<(T, OwnedSemaphorePermit), Status> {
        let board = self.board.clone();
        let looked = tokio::task::spawn_blocking(move || {
            IS_READING.set(true);
            let found = look(&board);
            IS_READING.set(false);
            found.map(|found| (found, turn))
        });
        looked.await.map_err(|_| stopping())?.map_err(|error| match error {
            QueryError::DayFile(_) => {
                tracing::error!(%error, "a closed day of the summary cannot be read");
                Status::data_loss(error.to_string())
            }
            QueryError::Unsettled => come_back(error.to_string()),
            QueryError::Stopped => come_back(error.to_string()),
        })
    }
}

thread_local! {
    static IS_READING: Cell<bool> = const { Cell::new(false) };
}

/// For work that takes too long for a tokio worker: in debug builds it panics anywhere but in a
/// read.
pub(super) fn assert_reading() {
    debug_assert!(IS_READING.get(), "long work outside a read");
}

fn stopping() -> Status {
    come_back("the server is stopping: come back later".to_owned())
}

/// UNAVAILABLE for a second.
pub(super) fn come_back(text: String) -> Status {
    with_retry(Code::Unavailable, text, Duration::from_secs(1))
}

/// A status that says when to come back.
pub(super) fn with_retry(code: Code, text: String, after: Duration) -> Status {
    Status::with_error_details(code, text, ErrorDetails::with_retry_info(Some(after)))
}
