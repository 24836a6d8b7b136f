//! `waag summary --history`: an actor day by day.

use std::io::{self, Write};

use super::super::show::{Table, euros, thousands};
use super::{Client, SummaryArgs, SummaryError, failed};
use crate::proto::v1::{
    Actor, GetIndicatorHistoryRequest, GetIndicatorHistoryResponse, HistoryDay, Indicator, Period,
};

pub(super) async fn get(
    client: &mut Client,
    args: &SummaryArgs,
    id: &str,
    name: Option<&str>,
) -> Result<GetIndicatorHistoryResponse, SummaryError> {
    let request = GetIndicatorHistoryRequest {
        actor: Some(Actor { role: args.role.contract().into(), id: id.to_owned() }),
        period: args.period.clone(),
        indicators: name.map(str::to_owned).into_iter().collect(),
        at_least_watermark: args.at_least_watermark,
        // Of outcomes there is nothing to compare; and a declarant reads those of its own.
        peers: name.is_some(),
    };
    let response = client.get_indicator_history(request).await;
    Ok(response.map_err(|status| failed(args, status))?.into_inner())
}

pub(super) fn write(
    history: &GetIndicatorHistoryResponse,
    name: Option<&str>,
    out: &mut impl Write,
) -> io::Result<()> {
    let id = history.actor.as_ref().map_or("", |actor| actor.id.as_str());
    let Period { first_day, last_day } = history.period.clone().unwrap_or_default();
    let watermark = thousands(history.watermark);
    let what = name.unwrap_or("declarations");
    writeln!(out, "{id}: {what} from {first_day} to {last_day}, at watermark {watermark}\n")?;
    let table = match name {
        Some(name) => of_indicator(history, name),
        None => of_outcomes(history),
    };
    table.write(out)
}

fn of_outcomes(history: &GetIndicatorHistoryResponse) -> Table {
    let mut table =
        Table::new(&["<Day", "Accepted", "Rejected", "Replays", "Conflicts", "Lines", "Value EUR"]);
    for day in &history.days {
        table.row(vec![
            day.day.clone(),
            thousands(day.accepted),
            thousands(day.rejected),
            thousands(day.replayed),
            thousands(day.conflicts),
            thousands(day.accepted_lines),
            euros(day.intrinsic_value_eur_cents),
        ]);
    }
    table
}

fn of_indicator(history: &GetIndicatorHistoryResponse, name: &str) -> Table {
    let mut table =
        Table::new(&["<Day", "Value", "95 % interval", "Of", "Median of peers", "Peers"]);
    for day in &history.days {
        // A day on which there is nothing to divide by has none.
        if let Some(indicator) = day.indicators.iter().find(|it| it.name == name) {
            table.row(row(day, indicator));
        }
    }
    table
}

fn row(day: &HistoryDay, indicator: &Indicator) -> Vec<String> {
    let Indicator { name, numerator, denominator, value, lower, upper } = indicator;
    let shown = |value: f64| match lower {
        Some(_) => format!("{:.2} %", value * 100.0),
        None => format!("{value:.3}"),
    };
    let interval = match (lower, upper) {
        (Some(lower), Some(upper)) => format!("{:.2} to {:.2} %", lower * 100.0, upper * 100.0),
        _ => String::new(),
    };
    let peer = day.peers.iter().find(|peer| peer.name == *name);
    vec![
        day.day.clone(),
        shown(*value),
        interval,
        format!("{} / {}", thousands(*numerator), thousands(*denominator)),
        peer.and_then(|peer| peer.median).map(shown).unwrap_or_default(),
        peer.map(|peer| thousands(peer.peers.into())).unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::proto::v1::PeerFigure;

    #[test]
    fn days_stand_with_their_interval_and_their_peers() {
        let indicator = Indicator {
            name: "rejection_rate".into(),
            numerator: 3,
            denominator: 400,
            value: 0.0075,
            lower: Some(0.00255),
            upper: Some(0.02182),
        };
        let peers =
            vec![PeerFigure { name: "rejection_rate".into(), peers: 34, median: Some(0.02) }];
        let day = |day: &str, indicators: Vec<Indicator>| HistoryDay {
            day: day.into(),
            accepted: 1_400,
            indicators,
            peers: peers.clone(),
            ..HistoryDay::default()
        };
        let history = GetIndicatorHistoryResponse {
            days: vec![day("2026-11-05", vec![indicator]), day("2026-11-06", vec![])],
            ..GetIndicatorHistoryResponse::default()
        };
        let text = |name| {
            let mut out = Vec::new();
            write(&history, name, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let told = text(Some("rejection_rate"));
        assert!(told.contains("2026-11-05  0.75 %  0.26 to 2.18 %  3 / 400"), "{told}");
        assert!(told.contains("2.00 %     34\n"), "{told}");
        assert!(!told.contains("2026-11-06"), "{told}");
        assert!(text(None).contains("2026-11-06     1,400"), "{}", text(None));
    }
}
