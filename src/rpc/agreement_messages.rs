//! Agreements as messages of the contract, and back.

use tonic::Status;

use super::agreements::Stated;
use super::compliance::{actor_id, invalid, role, shortened};
use crate::agreements::{
    Agreement, Baseline, DayPoint, Direction, Draft, Progress, Review, Source, State, Terms,
    Verdict, Version,
};
use crate::day::Day;
use crate::proto::v1;

const INTERVAL_DAYS_DEFAULT: u32 = 28;
const WINDOW_DAYS_DEFAULT: u32 = 28;
/// At this many the interval of a proportion of 5 % is 9 points wide: fewer say next to nothing.
const N_MIN_DEFAULT: u64 = 100;

/// What is to be agreed, and what is said of the baseline.
pub(super) fn draft(terms: v1::AgreementTerms) -> Result<(Draft, Stated), Status> {
    let actor = terms.actor.unwrap_or_default();
    let role = role("terms.actor.role", actor.role)?;
    let direction = match v1::AgreementDirection::try_from(terms.direction) {
        Ok(v1::AgreementDirection::LowerIsBetter) => Direction::LowerIsBetter,
        Ok(v1::AgreementDirection::HigherIsBetter) => Direction::HigherIsBetter,
        Ok(v1::AgreementDirection::Unspecified) | Err(_) => {
            let text = format!("is {}; 1 is lower is better, 2 higher is better", terms.direction);
            return Err(invalid("terms.direction", text));
        }
    };
    // A number past u16 is past the bound too, and stays so.
    let days = |days: u32, default: u32| match days {
        0 => u16::try_from(default).unwrap_or(u16::MAX),
        days => u16::try_from(days).unwrap_or(u16::MAX),
    };
    let draft = Draft {
        role,
        actor: actor_id("terms.actor.id", role, &actor.id)?,
        indicator: terms.indicator,
        direction,
        target: terms.target,
        start: day("terms.start_day", &terms.start_day)?,
        deadline: day("terms.deadline_day", &terms.deadline_day)?,
        review_interval_days: days(terms.review_interval_days, INTERVAL_DAYS_DEFAULT),
        window_days: days(terms.window_days, WINDOW_DAYS_DEFAULT),
        n_min: if terms.n_min == 0 { N_MIN_DEFAULT } else { terms.n_min },
        note: terms.note,
    };
    let stated = stated(terms.baseline.unwrap_or_default(), &draft)?;
    Ok((draft, stated))
}

fn stated(baseline: v1::AgreementBaseline, draft: &Draft) -> Result<Stated, Status> {
    let v1::AgreementBaseline { numerator, denominator, period, .. } = baseline;
    let period = period.unwrap_or_default();
    if denominator == 0 && numerator > 0 {
        let why = format!("is 0, with a numerator of {numerator}; it must be 1 at least");
        return Err(invalid("terms.baseline.denominator", why));
    }
    if denominator == 0 && period.first_day.is_empty() && period.last_day.is_empty() {
        let (first, last) = draft.days_before();
        return Ok(Stated::Days(first, last));
    }
    let first = day("terms.baseline.period.first_day", &period.first_day)?;
    let last = day("terms.baseline.period.last_day", &period.last_day)?;
    if first > last {
        let why = format!("is {last}, before first_day, {first}");
        return Err(invalid("terms.baseline.period.last_day", why));
    }
    Ok(match denominator {
        0 => Stated::Days(first, last),
        _ => {
            Stated::Whole(Baseline { numerator, denominator, first, last, source: Source::Stated })
        }
    })
}

fn day(field: &str, text: &str) -> Result<Day, Status> {
    Day::parse(text).ok_or_else(|| {
        let text = shortened(text);
        invalid(field, format!("is \"{text}\"; a day is written as 2026-11-22"))
    })
}

/// An agreement as it stands on `today`.
pub(super) fn agreement_message(
    agreement: &Agreement,
    today: Day,
    with_earlier: bool,
) -> v1::Agreement {
    let state = match agreement.state(today) {
        State::Pending => v1::AgreementState::Pending,
        State::Active => v1::AgreementState::Active,
        State::Ended => v1::AgreementState::Ended,
        State::Withdrawn => v1::AgreementState::Withdrawn,
    };
    let earlier = if with_earlier { agreement.earlier.as_slice() } else { &[] };
    v1::Agreement {
        id: agreement.id.to_string(),
        state: state.into(),
        newest: Some(version_message(&agreement.newest)),
        earlier: earlier.iter().map(version_message).collect(),
    }
}

fn version_message(version: &Version) -> v1::AgreementVersion {
    v1::AgreementVersion {
        version: version.number,
        terms: Some(terms_message(&version.terms)),
        recorded_by: version.recorded_by.clone(),
        recorded_at_ms: version.recorded_at.0,
        recorded_day: version.recorded_on.to_string(),
        withdrawn: version.withdrawn.is_some(),
        withdrawal_reason: version.withdrawn.clone().unwrap_or_default(),
    }
}

fn terms_message(terms: &Terms) -> v1::AgreementTerms {
    let baseline = terms.baseline();
    let (source, watermark) = match baseline.source {
        Source::Computed(watermark) => (v1::AgreementBaselineSource::Computed, watermark.0),
        Source::Stated => (v1::AgreementBaselineSource::Stated, 0),
    };
    let direction = match terms.direction {
        Direction::LowerIsBetter => v1::AgreementDirection::LowerIsBetter,
        Direction::HigherIsBetter => v1::AgreementDirection::HigherIsBetter,
    };
    v1::AgreementTerms {
        actor: Some(v1::Actor { role: terms.role as i32, id: terms.actor.to_string() }),
        indicator: terms.indicator.clone(),
        direction: direction.into(),
        baseline: Some(v1::AgreementBaseline {
            numerator: baseline.numerator,
            denominator: baseline.denominator,
            period: Some(period(baseline.first, baseline.last)),
            value: baseline.value(),
            source: source.into(),
            watermark,
        }),
        target: terms.target,
        start_day: terms.start.to_string(),
        deadline_day: terms.deadline.to_string(),
        review_interval_days: terms.review_interval_days.into(),
        window_days: terms.window_days.into(),
        n_min: terms.n_min,
        note: terms.note.clone(),
    }
}

fn period(first: Day, last: Day) -> v1::Period {
    v1::Period { first_day: first.to_string(), last_day: last.to_string() }
}

/// How far an agreement on these terms has come; the rest of the message is left as it is.
pub(super) fn progress_message(terms: &Terms, progress: &Progress) -> v1::ReviewAgreementResponse {
    let reviews = progress.reviews.iter();
    v1::ReviewAgreementResponse {
        reviews: reviews.map(|review| review_message(&terms.indicator, review)).collect(),
        next_review_day: progress.next_review.map(|day| day.to_string()).unwrap_or_default(),
        days: progress.days.iter().map(day_message).collect(),
        cusum_allowance: progress.allowance,
        day_n_min: progress.day_n_min,
        ..v1::ReviewAgreementResponse::default()
    }
}

fn review_message(indicator: &str, review: &Review) -> v1::AgreementReview {
    let figure = &review.figure;
    let (lower, upper) = figure.interval.unzip();
    let verdict = match review.verdict {
        Verdict::InsufficientData => v1::AgreementVerdict::InsufficientData,
        Verdict::Met => v1::AgreementVerdict::Met,
        Verdict::Missed => v1::AgreementVerdict::Missed,
        Verdict::AtRisk => v1::AgreementVerdict::AtRisk,
        Verdict::OnTrack => v1::AgreementVerdict::OnTrack,
        Verdict::Inconclusive => v1::AgreementVerdict::Inconclusive,
    };
    v1::AgreementReview {
        day: review.day.to_string(),
        window: Some(period(review.window.0, review.window.1)),
        figure: Some(v1::Indicator {
            name: indicator.to_owned(),
            numerator: figure.numerator,
            denominator: figure.denominator,
            value: ratio(figure.numerator, figure.denominator),
            lower,
            upper,
        }),
        glide_path: review.glide,
        verdict: verdict.into(),
        is_provisional: review.is_provisional,
    }
}

fn day_message(point: &DayPoint) -> v1::AgreementDay {
    v1::AgreementDay {
        day: point.day.to_string(),
        numerator: point.numerator,
        denominator: point.denominator,
        value: ratio(point.numerator, point.denominator),
        cusum: point.cusum.map(|cusum| cusum.sum),
        cusum_limit: point.cusum.map(|cusum| cusum.limit),
        alarm: point.cusum.is_some_and(|cusum| cusum.is_alarm),
    }
}

/// 0 of nothing.
fn ratio(numerator: u64, denominator: u64) -> f64 {
    if denominator == 0 { 0.0 } else { numerator as f64 / denominator as f64 }
}
