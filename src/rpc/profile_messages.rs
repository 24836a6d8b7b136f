//! Risk profiles as messages of the contract, and back.

use std::collections::BTreeMap;

use tonic::Status;

use super::compliance::{invalid, shortened};
use crate::day::Day;
use crate::profiles::{
    Conditions, DayHits, Example, Profile, Range, State, Terms, Totals, Version, VersionHits,
};
use crate::proto::v1;

/// What a profile is to look for; not checked yet.
pub(super) fn conditions(given: v1::ProfileConditions) -> Conditions {
    let range = |range: Option<v1::ProfileRange>| {
        let v1::ProfileRange { min, max } = range.unwrap_or_default();
        Range { min, max }
    };
    let conditions = Conditions {
        declarants: given.declarants,
        ioss_numbers: given.ioss_numbers,
        exporter_countries: given.exporter_countries,
        declaration_value: range(given.declaration_value_eur_cents),
        hs_prefixes: given.hs_prefixes,
        origin_countries: given.origin_countries,
        item_value: range(given.item_value_eur_cents),
        item_mass: range(given.item_mass_mg),
        description_patterns: given.description_patterns,
    };
    conditions.normalised()
}

/// What is to be recorded `today`; not checked yet.
pub(super) fn terms(given: v1::ProfileTerms, today: Day) -> Result<Terms, Status> {
    let day = |field: &str, text: &str| {
        Day::parse(text).ok_or_else(|| {
            let text = shortened(text);
            invalid(field, format!("is \"{text}\"; a day is written as 2026-11-22"))
        })
    };
    Ok(Terms {
        start: match given.start_day.as_str() {
            "" => today,
            text => day("terms.start_day", text)?,
        },
        end: match given.end_day.as_str() {
            "" => None,
            text => Some(day("terms.end_day", text)?),
        },
        name: given.name.trim().to_owned(),
        purpose: given.purpose.trim().to_owned(),
        owner: given.owner.trim().to_owned(),
        conditions: conditions(given.conditions.unwrap_or_default()),
    })
}

pub(super) fn state(field: &str, number: i32) -> Result<State, Status> {
    use v1::ProfileState as Contract;
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

/// A profile as it stands on `today`.
pub(super) fn profile_message(profile: &Profile, today: Day, with_earlier: bool) -> v1::Profile {
    let state = match profile.state(today) {
        State::Pending => v1::ProfileState::Pending,
        State::Active => v1::ProfileState::Active,
        State::Ended => v1::ProfileState::Ended,
        State::Withdrawn => v1::ProfileState::Withdrawn,
    };
    let earlier = if with_earlier { profile.earlier.as_slice() } else { &[] };
    v1::Profile {
        id: profile.id.to_string(),
        state: state.into(),
        newest: Some(version_message(profile, &profile.newest)),
        earlier: earlier.iter().map(|version| version_message(profile, version)).collect(),
    }
}

fn version_message(profile: &Profile, version: &Version) -> v1::ProfileVersion {
    let days = profile.days(version.number);
    v1::ProfileVersion {
        version: version.number,
        terms: Some(terms_message(&version.terms)),
        recorded_by: version.recorded_by.clone(),
        recorded_at_ms: version.recorded_at.0,
        recorded_day: version.recorded_on.to_string(),
        withdrawn: version.withdrawn.is_some(),
        withdrawal_reason: version.withdrawn.clone().unwrap_or_default(),
        first_day: days.map(|(first, _)| first.to_string()).unwrap_or_default(),
        last_day: days.map(|(_, last)| known_day(last)).unwrap_or_default(),
    }
}

/// Empty for the last day that there is, which stands for none.
pub(super) fn known_day(day: Day) -> String {
    if day == Day(u16::MAX) { String::new() } else { day.to_string() }
}

fn terms_message(terms: &Terms) -> v1::ProfileTerms {
    v1::ProfileTerms {
        name: terms.name.clone(),
        purpose: terms.purpose.clone(),
        owner: terms.owner.clone(),
        start_day: terms.start.to_string(),
        end_day: terms.end.map(|day| day.to_string()).unwrap_or_default(),
        conditions: Some(conditions_message(&terms.conditions)),
    }
}

pub(super) fn conditions_message(conditions: &Conditions) -> v1::ProfileConditions {
    let range = |range: Range| {
        (!range.is_open()).then_some(v1::ProfileRange { min: range.min, max: range.max })
    };
    let Conditions {
        declarants,
        ioss_numbers,
        exporter_countries,
        declaration_value,
        hs_prefixes,
        origin_countries,
        item_value,
        item_mass,
        description_patterns,
    } = conditions.clone();
    v1::ProfileConditions {
        declarants,
        ioss_numbers,
        exporter_countries,
        declaration_value_eur_cents: range(declaration_value),
        hs_prefixes,
        origin_countries,
        item_value_eur_cents: range(item_value),
        item_mass_mg: range(item_mass),
        description_patterns,
    }
}

pub(super) fn totals_message(totals: Totals) -> v1::ProfileTotals {
    v1::ProfileTotals {
        declarations: totals.declarations,
        lines: totals.lines,
        value_eur_cents: totals.value,
    }
}

/// The hits of some days.
pub(super) fn days_message(
    hits: &BTreeMap<Day, DayHits>,
    (first, last): (Day, Day),
) -> Vec<v1::ProfileDay> {
    let day = |(day, hits): (&Day, &DayHits)| v1::ProfileDay {
        day: day.to_string(),
        hits: Some(totals_message(hits.totals())),
        examples: hits.examples.iter().map(example_message).collect(),
    };
    hits.range(first..=last).map(day).collect()
}

fn example_message(example: &Example) -> v1::ProfileExample {
    v1::ProfileExample {
        mrn: example.mrn.to_string(),
        lrn: example.lrn.to_string(),
        declarant: example.declarant.to_string(),
        goods_item: example.goods_item,
    }
}

/// What version `number` hit on `days`.
pub(super) fn hits_message(
    number: u32,
    hits: &VersionHits,
    days: (Day, Day),
) -> v1::ProfileVersionHits {
    let mut totals = Totals::default();
    for (_, day) in hits.days.range(days.0..=days.1) {
        totals.declarations += day.declarations;
        totals.lines += day.lines;
        totals.value = totals.value.saturating_add(day.value);
    }
    v1::ProfileVersionHits {
        version: number,
        watermark: hits.watermark.0,
        hits: Some(totals_message(totals)),
        days: days_message(&hits.days, days),
    }
}
