//! From the parameters of a path to the requests of the services.

use tonic::Status;

use super::parameters::Parameters;
use crate::proto::v1;

pub(super) fn summaries(asked: &Parameters) -> Result<v1::ListActorSummariesRequest, Status> {
    let order = match asked.one("order") {
        "id" => v1::ActorOrder::Id,
        "" | "lines" => v1::ActorOrder::Lines,
        other => {
            let told = format!("order is {other:?}: it is lines or id");
            return Err(Status::invalid_argument(told));
        }
    };
    Ok(v1::ListActorSummariesRequest {
        role: role(asked)?.into(),
        period: Some(period(asked)),
        at_least_watermark: number(asked, "at_least_watermark")?,
        page_size: number(asked, "page_size")?,
        page_token: asked.one("page_token").to_owned(),
        order: order.into(),
    })
}

pub(super) fn summary(asked: &Parameters) -> Result<v1::GetActorSummaryRequest, Status> {
    Ok(v1::GetActorSummaryRequest {
        actor: Some(actor(asked)?),
        period: Some(period(asked)),
        at_least_watermark: number(asked, "at_least_watermark")?,
    })
}

pub(super) fn history(asked: &Parameters) -> Result<v1::GetIndicatorHistoryRequest, Status> {
    Ok(v1::GetIndicatorHistoryRequest {
        actor: Some(actor(asked)?),
        period: Some(period(asked)),
        indicators: asked.all("indicator"),
        at_least_watermark: number(asked, "at_least_watermark")?,
        peers: asked.one("peers") == "true",
    })
}

/// Those of one actor where an id is given.
pub(super) fn findings(asked: &Parameters) -> Result<v1::ListFindingsRequest, Status> {
    Ok(v1::ListFindingsRequest {
        actor: Some(actor(asked)?),
        period: Some(period(asked)),
        indicators: asked.all("indicator"),
        notable_only: asked.one("notable_only") == "true",
        page_size: number(asked, "page_size")?,
        page_token: asked.one("page_token").to_owned(),
    })
}

pub(super) fn signals(asked: &Parameters) -> v1::ListSignalsRequest {
    v1::ListSignalsRequest { period: Some(period(asked)), rules: asked.all("rule") }
}

/// Those of an actor where an id is given.
pub(super) fn agreements(asked: &Parameters) -> Result<v1::ListAgreementsRequest, Status> {
    use v1::AgreementState as State;
    let names = [
        ("pending", State::Pending),
        ("active", State::Active),
        ("ended", State::Ended),
        ("withdrawn", State::Withdrawn),
    ];
    let actor = if asked.one("id").is_empty() { None } else { Some(actor(asked)?) };
    Ok(v1::ListAgreementsRequest {
        actor,
        states: states(asked, &names)?,
        with_earlier: asked.one("with_earlier") == "true",
        page_size: number(asked, "page_size")?,
        page_token: asked.one("page_token").to_owned(),
    })
}

pub(super) fn review(asked: &Parameters) -> Result<v1::ReviewAgreementRequest, Status> {
    Ok(v1::ReviewAgreementRequest {
        id: asked.one("id").to_owned(),
        version: number(asked, "version")?,
        at_least_watermark: number(asked, "at_least_watermark")?,
    })
}

pub(super) fn profiles(asked: &Parameters) -> Result<v1::ListProfilesRequest, Status> {
    use v1::ProfileState as State;
    let names = [
        ("pending", State::Pending),
        ("active", State::Active),
        ("ended", State::Ended),
        ("withdrawn", State::Withdrawn),
    ];
    Ok(v1::ListProfilesRequest {
        id: asked.one("id").to_owned(),
        states: states(asked, &names)?,
        with_earlier: asked.one("with_earlier") == "true",
        page_size: number(asked, "page_size")?,
        page_token: asked.one("page_token").to_owned(),
    })
}

pub(super) fn hits(asked: &Parameters) -> Result<v1::ListProfileHitsRequest, Status> {
    Ok(v1::ListProfileHitsRequest {
        id: asked.one("id").to_owned(),
        first_day: asked.one("first_day").to_owned(),
        last_day: asked.one("last_day").to_owned(),
        at_least_watermark: number(asked, "at_least_watermark")?,
    })
}

pub(super) fn plans(asked: &Parameters) -> Result<v1::ListPlansRequest, Status> {
    Ok(v1::ListPlansRequest {
        id: asked.one("id").to_owned(),
        page_size: number(asked, "page_size")?,
        page_token: asked.one("page_token").to_owned(),
    })
}

pub(super) fn selected(asked: &Parameters) -> Result<v1::ListSelectedRequest, Status> {
    Ok(v1::ListSelectedRequest {
        id: asked.one("id").to_owned(),
        at_least_watermark: number(asked, "at_least_watermark")?,
        page_size: number(asked, "page_size")?,
        page_token: asked.one("page_token").to_owned(),
        open_only: asked.one("open_only") == "true",
    })
}

pub(super) fn estimate(asked: &Parameters) -> Result<v1::EstimatePlanRequest, Status> {
    Ok(v1::EstimatePlanRequest {
        id: asked.one("id").to_owned(),
        at_least_watermark: number(asked, "at_least_watermark")?,
        confidence: number(asked, "confidence")?,
    })
}

fn role(asked: &Parameters) -> Result<v1::ActorRole, Status> {
    match asked.one("role") {
        "declarant" | "" => Ok(v1::ActorRole::Declarant),
        "representative" => Ok(v1::ActorRole::Representative),
        "ioss-holder" => Ok(v1::ActorRole::IossHolder),
        other => Err(Status::invalid_argument(format!(
            "role is {other:?}: it is declarant, representative or ioss-holder"
        ))),
    }
}

fn actor(asked: &Parameters) -> Result<v1::Actor, Status> {
    Ok(v1::Actor { role: role(asked)?.into(), id: asked.one("id").to_owned() })
}

fn period(asked: &Parameters) -> v1::Period {
    let day = |name| asked.one(name).to_owned();
    v1::Period { first_day: day("first_day"), last_day: day("last_day") }
}

/// The states that are asked for, each by its name among `names`.
fn states<T: Copy + Into<i32>>(
    asked: &Parameters,
    names: &[(&str, T)],
) -> Result<Vec<i32>, Status> {
    let state = |text: String| {
        let named = names.iter().find(|(name, _)| *name == text);
        named.map(|(_, state)| (*state).into()).ok_or_else(|| {
            let all: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            let told = format!("state is {text:?}: it is one of {}", all.join(", "));
            Status::invalid_argument(told)
        })
    };
    asked.all("state").into_iter().map(state).collect()
}

fn number<T: std::str::FromStr + Default>(asked: &Parameters, name: &str) -> Result<T, Status> {
    asked.number(name).map_err(Status::invalid_argument)
}
