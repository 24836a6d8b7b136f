//! The calls of `Compliance` that are about risk profiles: requests to the [`Store`], the [`Follower`] and back.
//!
//! What the contract leaves open:
//! - A version to be recorded stands in the audit log before it is written, and in the book of profiles once it is.
//! - To read or try a profile, and to read its hits, stand in the audit log with the declarants that it names, or with
//!   "every one".

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};

use super::compliance::{
    ComplianceService, DEADLINE_MARGIN, IDS_RECORDED, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, WAIT_MAX,
    deadline, invalid, shortened,
};
use super::guard::Caller;
use super::profile_messages::{conditions, hits_message, profile_message, state, terms};
use super::reads::{PAGE_BYTES, with_retry};
use crate::archive::Archive;
use crate::book::Recorder;
use crate::day::{Day, When};
use crate::profiles::{
    Conditions, Follower, Profile, ProfileId, RecordError, Store, VersionHits, Wrong, kept_days,
};
use crate::proto::v1;

/// What the audit log calls these calls.
const READ: &str = "read profile";
const READ_HITS: &str = "read profile hits";
const RECORD: &str = "record profile";
const WITHDRAW: &str = "withdraw profile";

type Now = dyn Fn() -> When + Send + Sync;

/// The profiles, what they hit, and what they are matched with.
pub struct Office {
    pub(super) store: Store,
    pub(super) follower: Follower,
    pub(super) archive: Archive,
    /// One is tried at a time: it takes a processor.
    pub(super) trials: Arc<Semaphore>,
    now: Arc<Now>,
    /// Who answers for Waag's own algorithms.
    pub(super) owner: String,
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Office {
    /// Those of `store`, matched with `archive` from now on, with the day that `now` tells. `owner` answers for Waag's
    /// own algorithms.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn open(
        store: Store,
        archive: Archive,
        owner: String,
        now: impl Fn() -> When + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let follower = Follower::start(archive.clone(), store.clone())?;
        let (trials, now) = (Arc::new(Semaphore::new(1)), Arc::new(now));
        Ok(Self { store, follower, archive, trials, now, owner })
    }

    fn today(&self) -> Day {
        (self.now)().day
    }

    /// Writes, on a blocking thread: it waits for the disk.
    async fn write(
        &self,
        caller: &Caller,
        write: impl FnOnce(&Store, Recorder) -> Result<Arc<Profile>, RecordError> + Send + 'static,
    ) -> Result<v1::Profile, Status> {
        let When { at, day } = (self.now)();
        let recorder = Recorder { by: caller.who().name().to_owned(), at, on: day };
        let store = self.store.clone();
        let written = tokio::task::spawn_blocking(move || write(&store, recorder)).await;
        let written = written.map_err(|error| Status::internal(error.to_string()))?;
        Ok(profile_message(&*written.map_err(refused)?, day, false))
    }
}

/// Why nothing is recorded, as a status.
fn refused(error: RecordError) -> Status {
    let text = error.to_string();
    match error {
        RecordError::Unknown(_) => Status::not_found(text),
        RecordError::Replaced { .. } => Status::aborted(text),
        RecordError::Withdrawn(_) => Status::failed_precondition(text),
        RecordError::Named { .. } => Status::already_exists(text),
        RecordError::Full { .. } => Status::resource_exhausted(text),
        RecordError::Wrong(Wrong { field, why }) if field == "reason" => invalid(&field, why),
        RecordError::Wrong(Wrong { field, why }) => invalid(&format!("terms.{field}"), why),
        RecordError::Store(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "profiles");
            Status::unavailable(text)
        }
    }
}

fn id(text: &str) -> Result<ProfileId, Status> {
    ProfileId::parse(text).ok_or_else(|| {
        let text = shortened(text);
        invalid("id", format!("is \"{text}\"; a profile's id is P and its number, as P17"))
    })
}

/// The version that is to be replaced, of the profile that is named.
fn replaced(text: &str, version: u32) -> Result<(ProfileId, u32), Status> {
    if version == 0 {
        let why = "is 0; it must be the newest version that was seen, from 1 on";
        return Err(invalid("replaces_version", why));
    }
    Ok((id(text)?, version))
}

/// Whose declarations conditions are about, as entries of the audit log have it.
pub(super) fn whose(conditions: &Conditions) -> Vec<String> {
    let ids = conditions.declarants.chunks(IDS_RECORDED);
    match ids.len() {
        0 => vec!["every one".to_owned()],
        _ => ids.map(|ids| ids.join(", ")).collect(),
    }
}

pub(super) async fn record(
    service: &ComplianceService,
    request: Request<v1::RecordProfileRequest>,
) -> Result<Response<v1::RecordProfileResponse>, Status> {
    let (_, extensions, request) = request.into_parts();
    let replaces = match (request.id.as_str(), request.replaces_version) {
        ("", 0) => None,
        ("", version) => {
            let why = format!("is {version}; without an id, of a new profile, there is none");
            return Err(invalid("replaces_version", why));
        }
        (id, version) => Some(replaced(id, version)?),
    };
    let office = &service.office;
    let terms = terms(request.terms.unwrap_or_default(), office.today())?;
    let caller = service.guard.caller(&extensions)?;
    let what = replaces.map_or("a new one".to_owned(), |(id, version)| {
        format!("{id}, in place of version {version}")
    });
    let target = format!("{:?}: {what}", terms.name);
    service.guard.reads(&caller, RECORD, target, caller.who().may_record_profiles()).await?;
    let write = office.write(&caller, move |store, recorder| match replaces {
        None => store.record(terms, recorder),
        Some((id, version)) => store.change(id, version, terms, recorder),
    });
    Ok(Response::new(v1::RecordProfileResponse { profile: Some(write.await?) }))
}

pub(super) async fn withdraw(
    service: &ComplianceService,
    request: Request<v1::WithdrawProfileRequest>,
) -> Result<Response<v1::WithdrawProfileResponse>, Status> {
    let (_, extensions, request) = request.into_parts();
    let (id, version) = replaced(&request.id, request.replaces_version)?;
    let caller = service.guard.caller(&extensions)?;
    let target = format!("{id}, version {version}");
    service.guard.reads(&caller, WITHDRAW, target, caller.who().may_record_profiles()).await?;
    let reason = request.reason;
    let write = service
        .office
        .write(&caller, move |store, recorder| store.withdraw(id, version, reason, recorder));
    Ok(Response::new(v1::WithdrawProfileResponse { profile: Some(write.await?) }))
}

pub(super) async fn list(
    service: &ComplianceService,
    request: Request<v1::ListProfilesRequest>,
) -> Result<Response<v1::ListProfilesResponse>, Status> {
    let (_, mut extensions, request) = request.into_parts();
    let only = match request.id.as_str() {
        "" => None,
        text => Some(id(text)?),
    };
    let states = request.states.iter().enumerate();
    let states = states.map(|(n, number)| state(&format!("states[{n}]"), *number));
    let states = states.collect::<Result<Vec<_>, Status>>()?;
    let page_size = match request.page_size {
        0 => PAGE_SIZE_DEFAULT,
        size if size <= PAGE_SIZE_MAX => size,
        size => {
            return Err(invalid("page_size", format!("is {size}; the bound is {PAGE_SIZE_MAX}")));
        }
    };
    // Profiles are never taken away, so the last id says where a page ended.
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(ProfileId::parse(token).ok_or_else(|| {
            invalid("page_token", format!("is \"{}\"; no page ended there", shortened(token)))
        })?),
    };
    let caller = service.guard.caller(&extensions)?;
    let target = only.map_or("every one".to_owned(), |id| id.to_string());
    service.guard.reads(&caller, READ, target, caller.who().may_read_profiles()).await?;
    let today = service.office.today();
    let store = service.office.store.clone();
    let page = move || {
        let found = store.list(after, |profile| {
            only.is_none_or(|only| only == profile.id)
                && (states.is_empty() || states.contains(&profile.state(today)))
        });
        if let Some(only) = only.filter(|only| store.get(*only).is_none()) {
            return Err(refused(RecordError::Unknown(only)));
        }
        let mut page = v1::ListProfilesResponse::default();
        let mut bytes = 0;
        for profile in &found {
            if page.profiles.len() >= page_size as usize || bytes >= PAGE_BYTES {
                page.next_page_token =
                    page.profiles.last().map(|last| last.id.clone()).unwrap_or_default();
                break;
            }
            let message = profile_message(profile, today, request.with_earlier);
            bytes += message.encoded_len();
            page.profiles.push(message);
        }
        Ok(page)
    };
    service.reader.answer(&mut extensions, page).await
}

/// The days of a request; an end that is not given is that of `otherwise`.
pub(super) fn days(
    first: &str,
    last: &str,
    otherwise: impl FnOnce(Option<Day>) -> (Day, Day),
) -> Result<(Day, Day), Status> {
    let day = |field: &str, text: &str| match text {
        "" => Ok(None),
        text => Day::parse(text).map(Some).ok_or_else(|| {
            let text = shortened(text);
            invalid(field, format!("is \"{text}\"; a day is written as 2026-11-22"))
        }),
    };
    let (first, last) = (day("first_day", first)?, day("last_day", last)?);
    let (otherwise_first, otherwise_last) = otherwise(last);
    let last = last.unwrap_or(otherwise_last);
    let first = first.unwrap_or(otherwise_first.min(last));
    if first > last {
        return Err(invalid("last_day", format!("is {last}, before first_day, {first}")));
    }
    Ok((first, last))
}

/// Which conditions are tried, checked.
pub(super) fn candidate(given: Option<v1::ProfileConditions>) -> Result<Conditions, Status> {
    let conditions = conditions(given.unwrap_or_default());
    match conditions.matcher() {
        Ok(_) => Ok(conditions),
        Err(Wrong { field, why }) => Err(invalid(&field, why)),
    }
}

pub(super) async fn hits(
    service: &ComplianceService,
    request: Request<v1::ListProfileHitsRequest>,
) -> Result<Response<v1::ListProfileHitsResponse>, Status> {
    let (metadata, mut extensions, request) = request.into_parts();
    let id = id(&request.id)?;
    let days = days(&request.first_day, &request.last_day, |_| (Day(0), Day(u16::MAX)))?;
    let caller = service.guard.caller(&extensions)?;
    let office = &service.office;
    let allowed = caller.who().may_read_profiles();
    let profile = office.store.get(id).filter(|_| allowed.is_ok());
    let Some(profile) = profile else {
        service.guard.reads(&caller, READ_HITS, id.to_string(), allowed).await?;
        return Err(refused(RecordError::Unknown(id)));
    };
    let mut targets: Vec<_> =
        profile.versions().flat_map(|version| whose(&version.terms.conditions)).collect();
    targets.sort_unstable();
    targets.dedup();
    for target in targets {
        let target = format!("{id} from {} to {}: {target}", days.0, days.1);
        service.guard.reads(&caller, READ_HITS, target, Ok(())).await?;
    }
    let versions =
        service.reach_hits(&profile, days, request.at_least_watermark, &metadata).await?;
    let today = office.today();
    let message = move || {
        Ok(v1::ListProfileHitsResponse {
            profile: Some(profile_message(&profile, today, true)),
            versions: versions.into_iter().map(|(n, hits)| hits_message(n, &hits, days)).collect(),
        })
    };
    service.reader.answer(&mut extensions, message).await
}

impl ComplianceService {
    /// The hits of the versions in force on some of `days`, once they are of `at_least` records.
    async fn reach_hits(
        &self,
        profile: &Profile,
        days: (Day, Day),
        at_least: u64,
        metadata: &MetadataMap,
    ) -> Result<Vec<(u32, VersionHits)>, Status> {
        let given = deadline(metadata);
        let wait = given.map_or(WAIT_MAX, |given| given.saturating_sub(DEADLINE_MARGIN));
        let until = Instant::now() + wait.min(WAIT_MAX);
        let mut progress = self.office.follower.progress();
        loop {
            progress.borrow_and_update();
            let sealed = self.office.archive.next().0.0.saturating_sub(1);
            let found = self.office.found(profile, days);
            let least = found.iter().map(|(_, hits)| hits.watermark.0).min();
            let reached = least.unwrap_or(sealed).min(sealed);
            if reached >= at_least {
                return Ok(found);
            }
            let waited = tokio::time::timeout_at(until.into(), async {
                tokio::select! {
                    _ = progress.changed() => true,
                    // Of a set without a day of the profile nothing is told.
                    () = tokio::time::sleep(Duration::from_millis(200)) => true,
                    () = self.reader.board.stopped() => false,
                }
            });
            if !matches!(waited.await, Ok(true)) {
                let text = format!(
                    "the hits stand at watermark {reached}, of {sealed} records that are sealed; {at_least} \
                     was asked for"
                );
                return Err(match given {
                    Some(given) if given <= WAIT_MAX => Status::deadline_exceeded(text),
                    _ => with_retry(Code::Unavailable, text, Duration::from_secs(1)),
                });
            }
        }
    }
}

impl Office {
    /// The hits of the versions that are in force on some of `days`, and are kept.
    fn found(&self, profile: &Profile, (first, last): (Day, Day)) -> Vec<(u32, VersionHits)> {
        let Some((kept, _)) = kept_days(&self.archive.sets()) else { return Vec::new() };
        let of = |number: u32| {
            let (from, to) = profile.days(number)?;
            let is_asked = from <= last && to >= first && to >= kept;
            is_asked.then(|| self.follower.hits().of(profile, number).unwrap_or_default())
        };
        let numbers = profile.versions().map(|version| version.number);
        numbers.filter_map(|number| Some((number, of(number)?))).collect()
    }
}
