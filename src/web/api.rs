//! From paths and parameters to calls of the services, in this process, and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use serde::Serialize;
use tonic::{Code, Status};

use super::Desk;
use super::listener::{Place, WITHIN};
use super::page::{self, Answer};
use super::parameters::Parameters;
use super::questions;
use crate::proto::server::compliance_server::Compliance;
use crate::proto::server::lodgement_server::Lodgement;
use crate::proto::v1;
use crate::rpc::compliance::ComplianceService;
use crate::rpc::guard::Caller;
use crate::rpc::ledger::{Held, until_left};
use crate::rpc::server::Services;

const JSON: &str = "application/json";

/// What the audit log calls reading how the server does; only refusals are recorded.
const SYSTEM: &str = "read system";

/// How long a call may take that goes through what is sealed; the answer has the rest of [`WITHIN`] to leave.
const CALL_WITHIN: Duration = WITHIN.saturating_sub(Duration::from_secs(15));

/// Answers what is asked under `/api/`.
pub(super) async fn answer(
    path: &str,
    request: &Request<Incoming>,
    from: SocketAddr,
    desk: &Arc<Desk>,
    place: Place,
) -> Answer {
    let answered = match desk.services.get() {
        Some(services) => ask(path, request, from, (desk, services), place).await,
        None => Err(Status::unavailable(
            "the server is taking up what is on its disk, and answers after that",
        )),
    };
    answered.unwrap_or_else(|status| refused(&status))
}

async fn ask(
    path: &str,
    request: &Request<Incoming>,
    from: SocketAddr,
    (desk, services): (&Arc<Desk>, &Services),
    place: Place,
) -> Result<Answer, Status> {
    let caller = services.guard.http_caller(from, request.headers()).await?;
    let asked = Parameters::read(request.uri().query()).map_err(Status::invalid_argument)?;
    let Services { compliance, lodgement, .. } = services;
    match path {
        "session" => session(services, &caller).await,
        "actors" => {
            let answer =
                compliance.list_actor_summaries(of(&caller, questions::summaries(&asked)?)).await?;
            let (_, mut page, more) = answer.into_parts();
            for summary in &mut page.summaries {
                // What a table does not show is half of an answer, and comes with the one actor.
                summary.reasons = Vec::new();
                summary.value_histogram = Vec::new();
            }
            told(page, more).await
        }
        "actor" => {
            message(compliance.get_actor_summary(of(&caller, questions::summary(&asked)?)).await?)
                .await
        }
        "history" => {
            let asked = questions::history(&asked)?;
            message(compliance.get_indicator_history(of(&caller, asked)).await?).await
        }
        "findings" => {
            let asked = questions::findings(&asked)?;
            message(compliance.list_findings(of(&caller, asked)).await?).await
        }
        "signals" => {
            let asked = questions::signals(&asked);
            message(compliance.list_signals(of(&caller, asked)).await?).await
        }
        "indicators" => {
            let asked = v1::ListIndicatorsRequest {};
            message(compliance.list_indicators(of(&caller, asked)).await?).await
        }
        "reasons" => {
            let asked = v1::ListReasonsRequest { on: asked.one("on").to_owned() };
            message(lodgement.list_reasons(of(&caller, asked)).await?).await
        }
        "system" => system(desk, services, &caller, place).await,
        _ => book(path, &asked, &caller, compliance).await,
    }
}

/// What is kept in books: agreements, profiles and samples.
async fn book(
    path: &str,
    asked: &Parameters,
    caller: &Caller,
    compliance: &ComplianceService,
) -> Result<Answer, Status> {
    match path {
        "agreements" => {
            let asked = questions::agreements(asked)?;
            message(compliance.list_agreements(of(caller, asked)).await?).await
        }
        "agreement" => {
            let asked = questions::review(asked)?;
            message(compliance.review_agreement(of(caller, asked)).await?).await
        }
        "profiles" => {
            let asked = questions::profiles(asked)?;
            message(compliance.list_profiles(of(caller, asked)).await?).await
        }
        "hits" => {
            let asked = questions::hits(asked)?;
            message(compliance.list_profile_hits(of(caller, asked)).await?).await
        }
        "algorithms" => {
            let asked = v1::ListAlgorithmsRequest {};
            message(compliance.list_algorithms(of(caller, asked)).await?).await
        }
        "plans" => {
            let asked = questions::plans(asked)?;
            message(compliance.list_plans(of(caller, asked)).await?).await
        }
        "selected" => {
            let asked = in_time(of(caller, questions::selected(asked)?));
            message(compliance.list_selected(asked).await?).await
        }
        "estimate" => {
            let asked = in_time(of(caller, questions::estimate(asked)?));
            message(compliance.estimate_plan(asked).await?).await
        }
        _ => Err(Status::not_found(format!("there is nothing at /api/{path}"))),
    }
}

/// A call of `caller`.
fn of<T>(caller: &Caller, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

/// A call with a deadline before the connection's, so that one that takes longer is told so: the next one goes on
/// where it stopped.
fn in_time<T>(mut request: tonic::Request<T>) -> tonic::Request<T> {
    request.set_timeout(CALL_WITHIN);
    request
}

/// Who asks, and what there is to ask for.
async fn session(services: &Services, caller: &Caller) -> Result<Answer, Status> {
    let newest = services.compliance.newest_day().await?;
    json(&serde_json::json!({
        "needsToken": !services.guard.is_open(),
        "who": caller.who().name(),
        "readsAll": caller.who().may_read_all_summaries().is_ok(),
        "readsSystem": caller.who().may_read_system().is_ok(),
        "newestDay": newest.map(|day| day.to_string()),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// How the server does. It tells of no actor, so that it is not recorded: a page asks every two seconds.
async fn system(
    desk: &Arc<Desk>,
    services: &Services,
    caller: &Caller,
    place: Place,
) -> Result<Answer, Status> {
    if let Err(denied) = caller.who().may_read_system() {
        return Err(services.guard.denies(caller, SYSTEM, "", &denied));
    }
    let scrape = Arc::clone(&desk.scrape);
    // Files are read, and locks waited for.
    let read = tokio::task::spawn_blocking(move || {
        let _place = place;
        scrape.json()
    });
    json(&read.await.map_err(|_| Status::internal("the figures could not be read"))?)
}

async fn message<T: Serialize + Send + 'static>(
    answer: tonic::Response<T>,
) -> Result<Answer, Status> {
    let (_, message, more) = answer.into_parts();
    told(message, more).await
}

/// `message` as JSON; what a read holds is kept until it has left.
async fn told<T: Serialize + Send + 'static>(
    message: T,
    mut more: tonic::Extensions,
) -> Result<Answer, Status> {
    let held = more.remove::<Held>();
    // A page of 1,000 actors takes some ms: too long for a thread of the runtime.
    let written = tokio::task::spawn_blocking(move || serde_json::to_vec(&message)).await;
    let Ok(Ok(text)) = written else {
        return Err(Status::internal("the answer could not be written down"));
    };
    let bytes = match held {
        Some(held) => until_left(text.into(), held),
        None => text.into(),
    };
    Ok(page::answer(StatusCode::OK, JSON, bytes))
}

/// A short answer.
fn json(value: &serde_json::Value) -> Result<Answer, Status> {
    Ok(page::answer(StatusCode::OK, JSON, Bytes::from(value.to_string())))
}

fn refused(status: &Status) -> Answer {
    let code = status.code();
    let http = match code {
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let told = serde_json::json!({
        "code": crate::telemetry::code_name(code),
        "message": status.message(),
    });
    let mut answer = page::answer(http, JSON, Bytes::from(told.to_string()));
    if http == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
    answer
}
