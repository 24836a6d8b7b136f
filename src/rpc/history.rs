//! Histories of indicators, and what each indicator counts: a part of the `Compliance` service.
//!
//! What is usual among the others takes who may read the summaries of all: of two actors, the other's
//! figure is the median. Without that a declarant reads its own history.

use tonic::{Request, Response, Status};

use super::compliance::{
    ComplianceService, READ, actor, invalid, name_of, period, shortened, unknown,
};
use super::ledger::holding;
use super::reads::assert_reading;
use super::summary_messages::indicator;
use crate::insight::Kind;
use crate::proto::v1;
use crate::summary::{
    Description, History, HistoryDay, HistoryQuery, PeerFigure, Period, Role, descriptions,
    is_indicator,
};

/// How many indicators one history names at most: twice as many as there are, without chapters.
const NAMES_MAX: usize = 32;

impl ComplianceService {
    /// Answers `GetIndicatorHistory`.
    pub(super) async fn history(
        &self,
        request: Request<v1::GetIndicatorHistoryRequest>,
    ) -> Result<Response<v1::GetIndicatorHistoryResponse>, Status> {
        let (metadata, mut extensions, request) = request.into_parts();
        let at_least = request.at_least_watermark;
        let query = query(request)?;
        let caller = self.guard.caller(&extensions)?;
        let allowed = if query.peers {
            caller.who().may_read_all_summaries()
        } else {
            caller.who().may_read_summary(query.role, query.id.as_str())
        };
        let beside = if query.peers { ", with its peers" } else { "" };
        let target = format!("{} {}, by day{beside}", name_of(query.role), query.id);
        self.guard.reads(&caller, READ, target, allowed).await?;
        let place = self.reader.place()?;
        self.reach(at_least, &metadata).await?;
        let (role, id) = (query.role, query.id);
        let read = self.reader.read_from(place, extensions.remove(), move |board| {
            let (found, watermark) = board.history(&query)?;
            Ok((found.map(|history| to_message(history, &query)), watermark))
        });
        let ((found, watermark), held) = read.await?;
        Ok(holding(found.ok_or_else(|| unknown(role, &id, watermark))?, held))
    }
}

fn query(request: v1::GetIndicatorHistoryRequest) -> Result<HistoryQuery, Status> {
    let (role, id) = actor(request.actor)?;
    let period = period(&request.period.unwrap_or_default())?;
    if request.indicators.len() > NAMES_MAX {
        let text =
            format!("names {} indicators; the bound is {NAMES_MAX}", request.indicators.len());
        return Err(invalid("indicators", text));
    }
    for (number, name) in request.indicators.iter().enumerate() {
        if !is_indicator(name) {
            let field = format!("indicators[{number}]");
            let known: Vec<_> = descriptions().map(|description| description.name).collect();
            let known = known.join(", ");
            let text = format!("is \"{}\", which is none of {known}", shortened(name));
            return Err(invalid(&field, text));
        }
    }
    let query = HistoryQuery { role, id, period, names: request.indicators, peers: request.peers };
    if let Period { first: Some(first), last: Some(last) } = period {
        let days = u32::from(last.0 - first.0) + 1;
        if days > query.days_max().into() {
            let with = if query.peers { " with peers" } else { "" };
            let text = format!(
                "ends {days} days that begin on {first}; the bound{with} is {}",
                query.days_max()
            );
            return Err(invalid("period.last_day", text));
        }
    }
    Ok(query)
}

/// For the thread of a read: of 400 days it takes some ms.
fn to_message(history: History, query: &HistoryQuery) -> v1::GetIndicatorHistoryResponse {
    assert_reading();
    let (first_day, last_day) = (history.first.to_string(), history.last.to_string());
    v1::GetIndicatorHistoryResponse {
        actor: Some(v1::Actor { role: role_number(query.role), id: query.id.to_string() }),
        period: Some(v1::Period { first_day, last_day }),
        watermark: history.watermark.0,
        days: history.days.into_iter().map(day).collect(),
    }
}

fn role_number(role: Role) -> i32 {
    i32::from(role as u8)
}

fn day(day: HistoryDay) -> v1::HistoryDay {
    let c = &day.counters;
    v1::HistoryDay {
        day: day.day.to_string(),
        accepted: c.accepted,
        rejected: c.rejected,
        replayed: c.replayed,
        conflicts: c.conflicts,
        accepted_lines: c.accepted_lines,
        intrinsic_value_eur_cents: c.intrinsic_value,
        indicators: day.indicators.into_iter().map(indicator).collect(),
        peers: day.peers.into_iter().map(peer_figure).collect(),
    }
}

fn peer_figure(figure: PeerFigure) -> v1::PeerFigure {
    v1::PeerFigure { name: figure.name, peers: figure.peers, median: figure.median }
}

/// Answers `ListIndicators`.
pub(super) fn described() -> v1::ListIndicatorsResponse {
    let message = |it: &Description, flag: Option<&str>| v1::IndicatorDescription {
        name: it.name.to_owned(),
        title: it.title.to_owned(),
        numerator: it.numerator.to_owned(),
        denominator: it.denominator.to_owned(),
        formula: it.formula.to_owned(),
        source: it.source.to_owned(),
        is_proportion: it.is_proportion,
        notable_above: it.notable_above,
        flag: flag.unwrap_or_default().to_owned(),
    };
    v1::ListIndicatorsResponse {
        indicators: descriptions().map(|it| message(it, None)).collect(),
        findings: Kind::all().map(|kind| message(kind.description(), kind.flag())).collect(),
    }
}
