//! The `Compliance` service: how each actor declares, for analysts.
//!
//! It maps requests to reads of the [`Board`] and back, and nothing else. Reads run on blocking
//! threads: they may wait for the fold, or read files of closed days.
//!
//! What the contract leaves open:
//! - An id that no declaration has named is NOT_FOUND; one that is known but declared nothing in
//!   the period has a summary of zeros. Past `actors_max` new ids are summed as `(other)`, which
//!   can be asked for like any actor, and are NOT_FOUND themselves.
//! - A watermark that is not reached by the call's deadline is DEADLINE_EXCEEDED; without a
//!   deadline, after 30 s, UNAVAILABLE with a time to come back.
//! - A watched actor comes when its figures in the period have changed, not when others have. A
//!   watch over named actors sends those known, even with zeros; one over a role those with
//!   figures in the period.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, Permit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::day::Day;
use crate::id::Watermark;
use crate::proto::server::compliance_server::Compliance;
use crate::proto::v1;
use crate::summary::{
    ActorId, Board, Counters, ListQuery, Order, Period, QueryError, Role, Summary, indicators,
    read_token, write_token,
};

const PAGE_SIZE_DEFAULT: u32 = 100;
const PAGE_SIZE_MAX: u32 = 1_000;
/// How long a call without a deadline waits for its watermark.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Kept of the caller's deadline, so that our sentence reaches it before its own clock ends the
/// call.
const DEADLINE_MARGIN: Duration = Duration::from_millis(20);
/// An actor is sent at most once in this time.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// Summaries made ahead for a watcher: what a slow one may get that is not the newest.
const WATCH_AHEAD: usize = 16;
/// How many actors one watch names at most.
const WATCH_IDS_MAX: usize = 1_000;

/// Bounds of the service.
#[derive(Debug, Clone)]
pub struct ComplianceOptions {
    /// Watches open at once. Each looks through the list of actors once a second (100,000: about
    /// 0.1 ms) and remembers 40 bytes for each it has sent.
    pub watchers_max: usize,
    /// Reads under way at once; more wait. Each takes a blocking thread, and a list over long
    /// periods reads many files.
    pub reads_max: usize,
}

impl Default for ComplianceOptions {
    fn default() -> Self {
        Self { watchers_max: 64, reads_max: 8 }
    }
}

/// The `Compliance` service over a [`Board`].
#[derive(Debug)]
pub struct ComplianceService {
    reader: Reader,
    watchers: Arc<Semaphore>,
    watchers_max: usize,
}

impl ComplianceService {
    /// A service that reads `board`. Its watches end when the board stops.
    #[must_use]
    pub fn new(board: Board, options: &ComplianceOptions) -> Self {
        Self {
            reader: Reader { board, slots: Arc::new(Semaphore::new(options.reads_max.max(1))) },
            watchers: Arc::new(Semaphore::new(options.watchers_max)),
            watchers_max: options.watchers_max,
        }
    }

    /// Waits until the fold has reached `at_least`.
    async fn reach(&self, at_least: u64, metadata: &MetadataMap) -> Result<(), Status> {
        let board = &self.reader.board;
        if board.watermark().0 >= at_least {
            return Ok(());
        }
        let given = deadline(metadata);
        let wait = given.map_or(WAIT_MAX, |given| given.saturating_sub(DEADLINE_MARGIN));
        let wait = wait.min(WAIT_MAX);
        if board.wait_for(Watermark(at_least), Instant::now() + wait).await {
            return Ok(());
        }
        let reached = board.watermark().0;
        let text = format!(
            "the summaries stand at watermark {reached}; {at_least} was asked for and not reached \
             within {} ms",
            wait.as_millis()
        );
        if given.is_some_and(|given| given <= WAIT_MAX) {
            return Err(Status::deadline_exceeded(text));
        }
        Err(come_back(text))
    }
}

#[tonic::async_trait]
impl Compliance for ComplianceService {
    async fn get_actor_summary(
        &self,
        request: Request<v1::GetActorSummaryRequest>,
    ) -> Result<Response<v1::GetActorSummaryResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let actor = request.actor.unwrap_or_default();
        let role = role("actor.role", actor.role)?;
        let id = actor_id("actor.id", role, &actor.id)?;
        let asked = request.period.unwrap_or_default();
        let period = period(&asked)?;
        self.reach(request.at_least_watermark, &metadata).await?;
        let (found, watermark) =
            self.reader.read(move |board| board.summary(role, &id, period)).await?;
        let summary = found.ok_or_else(|| {
            Status::not_found(format!(
                "no declaration among the first {} records of the journal names {} {id}, or it \
                 came past the bound on actors and is summed under (other)",
                watermark.0,
                name_of(role)
            ))
        })?;
        let summary = Some(to_message(&summary, role, &asked));
        Ok(Response::new(v1::GetActorSummaryResponse { summary }))
    }

    async fn list_actor_summaries(
        &self,
        request: Request<v1::ListActorSummariesRequest>,
    ) -> Result<Response<v1::ListActorSummariesResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let asked = request.period.clone().unwrap_or_default();
        let query = list_query(&request, &asked)?;
        self.reach(request.at_least_watermark, &metadata).await?;
        let page = self.reader.read(move |board| board.list(&query)).await?;
        let summaries =
            page.summaries.iter().map(|summary| to_message(summary, query.role, &asked)).collect();
        let next_page_token = page.next.map(|cursor| write_token(&query, &cursor));
        Ok(Response::new(v1::ListActorSummariesResponse {
            summaries,
            next_page_token: next_page_token.unwrap_or_default(),
            watermark: page.watermark.0,
        }))
    }

    type WatchActorSummariesStream =
        ReceiverStream<Result<v1::WatchActorSummariesResponse, Status>>;

    async fn watch_actor_summaries(
        &self,
        request: Request<v1::WatchActorSummariesRequest>,
    ) -> Result<Response<Self::WatchActorSummariesStream>, Status> {
        let request = request.into_inner();
        let role = role("role", request.role)?;
        let asked = request.period.unwrap_or_default();
        let period = period(&asked)?;
        if request.actor_ids.len() > WATCH_IDS_MAX {
            let text =
                format!("names {} actors; the bound is {WATCH_IDS_MAX}", request.actor_ids.len());
            return Err(invalid("actor_ids", text));
        }
        let named = request.actor_ids.iter().enumerate();
        let named = named.map(|(n, id)| actor_id(&format!("actor_ids[{n}]"), role, id));
        let named = named.collect::<Result<BTreeSet<_>, _>>()?;
        let slot = Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| {
            let text = format!("{} watches are open, which is the bound", self.watchers_max);
            with_retry(Code::ResourceExhausted, text, Duration::from_secs(10))
        })?;
        let (sender, receiver) = mpsc::channel(WATCH_AHEAD);
        let watch = Watch {
            reader: self.reader.clone(),
            role,
            period,
            asked,
            named: (!named.is_empty()).then_some(named),
            sent: HashMap::new(),
            _slot: slot,
        };
        tokio::spawn(watch.run(sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Reads the board on blocking threads, a bounded number at a time.
#[derive(Debug, Clone)]
struct Reader {
    board: Board,
    slots: Arc<Semaphore>,
}

impl Reader {
    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Board) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Status> {
        let stopped = || Status::unavailable("the server is stopping");
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| stopped())?;
        let board = self.board.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let found = look(&board);
            drop(slot);
            found
        });
        looked.await.map_err(|_| stopped())?.map_err(|error| match error {
            QueryError::DayFile(_) => {
                tracing::error!(%error, "a closed day of the summary cannot be read");
                Status::data_loss(error.to_string())
            }
            QueryError::Unsettled => come_back(error.to_string()),
            QueryError::Stopped => Status::unavailable(error.to_string()),
        })
    }
}

type WatchSender = mpsc::Sender<Result<v1::WatchActorSummariesResponse, Status>>;
type WatchPermit<'a> = Permit<'a, Result<v1::WatchActorSummariesResponse, Status>>;

/// One watcher.
///
/// It goes in rounds, each at least [`WATCH_PAUSE`] after the end of the one before. A round takes
/// the ids that changed, and makes the summary of each only when there is room to send it: so a
/// slow reader gets few and new ones, and nothing piles up for it.
struct Watch {
    reader: Reader,
    role: Role,
    period: Period,
    asked: v1::Period,
    /// `None`: all of the role.
    named: Option<BTreeSet<ActorId>>,
    /// What was last sent of each actor, as a checksum of its figures.
    sent: HashMap<ActorId, u64>,
    _slot: OwnedSemaphorePermit,
}

/// Why a watch ends.
enum Ended {
    /// The reader went away.
    Reader,
    /// Something failed.
    Failed(Status),
}

impl Watch {
    async fn run(mut self, sender: WatchSender) {
        let board = self.reader.board.clone();
        let ended = tokio::select! {
            // The stream just ends: the caller may watch again elsewhere.
            () = board.stopped() => return,
            () = sender.closed() => return,
            ended = self.rounds(&sender) => ended,
        };
        if let Err(Ended::Failed(status)) = ended {
            // Where the reader is gone, there is nobody to tell.
            let _gone = sender.send(Err(status)).await;
        }
    }

    async fn rounds(&mut self, sender: &WatchSender) -> Result<(), Ended> {
        let mut since = self.reader.board.watermark();
        let mut pending = self.first_round().await?;
        loop {
            self.send(pending, sender).await?;
            tokio::time::sleep(WATCH_PAUSE).await;
            let role = self.role;
            let changed = self.reader.read(move |board| board.changed_since(role, since)).await;
            let (changed, watermark) = changed.map_err(Ended::Failed)?;
            since = watermark;
            pending = changed.into_iter().filter(|id| self.wants(id)).collect();
        }
    }

    fn wants(&self, id: &ActorId) -> bool {
        self.named.as_ref().is_none_or(|named| named.contains(id))
    }

    /// All that match.
    async fn first_round(&self) -> Result<BTreeSet<ActorId>, Ended> {
        if let Some(named) = &self.named {
            return Ok(named.clone());
        }
        let (role, period) = (self.role, self.period);
        let listed = self.reader.read(move |board| board.ids_in(role, period)).await;
        listed.map_err(Ended::Failed)
    }

    /// Sends what is new of each of `pending`.
    async fn send(
        &mut self,
        pending: BTreeSet<ActorId>,
        sender: &WatchSender,
    ) -> Result<(), Ended> {
        let pending: Vec<ActorId> = pending.into_iter().collect();
        let mut rest = pending.as_slice();
        while !rest.is_empty() {
            // Wait for room, then take as many as there is room for.
            let first = sender.reserve().await.map_err(|_| Ended::Reader)?;
            let mut permits = vec![first];
            permits.extend(std::iter::from_fn(|| sender.try_reserve().ok()));
            let (now, later) = rest.split_at(permits.len().min(rest.len()));
            rest = later;
            let (role, period, ids) = (self.role, self.period, now.to_vec());
            let read = self.reader.read(move |board| board.summaries(role, &ids, period)).await;
            let (summaries, watermark) = read.map_err(Ended::Failed)?;
            self.send_new(&summaries, watermark, permits);
        }
        Ok(())
    }

    fn send_new(
        &mut self,
        summaries: &[Summary],
        watermark: Watermark,
        permits: Vec<WatchPermit<'_>>,
    ) {
        let mut permits = permits.into_iter();
        for summary in summaries {
            if summary.counters.is_empty() && self.named.is_none() {
                continue;
            }
            let figures = summary.counters.fingerprint();
            if self.sent.insert(summary.id, figures) == Some(figures) {
                continue;
            }
            let Some(permit) = permits.next() else { return };
            let message = to_message(summary, self.role, &self.asked);
            permit.send(Ok(v1::WatchActorSummariesResponse {
                summary: Some(message),
                watermark: watermark.0,
            }));
        }
    }
}

fn list_query(
    request: &v1::ListActorSummariesRequest,
    asked: &v1::Period,
) -> Result<ListQuery, Status> {
    let page_size = match request.page_size {
        0 => PAGE_SIZE_DEFAULT,
        size if size <= PAGE_SIZE_MAX => size,
        size => {
            return Err(invalid("page_size", format!("is {size}; the bound is {PAGE_SIZE_MAX}")));
        }
    };
    let order = match v1::ActorOrder::try_from(request.order) {
        Ok(v1::ActorOrder::Unspecified | v1::ActorOrder::Lines) => Order::Lines,
        Ok(v1::ActorOrder::Id) => Order::Id,
        Err(_) => return Err(invalid("order", format!("is {}; it goes to 2", request.order))),
    };
    let mut query = ListQuery {
        role: role("role", request.role)?,
        period: period(asked)?,
        order,
        after: None,
        page_size: page_size as usize,
    };
    if !request.page_token.is_empty() {
        let cursor = read_token(&request.page_token, &query);
        query.after = Some(cursor.map_err(|reason| invalid("page_token", reason))?);
    }
    Ok(query)
}

fn role(field: &str, number: i32) -> Result<Role, Status> {
    u8::try_from(number).ok().and_then(Role::from_number).ok_or_else(|| {
        let text = format!("is {number}; 1 is declarant, 2 representative, 3 IOSS holder");
        invalid(field, text)
    })
}

fn name_of(role: Role) -> &'static str {
    match role {
        Role::Declarant => "declarant",
        Role::Representative => "representative",
        Role::IossHolder => "IOSS holder",
    }
}

/// Ids are taken as declarations' are: trimmed, in upper case.
fn actor_id(field: &str, role: Role, text: &str) -> Result<ActorId, Status> {
    let trimmed = text.trim();
    let id = ActorId::parse(role, trimmed)
        .or_else(|| ActorId::parse(role, &trimmed.to_ascii_uppercase()));
    id.ok_or_else(|| {
        let form = match role {
            Role::Declarant | Role::Representative => {
                "an EORI has two letters and 1 to 15 letters, digits or hyphens"
            }
            Role::IossHolder => "an IOSS number is IM and 10 digits",
        };
        invalid(field, format!("is \"{}\"; {form}", shortened(text)))
    })
}

fn period(asked: &v1::Period) -> Result<Period, Status> {
    let day = |field: &str, text: &str| {
        if text.is_empty() {
            return Ok(None);
        }
        Day::parse(text).map(Some).ok_or_else(|| {
            let text = shortened(text);
            invalid(field, format!("is \"{text}\"; a day is written as 2026-11-22"))
        })
    };
    let first = day("period.first_day", &asked.first_day)?;
    let last = day("period.last_day", &asked.last_day)?;
    match (first, last) {
        (Some(first), Some(last)) if first > last => {
            Err(invalid("period.last_day", format!("is {last}, before first_day, {first}")))
        }
        _ => Ok(Period { first, last }),
    }
}

/// What of a caller's text is quoted back.
fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(64)).unwrap_or_default()
}

/// INVALID_ARGUMENT that names the field and says what is wrong with it.
fn invalid(field: &str, description: impl Into<String>) -> Status {
    let description = description.into();
    let text = format!("{field} {description}");
    let details = ErrorDetails::with_bad_request_violation(field, description);
    Status::with_error_details(Code::InvalidArgument, text, details)
}

fn come_back(text: String) -> Status {
    with_retry(Code::Unavailable, text, Duration::from_secs(1))
}

fn with_retry(code: Code, text: String, after: Duration) -> Status {
    Status::with_error_details(code, text, ErrorDetails::with_retry_info(Some(after)))
}

/// The time that the caller gives the call: `grpc-timeout`, at most 8 digits and a unit.
fn deadline(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse::<u64>().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

fn to_message(summary: &Summary, role: Role, asked: &v1::Period) -> v1::ActorSummary {
    let c = &summary.counters;
    v1::ActorSummary {
        actor: Some(v1::Actor { role: role as i32, id: summary.id.as_str().to_owned() }),
        period: Some(asked.clone()),
        watermark: summary.watermark.0,
        accepted: c.accepted,
        rejected: c.rejected,
        replayed: c.replayed,
        conflicts: c.conflicts,
        accepted_lines: c.accepted_lines,
        intrinsic_value_eur_cents: c.intrinsic_value,
        gross_mass_mg: c.gross_mass_mg,
        duty_eur_cents: c.duty,
        reasons: reasons(c),
        indicators: indicators(c).into_iter().map(indicator).collect(),
        value_histogram: c.value_histogram.to_vec(),
    }
}

/// The reason found in most declarations first; then by findings, then by name.
fn reasons(counters: &Counters) -> Vec<v1::ReasonCount> {
    let mut reasons = counters.reasons().to_vec();
    reasons.sort_by(|a, b| {
        let frequency = |count: &crate::summary::ReasonCount| (count.declarations, count.findings);
        frequency(b).cmp(&frequency(a)).then_with(|| a.reason.name().cmp(b.reason.name()))
    });
    let message = |count: crate::summary::ReasonCount| v1::ReasonCount {
        reason: count.reason.name().to_owned(),
        declarations: count.declarations,
        findings: count.findings,
    };
    reasons.into_iter().map(message).collect()
}

fn indicator(indicator: crate::summary::Indicator) -> v1::Indicator {
    let (lower, upper) = indicator.interval.unzip();
    v1::Indicator {
        name: indicator.name,
        numerator: indicator.numerator,
        denominator: indicator.denominator,
        value: indicator.value,
        lower,
        upper,
    }
}

#[cfg(test)]
#[path = "compliance_tests.rs"]
mod tests;
