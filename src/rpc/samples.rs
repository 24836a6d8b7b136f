//! The calls of `Compliance` that are about the sampling frame: requests to the [`Store`], the archive and back.
//!
//! What is selected is found when it is asked for: of each plan what was gone through is kept, and only what was sealed
//! since is gone through. One call does so at a time; the others wait for it.
//!
//! What the contract leaves open:
//! - A deadline that passes meanwhile is DEADLINE_EXCEEDED, and what was gone through stays: the next call goes on there.
//! - To read a selection or an estimate stands in the audit log with the declarants that the plan names, or with "every
//!   one"; to record a plan or an outcome before it is written.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prost::Message as _;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};

use super::background;
use super::compliance::{
    ComplianceService, DEADLINE_MARGIN, deadline, invalid, page_size, shortened,
};
use super::guard::Caller;
use super::profiles::whose;
use super::reads::{PAGE_BYTES, with_retry};
use super::sample_messages::{
    estimate_message, item_message, outcome, plan_message, selected_message, terms,
};
use crate::archive::{Archive, ArchiveError};
use crate::book::Recorder;
use crate::day::{Day, When};
use crate::profiles::{ScanError, Wrong};
use crate::proto::v1;
use crate::samples::{
    Level, Plan, PlanId, PlanOutcomes, RecordError, Selection, Selector, State, Store, estimate,
};

/// What the audit log calls these calls.
const READ: &str = "read sample";
const RECORD: &str = "record sampling plan";
const OUTCOME: &str = "record outcome";

/// How long one may take, whatever the caller says.
const SELECT_MAX: Duration = Duration::from_secs(600);
/// Between two looks whether enough is sealed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Plans whose selection is kept, those that were asked for last. One has 20 MB at most.
const STATES_KEPT: usize = 4;

type Now = dyn Fn() -> When + Send + Sync;

/// The plans, what is selected, and from what.
pub struct Frame {
    pub(super) store: Store,
    archive: Archive,
    /// The one that was asked for last stands last.
    states: Arc<Mutex<Vec<(PlanId, State)>>>,
    turn: Arc<Semaphore>,
    now: Arc<Now>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Frame {
    /// That of the plans of `store` over `archive`, with the day that `now` tells.
    pub fn new(
        store: Store,
        archive: Archive,
        now: impl Fn() -> When + Send + Sync + 'static,
    ) -> Self {
        let (states, turn) = (Arc::default(), Arc::new(Semaphore::new(1)));
        Self { store, archive, states, turn, now: Arc::new(now) }
    }

    fn today(&self) -> Day {
        (self.now)().day
    }

    fn recorder(&self, caller: &Caller) -> Recorder {
        let When { at, day } = (self.now)();
        Recorder { by: caller.who().name().to_owned(), at, on: day }
    }

    fn sealed(&self) -> u64 {
        self.archive.next().0.0.saturating_sub(1)
    }

    /// Whether nothing more comes of the days of `plan`, where `placed` records are folded in: a day has passed since its
    /// last one, within which whatever arrived on it was placed, and all of that is sealed.
    fn is_settled(&self, plan: &Plan, placed: u64) -> bool {
        let after = plan.terms.last.next().next();
        let sets = self.archive.sets();
        let newest = sets.iter().flat_map(|set| &set.parts).map(|part| part.day).max();
        self.today() >= after
            && (self.sealed() >= placed || newest.is_some_and(|newest| newest >= after))
    }
}

/// Tells the thread that nobody waits for it any more.
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Why nothing is recorded, as a status.
fn refused(error: RecordError, prefix: &str) -> Status {
    let text = error.to_string();
    match error {
        RecordError::Unknown(_) => Status::not_found(text),
        RecordError::Named { .. } => Status::already_exists(text),
        RecordError::Full { .. } => Status::resource_exhausted(text),
        RecordError::Wrong(Wrong { field, why }) => invalid(&format!("{prefix}.{field}"), why),
        RecordError::Random(_) => Status::unavailable(text),
        RecordError::Store(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "samples");
            Status::unavailable(text)
        }
    }
}

fn id(text: &str) -> Result<PlanId, Status> {
    PlanId::parse(text).ok_or_else(|| {
        let text = shortened(text);
        invalid("id", format!("is \"{text}\"; a plan's id is S and its number, as S17"))
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(error.to_string()))
}

pub(super) async fn record(
    service: &ComplianceService,
    request: Request<v1::RecordPlanRequest>,
) -> Result<Response<v1::RecordPlanResponse>, Status> {
    let (_, extensions, request) = request.into_parts();
    let terms = terms(request.terms.unwrap_or_default())?;
    let caller = service.guard.caller(&extensions)?;
    let target = format!("{:?}, from {} to {}", terms.name, terms.first, terms.last);
    service.guard.reads(&caller, RECORD, target, caller.who().may_record_samples()).await?;
    let frame = &service.frame;
    let (store, recorder) = (frame.store.clone(), frame.recorder(&caller));
    let recorded = blocking(move || store.record(terms, recorder)).await?;
    let plan = recorded.map_err(|error| refused(error, "terms"))?;
    let plan = Some(plan_message(&plan, frame.today()));
    Ok(Response::new(v1::RecordPlanResponse { plan }))
}

pub(super) async fn list(
    service: &ComplianceService,
    request: Request<v1::ListPlansRequest>,
) -> Result<Response<v1::ListPlansResponse>, Status> {
    let (_, mut extensions, request) = request.into_parts();
    let only = match request.id.as_str() {
        "" => None,
        text => Some(id(text)?),
    };
    let size = page_size(request.page_size)?;
    // Plans are never taken away, so the last id says where a page ended.
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(PlanId::parse(token).ok_or_else(|| no_page(token))?),
    };
    let caller = service.guard.caller(&extensions)?;
    let target = only.map_or("every plan".to_owned(), |id| id.to_string());
    service.guard.reads(&caller, READ, target, caller.who().may_read_samples()).await?;
    let today = service.frame.today();
    let store = service.frame.store.clone();
    let page = move || {
        let mut plans = store.list(after);
        if let Some(only) = only {
            plans.retain(|plan| plan.id == only);
            if store.get(only).is_none() {
                return Err(refused(RecordError::Unknown(only), "id"));
            }
        }
        let mut page = v1::ListPlansResponse::default();
        let mut bytes = 0;
        for plan in &plans {
            if page.plans.len() >= size || bytes >= PAGE_BYTES {
                page.next_page_token =
                    page.plans.last().map(|last| last.id.clone()).unwrap_or_default();
                break;
            }
            let message = plan_message(plan, today);
            bytes += message.encoded_len();
            page.plans.push(message);
        }
        Ok(page)
    };
    service.reader.answer(&mut extensions, page).await
}

fn no_page(token: &str) -> Status {
    invalid("page_token", format!("is \"{}\"; no page ended there", shortened(token)))
}

pub(super) async fn found(
    service: &ComplianceService,
    request: Request<v1::RecordOutcomeRequest>,
) -> Result<Response<v1::RecordOutcomeResponse>, Status> {
    let (_, extensions, request) = request.into_parts();
    let id = id(&request.id)?;
    let caller = service.guard.caller(&extensions)?;
    let frame = &service.frame;
    let outcome = outcome(request.outcome.unwrap_or_default(), frame.recorder(&caller))?;
    let item = outcome.item;
    let target = format!("{id}: {} {}, {}", item.declarant, item.lrn, item.goods_item);
    service.guard.reads(&caller, OUTCOME, target, caller.who().may_record_samples()).await?;
    let store = frame.store.clone();
    let recorded = blocking(move || store.found(id, outcome)).await?;
    recorded.map_err(|error| refused(error, "outcome"))?;
    Ok(Response::new(v1::RecordOutcomeResponse {}))
}

pub(super) async fn selected(
    service: &ComplianceService,
    request: Request<v1::ListSelectedRequest>,
) -> Result<Response<v1::ListSelectedResponse>, Status> {
    let (metadata, mut extensions, request) = request.into_parts();
    let id = id(&request.id)?;
    let size = page_size(request.page_size)?;
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(place(token).ok_or_else(|| no_page(token))?),
    };
    let caller = service.guard.caller(&extensions)?;
    let (plan, outcomes) = service.readable(&caller, id).await?;
    let (selection, is_final) =
        service.select(&plan, request.at_least_watermark, &metadata).await?;
    let open_only = request.open_only;
    let page = move || {
        let all = (0_usize..).zip(&selection.strata).flat_map(|(at, stratum)| {
            stratum.selected.iter().map(move |one| ((at, one.draw.to_string()), stratum, one))
        });
        let is_wanted = |item| !open_only || !outcomes.contains_key(item);
        let mut rest = all
            .filter(|(place, ..)| after.as_ref().is_none_or(|after| place > after))
            .filter(|(.., one)| is_wanted(&one.item));
        let mut answer = selected_message(&selection, is_final);
        let mut last = None;
        for (place, stratum, one) in rest.by_ref().take(size) {
            let outcome = outcomes.get(&one.item);
            answer.selected.push(item_message(&stratum.name, one, outcome));
            last = Some(place);
        }
        if let (Some(_), Some((at, lot))) = (rest.next(), last) {
            answer.next_page_token = format!("{at}.{lot}");
        }
        Ok(answer)
    };
    service.reader.answer(&mut extensions, page).await
}

/// Where a page ended: the place of a stratum, and a lot.
fn place(token: &str) -> Option<(usize, String)> {
    let (at, lot) = token.split_once('.')?;
    let is_lot = lot.len() == 64 && lot.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_lot.then_some((at.parse().ok()?, lot.to_owned()))
}

pub(super) async fn estimated(
    service: &ComplianceService,
    request: Request<v1::EstimatePlanRequest>,
) -> Result<Response<v1::EstimatePlanResponse>, Status> {
    let (metadata, mut extensions, request) = request.into_parts();
    let id = id(&request.id)?;
    let levels = [(0.0, Level::P95), (0.9, Level::P90), (0.95, Level::P95), (0.99, Level::P99)];
    let level = levels.iter().find(|(asked, _)| *asked == request.confidence);
    let Some((_, level)) = level else {
        let why = format!("is {}; it must be 0.9, 0.95 or 0.99", request.confidence);
        return Err(invalid("confidence", why));
    };
    let caller = service.guard.caller(&extensions)?;
    let (plan, outcomes) = service.readable(&caller, id).await?;
    let (selection, is_final) =
        service.select(&plan, request.at_least_watermark, &metadata).await?;
    if !selection.is_whole() {
        let dropped = selection.dropped_through.map(|day| format!("days up to {day} are dropped"));
        let why = dropped.unwrap_or_else(|| "more was selected than can be listed".to_owned());
        return Err(Status::failed_precondition(format!("{why}: nothing can be said of all")));
    }
    let plan_now = plan_message(&plan, service.frame.today());
    let (level, watermark) = (*level, selection.watermark.0);
    // The exact intervals of 21 strata take some ms.
    let message = move || {
        let message = estimate_message(&estimate(&plan, &selection, &outcomes, level));
        Ok(v1::EstimatePlanResponse { plan: Some(plan_now), watermark, is_final, ..message })
    };
    service.reader.answer(&mut extensions, message).await
}

impl ComplianceService {
    /// The plan and its outcomes, once it stands in the audit log who reads them.
    async fn readable(&self, caller: &Caller, id: PlanId) -> Result<PlanOutcomes, Status> {
        let allowed = caller.who().may_read_samples();
        let Some(found) = self.frame.store.get(id).filter(|_| allowed.is_ok()) else {
            self.guard.reads(caller, READ, id.to_string(), allowed).await?;
            return Err(refused(RecordError::Unknown(id), "id"));
        };
        for whose in whose(&found.0.terms.conditions) {
            self.guard.reads(caller, READ, format!("{id}: {whose}"), Ok(())).await?;
        }
        Ok(found)
    }

    /// What `plan` selects of what is sealed, and whether that is final.
    async fn select(
        &self,
        plan: &Arc<Plan>,
        at_least: u64,
        metadata: &MetadataMap,
    ) -> Result<(Selection, bool), Status> {
        let frame = &self.frame;
        let given = deadline(metadata);
        let wait = given.map_or(SELECT_MAX, |given| given.saturating_sub(DEADLINE_MARGIN));
        let until = Instant::now() + wait.min(SELECT_MAX);
        let late = |text: String| match given {
            Some(_) => Status::deadline_exceeded(text),
            None => with_retry(Code::Unavailable, text, Duration::from_secs(1)),
        };
        while frame.sealed() < at_least {
            let (sealed, board) = (frame.sealed(), &self.reader.board);
            if Instant::now() >= until || board.is_stopped() {
                return Err(late(format!("{sealed} records are sealed; {at_least} was asked for")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let turn = Arc::clone(&frame.turn).acquire_owned();
        let turn = tokio::time::timeout_at(until.into(), turn).await;
        let Ok(Ok(turn)) = turn else {
            return Err(late("another selection is being made".to_owned()));
        };
        let is_final = frame.is_settled(plan, self.reader.board.watermark().0);
        let selector = Selector::new(Arc::clone(plan));
        // Checked when it was recorded.
        let selector = selector.map_err(|error| Status::internal(error.to_string()))?;
        let gone = Arc::new(AtomicBool::new(false));
        let _waits = Waits(Arc::clone(&gone));
        let (archive, states, board) =
            (frame.archive.clone(), Arc::clone(&frame.states), self.reader.board.clone());
        let id = plan.id;
        let followed = background::done(move || {
            let _turn = turn;
            let mut state = taken(&states, id);
            let came = selector.follow(&mut state, &archive, |_| {
                let ends =
                    Instant::now() >= until || gone.load(Ordering::Acquire) || board.is_stopped();
                if ends { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            let selection = came.map(|()| selector.selection(&state));
            kept(&states, id, state);
            selection
        });
        match followed.await? {
            Ok(selection) => Ok((selection, is_final)),
            Err(error @ ScanError::Ended(_)) => {
                Err(late(format!("{error}: ask again, it goes on from the last whole set")))
            }
            Err(ScanError::Archive(error @ ArchiveError::Order(_))) => {
                Err(with_retry(Code::Unavailable, error.to_string(), Duration::from_secs(1)))
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "selecting a sample");
                Err(Status::data_loss(error.to_string()))
            }
        }
    }
}

type States = Mutex<Vec<(PlanId, State)>>;

/// What was met of a plan; nothing where that is not kept.
fn taken(states: &States, id: PlanId) -> State {
    let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
    let at = states.iter().position(|(of, _)| *of == id);
    at.map(|at| states.remove(at).1).unwrap_or_default()
}

fn kept(states: &States, id: PlanId, state: State) {
    let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
    if states.len() >= STATES_KEPT {
        states.remove(0);
    }
    states.push((id, state));
}
