//! On which days a version is in force, against a model.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
struct Step {
    /// Days from the step before.
    later: u16,
    /// Days from its recording to its start.
    ahead: u16,
    /// And from there to its end.
    length: Option<u16>,
}

fn step() -> impl Strategy<Value = Step> {
    (0..4_u16, 0..4_u16, proptest::option::of(0..6_u16)).prop_map(|(later, ahead, length)| Step {
        later,
        ahead,
        length,
    })
}

fn profile(steps: &[Step], is_withdrawn: bool) -> Profile {
    let mut on = 100;
    let mut versions: Vec<Version> = Vec::new();
    for (number, step) in (1..).zip(steps) {
        on += step.later;
        let start = Day(on + step.ahead);
        let end = step.length.map(|length| Day(start.0 + length));
        let is_last = number as usize == steps.len();
        let withdrawn = (is_last && is_withdrawn && number > 1).then(String::new);
        let terms = match &withdrawn {
            Some(_) => versions.last().unwrap().terms.clone(),
            None => Terms { start, end, ..terms("one", "2026-11-01") },
        };
        versions.push(Version {
            number,
            terms,
            recorded_by: "analyst".into(),
            recorded_at: Moment(0),
            recorded_on: Day(on),
            withdrawn,
        });
    }
    let newest = versions.pop().unwrap();
    Profile { id: ProfileId(1), newest, earlier: versions }
}

/// Which version flags what arrives on a day: of those that began by then the one recorded last, unless its end or a
/// withdrawal is before.
fn model(profile: &Profile, day: Day) -> Option<u32> {
    let begun = |v: &&Version| v.withdrawn.is_none() && v.terms.start <= day;
    let newest = profile.versions().filter(begun).last()?;
    let is_over = newest.terms.end.is_some_and(|end| end < day);
    let withdrawn = profile.newest.withdrawn.as_ref().map(|_| profile.newest.recorded_on);
    (!is_over && withdrawn.is_none_or(|on| day <= on)).then_some(newest.number)
}

proptest! {
    #[test]
    fn every_day_has_the_version_that_the_model_says(
        steps in proptest::collection::vec(step(), 1..6),
        is_withdrawn: bool,
    ) {
        let profile = profile(&steps, is_withdrawn);
        let mut in_force = Vec::new();
        for day in (95..140).map(Day) {
            let on = |v: &&Version| {
                profile.days(v.number).is_some_and(|(first, last)| first <= day && day <= last)
            };
            let found: Vec<u32> = profile.versions().filter(on).map(|v| v.number).collect();
            prop_assert!(found.len() <= 1, "{day}: {found:?}");
            prop_assert_eq!(found.first().copied(), model(&profile, day), "{}", day);
            in_force.extend(found.first().map(|_| day));
        }
        let all = profile.all_days();
        prop_assert_eq!(all.map(|(first, _)| first), in_force.first().copied());
        let today = Day(139);
        let expected = match () {
            () if profile.newest.withdrawn.is_some() => State::Withdrawn,
            () if in_force.last().is_some_and(|last| *last >= today) => State::Active,
            () => State::Ended,
        };
        prop_assert_eq!(profile.state(today), expected);
        if let (Some(first), None) = (in_force.first(), &profile.newest.withdrawn) {
            prop_assert_eq!(profile.state(Day(first.0 - 1)), State::Pending);
        }
    }

    /// What was said of a day that is over stays: each version changes nothing before its recording.
    #[test]
    fn a_later_version_leaves_days_that_are_over_as_they_were(
        steps in proptest::collection::vec(step(), 2..6),
        is_withdrawn: bool,
    ) {
        let after = profile(&steps, is_withdrawn);
        let mut before = after.clone();
        let newest = std::mem::replace(&mut before.newest, before.earlier.pop().unwrap());
        for day in (95..newest.recorded_on.0).map(Day) {
            let on = |profile: &Profile| {
                let is_on = |v: &&Version| {
                    profile.days(v.number).is_some_and(|(a, b)| a <= day && day <= b)
                };
                profile.versions().find(is_on).map(|v| v.number)
            };
            prop_assert_eq!(on(&before), on(&after), "{}", day);
        }
    }
}
