//! The calls of `Compliance` that are about agreements: requests to the [`Store`] and back.
//!
//! What the contract leaves open:
//! - To a caller who may not read an agreement it is NOT_FOUND, since its id tells nothing of whose it is; what was
//!   asked for stands in the audit log.
//! - A version to be recorded stands in the audit log before it is written, and in the file of agreements once it is.

use std::sync::Arc;

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::agreement_messages::{agreement_message, draft, progress_message};
use super::compliance::{
    ComplianceService, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, actor_id, invalid, name_of, role,
    shortened,
};
use super::guard::Caller;
use super::ledger::holding;
use super::reads::PAGE_BYTES;
use crate::agreements::{
    self, Agreement, AgreementId, Baseline, Draft, RecordError, Source, State, Store, Terms, Wrong,
    days_needed,
};
use crate::book::Recorder;
use crate::day::{Day, When};
use crate::proto::v1;
use crate::summary::{Board, Period, QueryError, proportion_inputs};

/// What the audit log calls these calls.
const READ: &str = "read agreement";
const RECORD: &str = "record agreement";
const WITHDRAW: &str = "withdraw agreement";

type Now = dyn Fn() -> When + Send + Sync;

/// The agreements, and what time it is.
#[derive(Clone)]
pub struct Desk {
    store: Store,
    now: Arc<Now>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Desk {
    /// Those of `store`, with the day that `now` tells.
    pub fn new(store: Store, now: impl Fn() -> When + Send + Sync + 'static) -> Self {
        Self { store, now: Arc::new(now) }
    }

    fn recorder(&self, caller: &Caller) -> Recorder {
        let When { at, day } = (self.now)();
        Recorder { by: caller.who().name().to_owned(), at, on: day }
    }

    fn today(&self) -> Day {
        (self.now)().day
    }

    /// Writes, on a blocking thread: it waits for the disk.
    async fn write(
        &self,
        write: impl FnOnce(&Store) -> Result<Arc<Agreement>, RecordError> + Send + 'static,
    ) -> Result<Arc<Agreement>, Status> {
        let store = self.store.clone();
        let written = tokio::task::spawn_blocking(move || write(&store)).await;
        written.map_err(|error| Status::internal(error.to_string()))?.map_err(refused)
    }
}

/// Why nothing is recorded, as a status.
fn refused(error: RecordError) -> Status {
    let text = error.to_string();
    match error {
        RecordError::Unknown(_) => Status::not_found(text),
        RecordError::Replaced { .. } => Status::aborted(text),
        RecordError::Withdrawn(_) => Status::failed_precondition(text),
        RecordError::Overlaps { .. } => Status::already_exists(text),
        RecordError::Full { .. } => Status::resource_exhausted(text),
        RecordError::Wrong(Wrong { field: "reason", why }) => invalid("reason", why),
        RecordError::Wrong(error) => wrong(error),
        RecordError::Store(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "agreements");
            Status::unavailable(text)
        }
    }
}

/// A field of the terms that is out of its bounds.
fn wrong(Wrong { field, why }: Wrong) -> Status {
    invalid(&format!("terms.{field}"), why)
}

fn id(field: &str, text: &str) -> Result<AgreementId, Status> {
    AgreementId::parse(text).ok_or_else(|| {
        let text = shortened(text);
        invalid(field, format!("is \"{text}\"; an agreement's id is A and its number, as A17"))
    })
}

/// The version that is to be replaced, of the agreement that is named.
fn replaced(text: &str, version: u32) -> Result<(AgreementId, u32), Status> {
    if version == 0 {
        let why = "is 0; it must be the newest version that was seen, from 1 on";
        return Err(invalid("replaces_version", why));
    }
    Ok((id("id", text)?, version))
}

pub(super) async fn record(
    service: &ComplianceService,
    request: Request<v1::RecordAgreementRequest>,
) -> Result<Response<v1::RecordAgreementResponse>, Status> {
    let (_, mut extensions, request) = request.into_parts();
    let replaces = match (request.id.as_str(), request.replaces_version) {
        ("", 0) => None,
        ("", version) => {
            let why = format!("is {version}; without an id, of a new agreement, there is none");
            return Err(invalid("replaces_version", why));
        }
        (id, version) => Some(replaced(id, version)?),
    };
    let (draft, stated) = draft(request.terms.unwrap_or_default())?;
    draft.check().map_err(wrong)?;
    let desk = &service.desk;
    let caller = service.guard.caller(&extensions)?;
    let what = replaces.map_or("a new one".to_owned(), |(id, version)| {
        format!("{id}, in place of version {version}")
    });
    let target = format!("{} {} {}: {what}", name_of(draft.role), draft.actor, draft.indicator);
    let allowed = caller.who().may_record_agreements();
    service.guard.reads(&caller, RECORD, target, allowed).await?;
    if let Some((id, version)) = replaces {
        desk.store.may_change(id, version).map_err(refused)?;
    }
    let baseline = match stated {
        Stated::Whole(baseline) => baseline,
        Stated::Days(first, last) => {
            let place = service.reader.place()?;
            let of = draft.clone();
            let connection = extensions.remove();
            let look = move |board: &Board| computed(board, &of, first, last);
            service.reader.read_from(place, connection, look).await?.0
        }
    };
    let terms = draft.agreed(baseline).map_err(wrong)?;
    let recorder = desk.recorder(&caller);
    let today = recorder.on;
    let recorded = desk
        .write(move |store| match replaces {
            None => store.record(terms, recorder),
            Some((id, version)) => store.change(id, version, terms, recorder),
        })
        .await?;
    let agreement = Some(agreement_message(&recorded, today, false));
    Ok(Response::new(v1::RecordAgreementResponse { agreement }))
}

/// What a request says of the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stated {
    /// All of it.
    Whole(Baseline),
    /// Over which days it is to be computed.
    Days(Day, Day),
}

/// The baseline of the summaries.
fn computed(board: &Board, draft: &Draft, first: Day, last: Day) -> Result<Baseline, QueryError> {
    let period = Period { first: Some(first), last: Some(last) };
    let (summary, watermark) = board.summary(draft.role, &draft.actor, period)?;
    let inputs = summary.map(|summary| proportion_inputs(&summary.counters, &draft.indicator));
    let (numerator, denominator) = inputs.unwrap_or_default();
    let source = Source::Computed(watermark);
    Ok(Baseline { numerator, denominator, first, last, source })
}

pub(super) async fn withdraw(
    service: &ComplianceService,
    request: Request<v1::WithdrawAgreementRequest>,
) -> Result<Response<v1::WithdrawAgreementResponse>, Status> {
    let (_, extensions, request) = request.into_parts();
    let (id, version) = replaced(&request.id, request.replaces_version)?;
    let caller = service.guard.caller(&extensions)?;
    let target = match service.desk.store.get(id) {
        Some(agreement) => of(&agreement),
        None => id.to_string(),
    };
    let allowed = caller.who().may_record_agreements();
    service.guard.reads(&caller, WITHDRAW, target, allowed).await?;
    let recorder = service.desk.recorder(&caller);
    let today = recorder.on;
    let reason = request.reason;
    let withdrawn = service.desk.write(move |store| store.withdraw(id, version, reason, recorder));
    let agreement = Some(agreement_message(&*withdrawn.await?, today, false));
    Ok(Response::new(v1::WithdrawAgreementResponse { agreement }))
}

/// An agreement, for the audit log.
fn of(agreement: &Agreement) -> String {
    let terms = &agreement.newest.terms;
    format!("{} with {} {}", agreement.id, name_of(terms.role), terms.actor)
}

pub(super) async fn list(
    service: &ComplianceService,
    request: Request<v1::ListAgreementsRequest>,
) -> Result<Response<v1::ListAgreementsResponse>, Status> {
    let (_, mut extensions, request) = request.into_parts();
    let actor = match &request.actor {
        None => None,
        Some(actor) => {
            let role = role("actor.role", actor.role)?;
            Some((role, actor_id("actor.id", role, &actor.id)?))
        }
    };
    let states = request.states.iter().enumerate();
    let states = states.map(|(n, state)| self::state(&format!("states[{n}]"), *state));
    let states = states.collect::<Result<Vec<State>, Status>>()?;
    let page_size = match request.page_size {
        0 => PAGE_SIZE_DEFAULT,
        size if size <= PAGE_SIZE_MAX => size,
        size => {
            return Err(invalid("page_size", format!("is {size}; the bound is {PAGE_SIZE_MAX}")));
        }
    };
    // Agreements are never taken away, so the last id says where a page ended.
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(AgreementId::parse(token).ok_or_else(|| {
            invalid("page_token", format!("is \"{}\"; no page ended there", shortened(token)))
        })?),
    };
    let caller = service.guard.caller(&extensions)?;
    let (target, allowed) = match &actor {
        Some((role, id)) => (
            format!("{} {id}", name_of(*role)),
            caller.who().may_read_agreements(*role, id.as_str()),
        ),
        None => ("every one".to_owned(), caller.who().may_read_all_agreements()),
    };
    service.guard.reads(&caller, READ, target, allowed).await?;
    let today = service.desk.today();
    let store = service.desk.store.clone();
    let page = move || {
        let found = store.list(after, |agreement| {
            let terms = &agreement.newest.terms;
            actor.is_none_or(|actor| actor == (terms.role, terms.actor))
                && (states.is_empty() || states.contains(&agreement.state(today)))
        });
        let mut page = v1::ListAgreementsResponse::default();
        let mut bytes = 0;
        for agreement in &found {
            if page.agreements.len() >= page_size as usize || bytes >= PAGE_BYTES {
                page.next_page_token =
                    page.agreements.last().map(|last| last.id.clone()).unwrap_or_default();
                break;
            }
            let message = agreement_message(agreement, today, request.with_earlier);
            bytes += message.encoded_len();
            page.agreements.push(message);
        }
        Ok(page)
    };
    service.reader.answer(&mut extensions, page).await
}

fn state(field: &str, number: i32) -> Result<State, Status> {
    use v1::AgreementState as Contract;
    match Contract::try_from(number) {
        Ok(Contract::Pending) => Ok(State::Pending),
        Ok(Contract::Active) => Ok(State::Active),
        Ok(Contract::Ended) => Ok(State::Ended),
        Ok(Contract::Withdrawn) => Ok(State::Withdrawn),
        Ok(Contract::Unspecified) | Err(_) => {
            let text = format!("is {number}; 1 is pending, 2 active, 3 ended, 4 withdrawn");
            Err(invalid(field, text))
        }
    }
}

pub(super) async fn review(
    service: &ComplianceService,
    request: Request<v1::ReviewAgreementRequest>,
) -> Result<Response<v1::ReviewAgreementResponse>, Status> {
    let (metadata, mut extensions, request) = request.into_parts();
    let id = id("id", &request.id)?;
    let caller = service.guard.caller(&extensions)?;
    let agreement = readable(service, &caller, id).await?;
    let version = agreement.version(request.version).ok_or_else(|| {
        let (asked, newest) = (request.version, agreement.newest.number);
        Status::not_found(format!("agreement {id} has no version {asked}: its newest is {newest}"))
    })?;
    let (number, terms) = (version.number, version.terms.clone());
    let place = service.reader.place()?;
    service.reach(request.at_least_watermark, &metadata).await?;
    let today = service.desk.today();
    let connection = extensions.remove();
    let read = service.reader.read_from(place, connection, move |board| {
        reviewed(board, &agreement, (number, &terms), today)
    });
    let (message, held) = read.await?;
    Ok(holding(message, held))
}

/// Takes some ms: for the thread of a read.
fn reviewed(
    board: &Board,
    agreement: &Agreement,
    (version, terms): (u32, &Terms),
    today: Day,
) -> Result<v1::ReviewAgreementResponse, QueryError> {
    let until = agreement.reviewed_until(today);
    let (first, last) = days_needed(terms, until);
    let period = Period { first: Some(first), last: Some(last) };
    let (days, watermark) = board.daily(terms.role, &terms.actor, period)?;
    let inputs = days.unwrap_or_default().into_iter();
    let inputs =
        inputs.map(|(day, counters)| (day, proportion_inputs(&counters, &terms.indicator)));
    let progress = agreements::review(terms, &inputs.collect(), until, today);
    Ok(v1::ReviewAgreementResponse {
        agreement: Some(agreement_message(agreement, today, true)),
        version,
        watermark: watermark.0,
        today: today.to_string(),
        ..progress_message(terms, &progress)
    })
}

/// The agreement, once it stands in the audit log who reads it.
async fn readable(
    service: &ComplianceService,
    caller: &Caller,
    id: AgreementId,
) -> Result<Arc<Agreement>, Status> {
    let unknown = || Status::not_found(RecordError::Unknown(id).to_string());
    let Some(agreement) = service.desk.store.get(id) else {
        service.guard.reads(caller, READ, id.to_string(), Ok(())).await?;
        return Err(unknown());
    };
    let terms = &agreement.newest.terms;
    match caller.who().may_read_agreements(terms.role, terms.actor.as_str()) {
        Ok(()) => service.guard.reads(caller, READ, of(&agreement), Ok(())).await?,
        Err(denied) => {
            service.guard.hides(caller, READ, of(&agreement), &denied).await?;
            return Err(unknown());
        }
    }
    Ok(agreement)
}
