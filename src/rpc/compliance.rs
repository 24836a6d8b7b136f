//! The `Compliance` service: how each actor declares, for analysts.
//!
//! It maps requests to reads of the [`Board`] and back, and nothing else; those on agreements in `agreements`, on risk
//! profiles in `profiles`, and on the sampling frame in `samples`.
//!
//! What the contract leaves open:
//! - An id that no declaration has named is NOT_FOUND; one that is known but declared nothing in
//!   the period has a summary of zeros. Past `actors_max` new ids are summed as `(other)`, which
//!   can be asked for like any actor, and are NOT_FOUND themselves.
//! - A watermark that is not reached by the call's deadline is DEADLINE_EXCEEDED; without a
//!   deadline, after 30 s, UNAVAILABLE with a time to come back.
//! - Reconciliations: a declarant that no declaration has named is NOT_FOUND, as above. A reference that
//!   came with none, or with none in the period, is not in the list. One that the rules refuse counts for
//!   nobody, and asking for it is INVALID_ARGUMENT. Past `actors_max` new references are summed under
//!   `(other)` of their declarant.
//! - A watched actor comes when its figures in the period have changed, not when others have. A
//!   watch over named actors sends those known, even with zeros; one over a role those with
//!   figures in the period.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::agreements::{self, Desk};
use super::guard::Guard;
use super::history;
use super::ledger::holding;
use super::profile_trial;
use super::profiles::{self, Office};
use super::reads::{Reader, come_back, with_retry};
use super::reconciliations;
use super::register;
use super::samples::{self, Frame};
use super::summary_messages::to_message;
use super::watch::{WATCH_AHEAD, Watch, may_watch};
use crate::config::Config;
use crate::day::Day;
use crate::id::Watermark;
use crate::insight::Findings;
use crate::proto::server::compliance_server::Compliance;
use crate::proto::v1;
use crate::summary::{
    ActorId, Board, ListQuery, Order, Page, Period, Role, read_token, write_token,
};

/// What the audit log calls reading summaries, and watching them.
pub(super) const READ: &str = "read summary";
const WATCH: &str = "watch summaries";
/// And figures by fallback reference.
const RECONCILE: &str = "read reconciliations";
/// Ids in one entry of it: 17 characters each at most, and an entry's target holds 512 bytes.
pub(super) const IDS_RECORDED: usize = 25;

pub(super) const PAGE_SIZE_DEFAULT: u32 = 100;
pub(super) const PAGE_SIZE_MAX: u32 = 1_000;
/// How long a call without a deadline waits for its watermark.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(30);
/// Kept of the caller's deadline, so that our sentence reaches it before its own clock ends the
/// call.
pub(super) const DEADLINE_MARGIN: Duration = Duration::from_millis(20);
/// How many actors one watch names at most.
const WATCH_IDS_MAX: usize = 1_000;

/// Bounds of the service.
#[derive(Debug, Clone)]
pub struct ComplianceOptions {
    /// Watches at once.
    pub watches_max: usize,
    /// Reads at once.
    pub reads_max: usize,
    /// Reads that wait.
    pub reads_waiting_max: usize,
}

impl ComplianceOptions {
    /// As the settings have them.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            watches_max: config.watches(),
            reads_max: config.summary_reads_max,
            reads_waiting_max: config.summary_reads_waiting_max,
        }
    }
}

/// The `Compliance` service over a [`Board`].
#[derive(Debug)]
pub struct ComplianceService {
    pub(super) reader: Reader,
    pub(super) guard: Guard,
    pub(super) desk: Desk,
    pub(super) office: Office,
    pub(super) frame: Frame,
    /// None where they are switched off.
    pub(super) findings: Option<Findings>,
    watches: Arc<Semaphore>,
    watches_max: usize,
}

impl ComplianceService {
    /// A service that reads summaries and findings for those whom `guard` lets. Its watches end when the board stops.
    #[must_use]
    pub fn new(
        (board, findings): (Board, Option<Findings>),
        guard: Guard,
        (desk, office, frame): (Desk, Office, Frame),
        options: &ComplianceOptions,
    ) -> Self {
        Self {
            findings,
            guard,
            desk,
            office,
            frame,
            reader: Reader::new(board, options.reads_max, options.reads_waiting_max),
            watches: Arc::new(Semaphore::new(options.watches_max)),
            watches_max: options.watches_max,
        }
    }

    /// The newest day that anyone declared on.
    pub(crate) async fn newest_day(&self) -> Result<Option<Day>, Status> {
        let place = self.reader.place()?;
        Ok(self.reader.read_from(place, None, Board::newest_day).await?.0)
    }

    /// Waits until the fold has reached `at_least`.
    pub(super) async fn reach(&self, at_least: u64, metadata: &MetadataMap) -> Result<(), Status> {
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
        let (metadata, mut extensions, request) = request.into_parts();
        let at_least = request.at_least_watermark;
        let (role, id) = actor(request.actor)?;
        let asked = request.period.unwrap_or_default();
        let period = period(&asked)?;
        let caller = self.guard.caller(&extensions)?;
        let target = format!("{} {id}", name_of(role));
        let allowed = caller.who().may_read_summary(role, id.as_str());
        self.guard.reads(&caller, READ, target, allowed).await?;
        let place = self.reader.place()?;
        self.reach(at_least, &metadata).await?;
        let connection = extensions.remove();
        let read = self.reader.read_from(place, connection, move |board| {
            let (found, watermark) = board.summary(role, &id, period)?;
            Ok((found.map(|summary| to_message(&summary, role, &asked)), watermark))
        });
        let ((found, watermark), held) = read.await?;
        let summary = found.ok_or_else(|| unknown(role, &id, watermark))?;
        Ok(holding(v1::GetActorSummaryResponse { summary: Some(summary) }, held))
    }

    async fn list_actor_summaries(
        &self,
        request: Request<v1::ListActorSummariesRequest>,
    ) -> Result<Response<v1::ListActorSummariesResponse>, Status> {
        let (metadata, mut extensions, request) = request.into_parts();
        let at_least = request.at_least_watermark;
        let (query, asked) = list_query(request)?;
        let caller = self.guard.caller(&extensions)?;
        let allowed = caller.who().may_read_all_summaries();
        self.guard
            .reads(&caller, READ, format!("{} every one", name_of(query.role)), allowed)
            .await?;
        let place = self.reader.place()?;
        self.reach(at_least, &metadata).await?;
        let connection = extensions.remove();
        let read = self.reader.read_from(place, connection, move |board| {
            Ok(page_message(&board.list(&query)?, &query, &asked))
        });
        let (page, held) = read.await?;
        Ok(holding(page, held))
    }

    async fn list_reconciliations(
        &self,
        request: Request<v1::ListReconciliationsRequest>,
    ) -> Result<Response<v1::ListReconciliationsResponse>, Status> {
        let (metadata, mut extensions, request) = request.into_parts();
        let at_least = request.at_least_watermark;
        let query = reconciliations::query(request)?;
        let caller = self.guard.caller(&extensions)?;
        let id = query.declarant;
        let target = format!("{} {id}", name_of(Role::Declarant));
        let allowed = caller.who().may_read_summary(Role::Declarant, id.as_str());
        self.guard.reads(&caller, RECONCILE, target, allowed).await?;
        let place = self.reader.place()?;
        self.reach(at_least, &metadata).await?;
        let connection = extensions.remove();
        let read = self.reader.read_from(place, connection, move |board| {
            let (found, watermark) = board.reconciliations(&query)?;
            Ok((found.map(|page| reconciliations::message(&page, &query)), watermark))
        });
        let ((found, watermark), held) = read.await?;
        let found = found.ok_or_else(|| unknown(Role::Declarant, &id, watermark))?;
        let watermark = watermark.0;
        Ok(holding(v1::ListReconciliationsResponse { watermark, ..found }, held))
    }

    async fn get_indicator_history(
        &self,
        request: Request<v1::GetIndicatorHistoryRequest>,
    ) -> Result<Response<v1::GetIndicatorHistoryResponse>, Status> {
        self.history(request).await
    }

    async fn list_indicators(
        &self,
        request: Request<v1::ListIndicatorsRequest>,
    ) -> Result<Response<v1::ListIndicatorsResponse>, Status> {
        self.guard.caller(request.extensions())?;
        Ok(Response::new(history::described()))
    }

    async fn list_findings(
        &self,
        request: Request<v1::ListFindingsRequest>,
    ) -> Result<Response<v1::ListFindingsResponse>, Status> {
        self.list_found(request).await
    }

    async fn list_signals(
        &self,
        request: Request<v1::ListSignalsRequest>,
    ) -> Result<Response<v1::ListSignalsResponse>, Status> {
        self.signals(request).await
    }

    async fn record_agreement(
        &self,
        request: Request<v1::RecordAgreementRequest>,
    ) -> Result<Response<v1::RecordAgreementResponse>, Status> {
        agreements::record(self, request).await
    }

    async fn withdraw_agreement(
        &self,
        request: Request<v1::WithdrawAgreementRequest>,
    ) -> Result<Response<v1::WithdrawAgreementResponse>, Status> {
        agreements::withdraw(self, request).await
    }

    async fn list_agreements(
        &self,
        request: Request<v1::ListAgreementsRequest>,
    ) -> Result<Response<v1::ListAgreementsResponse>, Status> {
        agreements::list(self, request).await
    }

    async fn review_agreement(
        &self,
        request: Request<v1::ReviewAgreementRequest>,
    ) -> Result<Response<v1::ReviewAgreementResponse>, Status> {
        agreements::review(self, request).await
    }

    async fn record_profile(
        &self,
        request: Request<v1::RecordProfileRequest>,
    ) -> Result<Response<v1::RecordProfileResponse>, Status> {
        profiles::record(self, request).await
    }

    async fn withdraw_profile(
        &self,
        request: Request<v1::WithdrawProfileRequest>,
    ) -> Result<Response<v1::WithdrawProfileResponse>, Status> {
        profiles::withdraw(self, request).await
    }

    async fn list_profiles(
        &self,
        request: Request<v1::ListProfilesRequest>,
    ) -> Result<Response<v1::ListProfilesResponse>, Status> {
        profiles::list(self, request).await
    }

    type TryProfileStream = ReceiverStream<Result<v1::TryProfileResponse, Status>>;

    async fn try_profile(
        &self,
        request: Request<v1::TryProfileRequest>,
    ) -> Result<Response<Self::TryProfileStream>, Status> {
        profile_trial::start(self, request).await
    }

    async fn list_profile_hits(
        &self,
        request: Request<v1::ListProfileHitsRequest>,
    ) -> Result<Response<v1::ListProfileHitsResponse>, Status> {
        profiles::hits(self, request).await
    }

    async fn list_algorithms(
        &self,
        request: Request<v1::ListAlgorithmsRequest>,
    ) -> Result<Response<v1::ListAlgorithmsResponse>, Status> {
        register::list(self, request).await
    }

    async fn record_plan(
        &self,
        request: Request<v1::RecordPlanRequest>,
    ) -> Result<Response<v1::RecordPlanResponse>, Status> {
        samples::record(self, request).await
    }

    async fn list_plans(
        &self,
        request: Request<v1::ListPlansRequest>,
    ) -> Result<Response<v1::ListPlansResponse>, Status> {
        samples::list(self, request).await
    }

    async fn list_selected(
        &self,
        request: Request<v1::ListSelectedRequest>,
    ) -> Result<Response<v1::ListSelectedResponse>, Status> {
        samples::selected(self, request).await
    }

    async fn record_outcome(
        &self,
        request: Request<v1::RecordOutcomeRequest>,
    ) -> Result<Response<v1::RecordOutcomeResponse>, Status> {
        samples::found(self, request).await
    }

    async fn estimate_plan(
        &self,
        request: Request<v1::EstimatePlanRequest>,
    ) -> Result<Response<v1::EstimatePlanResponse>, Status> {
        samples::estimated(self, request).await
    }

    type WatchActorSummariesStream =
        ReceiverStream<Result<v1::WatchActorSummariesResponse, Status>>;

    async fn watch_actor_summaries(
        &self,
        request: Request<v1::WatchActorSummariesRequest>,
    ) -> Result<Response<Self::WatchActorSummariesStream>, Status> {
        let caller = self.guard.caller(request.extensions())?;
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
        let named = (!named.is_empty()).then_some(named);
        let ids: Vec<_> = named.iter().flatten().map(ToString::to_string).collect();
        let which = match &named {
            Some(_) => ids.chunks(IDS_RECORDED).map(|ids| ids.join(", ")).collect(),
            None => vec!["every one".to_owned()],
        };
        for which in which {
            let target = format!("{} {which}", name_of(role));
            let allowed = may_watch(caller.who(), role, named.as_ref());
            self.guard.reads(&caller, WATCH, target, allowed).await?;
        }
        let slot = Arc::clone(&self.watches).try_acquire_owned().map_err(|_| {
            let text = format!(
                "{} watches are open, which is the bound (watches_max, or what memory_max has room \
                 for)",
                self.watches_max
            );
            with_retry(Code::ResourceExhausted, text, Duration::from_secs(10))
        })?;
        let (sender, receiver) = mpsc::channel(WATCH_AHEAD);
        let still = (self.guard.clone(), caller);
        let watch = Watch::new(self.reader.clone(), still, role, period, asked, named, slot);
        tokio::spawn(watch.run(sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Whose figures are asked for.
pub(super) fn actor(actor: Option<v1::Actor>) -> Result<(Role, ActorId), Status> {
    let actor = actor.unwrap_or_default();
    let role = role("actor.role", actor.role)?;
    Ok((role, actor_id("actor.id", role, &actor.id)?))
}

/// NOT_FOUND for an actor whom the summaries do not know.
pub(super) fn unknown(role: Role, id: &ActorId, watermark: Watermark) -> Status {
    Status::not_found(format!(
        "no declaration among the first {} records of the journal names {} {id}, or it came past the \
         bound on actors and is summed under (other)",
        watermark.0,
        name_of(role)
    ))
}

/// What is asked, without the rest of the message, which may be much longer: it may have to wait.
fn list_query(request: v1::ListActorSummariesRequest) -> Result<(ListQuery, v1::Period), Status> {
    let asked = request.period.unwrap_or_default();
    let order = match v1::ActorOrder::try_from(request.order) {
        Ok(v1::ActorOrder::Unspecified | v1::ActorOrder::Lines) => Order::Lines,
        Ok(v1::ActorOrder::Id) => Order::Id,
        Err(_) => return Err(invalid("order", format!("is {}; it goes to 2", request.order))),
    };
    let mut query = ListQuery {
        role: role("role", request.role)?,
        period: period(&asked)?,
        order,
        after: None,
        page_size: page_size(request.page_size)?,
    };
    if !request.page_token.is_empty() {
        let cursor = read_token(&request.page_token, &query);
        query.after = Some(cursor.map_err(|reason| invalid("page_token", reason))?);
    }
    Ok((query, asked))
}

pub(super) fn page_size(asked: u32) -> Result<usize, Status> {
    match asked {
        0 => Ok(PAGE_SIZE_DEFAULT as usize),
        size if size <= PAGE_SIZE_MAX => Ok(size as usize),
        size => Err(invalid("page_size", format!("is {size}; the bound is {PAGE_SIZE_MAX}"))),
    }
}

pub(super) fn role(field: &str, number: i32) -> Result<Role, Status> {
    u8::try_from(number).ok().and_then(Role::from_number).ok_or_else(|| {
        let text = format!("is {number}; 1 is declarant, 2 representative, 3 IOSS holder");
        invalid(field, text)
    })
}

pub(super) fn name_of(role: Role) -> &'static str {
    match role {
        Role::Declarant => "declarant",
        Role::Representative => "representative",
        Role::IossHolder => "IOSS holder",
    }
}

/// Ids are taken as declarations' are: trimmed, in upper case.
pub(super) fn actor_id(field: &str, role: Role, text: &str) -> Result<ActorId, Status> {
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

pub(super) fn period(asked: &v1::Period) -> Result<Period, Status> {
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
pub(super) fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(64)).unwrap_or_default()
}

/// INVALID_ARGUMENT that names the field and says what is wrong with it.
pub(super) fn invalid(field: &str, description: impl Into<String>) -> Status {
    let description = description.into();
    let text = format!("{field} {description}");
    let details = ErrorDetails::with_bad_request_violation(field, description);
    Status::with_error_details(Code::InvalidArgument, text, details)
}

/// The time that the caller gives the call: `grpc-timeout`, at most 8 digits and a unit.
pub(super) fn deadline(metadata: &MetadataMap) -> Option<Duration> {
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

fn page_message(
    page: &Page,
    query: &ListQuery,
    asked: &v1::Period,
) -> v1::ListActorSummariesResponse {
    let summaries = page.summaries.iter();
    let next_page_token = page.next.map(|cursor| write_token(query, &cursor));
    v1::ListActorSummariesResponse {
        summaries: summaries.map(|summary| to_message(summary, query.role, asked)).collect(),
        next_page_token: next_page_token.unwrap_or_default(),
        watermark: page.watermark.0,
    }
}

#[cfg(test)]
#[path = "compliance_tests.rs"]
pub(super) mod tests;
