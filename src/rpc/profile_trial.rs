//! `TryProfile`: what a candidate would have hit, on a thread of its own, as long as the caller waits for it.

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::background;
use super::compliance::{ComplianceService, DEADLINE_MARGIN, deadline, invalid};
use super::profile_messages::{days_message, totals_message};
use super::profiles::{candidate, days, whose};
use super::reads::with_retry;
use crate::archive::{Archive, ArchiveError};
use crate::day::Day;
use crate::profiles::{Matcher, ScanError, Scanned, Share, Trial};
use crate::proto::v1;
use crate::summary::{Board, OTHER};

/// What the audit log calls it.
const TRY: &str = "try profile";

/// Days of one call at most.
const DAYS_MAX: u16 = 400;
/// Days, where no first one is given.
const DAYS_DEFAULT: u16 = 28;
/// How long it may take, whatever the caller says.
const TRIAL_MAX: Duration = Duration::from_secs(600);
/// Between two tellings of how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// Messages that wait for a caller.
const AHEAD: usize = 4;
/// Declarants in an answer at most.
const DECLARANTS_TOLD: usize = 1_000;

type Told = Result<v1::TryProfileResponse, Status>;

pub(super) async fn start(
    service: &ComplianceService,
    request: Request<v1::TryProfileRequest>,
) -> Result<Response<ReceiverStream<Told>>, Status> {
    let (metadata, extensions, request) = request.into_parts();
    let conditions = candidate(request.conditions)?;
    let office = &service.office;
    let newest = || {
        let sets = office.archive.sets();
        sets.iter().flat_map(|set| &set.parts).map(|part| part.day).max().unwrap_or_default()
    };
    let days = days(&request.first_day, &request.last_day, |last| {
        let last = last.unwrap_or_else(newest);
        (Day(last.0.saturating_sub(DAYS_DEFAULT - 1)), last)
    })?;
    if days.1.0 - days.0.0 >= DAYS_MAX {
        let count = u32::from(days.1.0 - days.0.0) + 1;
        let why = format!("is {}, {count} days before last_day; the bound is {DAYS_MAX}", days.0);
        return Err(invalid("first_day", why));
    }
    let caller = service.guard.caller(&extensions)?;
    for whose in whose(&conditions) {
        let target = format!("from {} to {}: {whose}", days.0, days.1);
        service.guard.reads(&caller, TRY, target, caller.who().may_read_profiles()).await?;
    }
    let turn = Arc::clone(&office.trials).try_acquire_owned().map_err(|_| {
        let text = "another profile is being tried, and one is at a time: ask again later";
        with_retry(Code::ResourceExhausted, text.to_owned(), Duration::from_secs(5))
    })?;
    // Checked before.
    let matcher = conditions.matcher().map_err(|error| Status::internal(error.to_string()))?;
    let given = deadline(&metadata);
    let wait = given.map_or(TRIAL_MAX, |given| given.saturating_sub(DEADLINE_MARGIN));
    let until = Instant::now() + wait.min(TRIAL_MAX);
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (archive, board) = (office.archive.clone(), service.reader.board.clone());
    background::begin(move || {
        let came = run(&matcher, &archive, &board, days, until, &sender);
        drop(turn);
        if let Some(came) = came {
            // Where the caller is gone, there is nobody to tell.
            let _gone = sender.blocking_send(came);
        }
    })?;
    Ok(Response::new(ReceiverStream::new(receiver)))
}

/// What came of it; nothing where the caller is gone.
fn run(
    matcher: &Matcher,
    archive: &Archive,
    board: &Board,
    days: (Day, Day),
    until: Instant,
    sender: &mpsc::Sender<Told>,
) -> Option<Told> {
    let mut next = Instant::now();
    let control = |Scanned { done, of }: Scanned| {
        let now = Instant::now();
        if now >= until || sender.is_closed() || board.is_stopped() {
            return ControlFlow::Break(());
        }
        if now >= next {
            next = now + TOLD_EVERY;
            let progress = v1::ProfileProgress { done, of };
            let told = v1::try_profile_response::Told::Progress(progress);
            // One that does not read is not waited for.
            let _ = sender.try_send(Ok(v1::TryProfileResponse { told: Some(told) }));
        }
        ControlFlow::Continue(())
    };
    Some(match Trial::run(matcher, archive, days, control) {
        Ok(trial) => {
            let told = v1::try_profile_response::Told::Trial(message(&trial, days));
            Ok(v1::TryProfileResponse { told: Some(told) })
        }
        Err(ScanError::Ended(_)) if sender.is_closed() => return None,
        Err(ScanError::Ended(_)) if board.is_stopped() => {
            Err(Status::unavailable("the server is stopping"))
        }
        Err(error @ ScanError::Ended(_)) => {
            let text =
                format!("{error}, when its time was over: try fewer days, or give it longer");
            Err(Status::deadline_exceeded(text))
        }
        Err(ScanError::Archive(error @ ArchiveError::Order(_))) => {
            Err(with_retry(Code::Unavailable, error.to_string(), Duration::from_secs(1)))
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "trying a profile");
            Err(Status::data_loss(error.to_string()))
        }
    })
}

fn message(trial: &Trial, days: (Day, Day)) -> v1::ProfileTrial {
    let own = trial.declarants.iter().map(|(eori, share)| (eori.as_str(), share));
    let other = std::iter::once((OTHER, &trial.other_declarants));
    let mut declarants: Vec<(&str, &Share)> =
        own.chain(other).filter(|(_, share)| share.hit.declarations > 0).collect();
    declarants.sort_unstable_by_key(|(id, share)| (Reverse(share.hit.declarations), *id));
    let left_out = declarants.len().saturating_sub(DECLARANTS_TOLD);
    let all = trial.total.hit.declarations.max(1) as f64;
    let declarant = |(id, share): (&str, &Share)| v1::ProfileDeclarant {
        declarant: id.to_owned(),
        hits: Some(totals_message(share.hit)),
        accepted: Some(totals_message(share.all)),
        share_of_hits: share.hit.declarations as f64 / all,
    };
    v1::ProfileTrial {
        first_day: days.0.to_string(),
        last_day: days.1.to_string(),
        watermark: trial.watermark.0,
        dropped_through: trial.dropped_through.map(|day| day.to_string()).unwrap_or_default(),
        hits: Some(totals_message(trial.total.hit)),
        accepted: Some(totals_message(trial.total.all)),
        days: days_message(&trial.days, days),
        declarants: declarants.into_iter().take(DECLARANTS_TOLD).map(declarant).collect(),
        declarants_left_out: u32::try_from(left_out).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
#[path = "profile_trial_tests.rs"]
mod tests;
