//! Profiles and what they hit, for people.

use std::io::{self, Write};

use super::super::show::{Table, euros, on_one_line, plain, thousands};
use crate::proto::v1::{
    ListProfileHitsResponse, Profile, ProfileConditions, ProfileDay, ProfileRange, ProfileTotals,
    ProfileTrial, ProfileVersion,
};

/// Declarants in a table: `--json` has the rest.
const DECLARANTS_SHOWN: usize = 20;

/// `PROFILE_STATE_ACTIVE` as `active`.
fn state(profile: &Profile) -> String {
    let name = profile.state().as_str_name();
    name.strip_prefix("PROFILE_STATE_").unwrap_or(name).to_ascii_lowercase()
}

pub(super) fn write_list(profiles: &[Profile], mut out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&["<Id", "<State", "Version", "<From", "<To", "<Owner", "<Name"]);
    for profile in profiles {
        let newest = profile.newest.clone().unwrap_or_default();
        let terms = newest.terms.unwrap_or_default();
        table.row(vec![
            profile.id.clone(),
            state(profile),
            newest.version.to_string(),
            terms.start_day,
            newest.last_day,
            on_one_line(&terms.owner),
            on_one_line(&terms.name),
        ]);
    }
    table.write(&mut out)
}

pub(super) fn write_profile(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    for version in profile.earlier.iter().chain(&profile.newest) {
        write_version(version, out)?;
    }
    writeln!(out, "{} is {}", profile.id, state(profile))
}

fn write_version(version: &ProfileVersion, out: &mut dyn Write) -> io::Result<()> {
    let (number, by, on) = (version.version, &version.recorded_by, &version.recorded_day);
    if version.withdrawn {
        let reason = on_one_line(&version.withdrawal_reason);
        return writeln!(out, "version {number} by {by} on {on}: withdrawn. {reason}");
    }
    let terms = version.terms.clone().unwrap_or_default();
    let days = match (version.first_day.as_str(), version.last_day.as_str()) {
        ("", _) => "never in force".to_owned(),
        (first, "") => format!("in force from {first} on"),
        (first, last) => format!("in force from {first} to {last}"),
    };
    writeln!(out, "version {number} by {by} on {on}, {days}")?;
    writeln!(out, "  {} ({})", on_one_line(&terms.name), on_one_line(&terms.owner))?;
    writeln!(out, "  {}", on_one_line(&terms.purpose))?;
    for (name, value) in stated(&terms.conditions.unwrap_or_default()) {
        writeln!(out, "  {name}: {}", plain(&value))?;
    }
    Ok(())
}

/// What conditions state, each on a line.
fn stated(conditions: &ProfileConditions) -> Vec<(&'static str, String)> {
    let range = |range: &Option<ProfileRange>, shown: &dyn Fn(u64) -> String| {
        let ProfileRange { min, max } = range.unwrap_or_default();
        let end = |end: Option<u64>| end.map(shown).unwrap_or_default();
        range.map(|_| format!("{}..{}", end(min), end(max))).unwrap_or_default()
    };
    let grams = |mg: u64| format!("{}.{:03}", thousands(mg / 1_000), mg % 1_000);
    let all = [
        ("declarant", conditions.declarants.join(", ")),
        ("IOSS number", conditions.ioss_numbers.join(", ")),
        ("country of the exporter", conditions.exporter_countries.join(", ")),
        ("value, EUR", range(&conditions.declaration_value_eur_cents, &euros)),
        ("HS code", conditions.hs_prefixes.join(", ")),
        ("origin", conditions.origin_countries.join(", ")),
        ("value of the goods item, EUR", range(&conditions.item_value_eur_cents, &euros)),
        ("mass of the goods item, g", range(&conditions.item_mass_mg, &grams)),
        ("description", conditions.description_patterns.join(" | ")),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn totals(totals: Option<&ProfileTotals>) -> [String; 3] {
    let ProfileTotals { declarations, lines, value_eur_cents } =
        totals.copied().unwrap_or_default();
    [thousands(declarations), thousands(lines), euros(value_eur_cents)]
}

fn write_days(days: &[ProfileDay], mut out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&["<Day", "Declarations", "Lines", "Value, EUR", "<For example"]);
    for day in days {
        let examples = day.examples.iter().take(3);
        let examples: Vec<_> = examples.map(|example| example.mrn.as_str()).collect();
        let [declarations, lines, value] = totals(day.hits.as_ref());
        table.row(vec![day.day.clone(), declarations, lines, value, examples.join(" ")]);
    }
    table.write(&mut out)
}

pub(super) fn write_trial(trial: &ProfileTrial, mut out: &mut dyn Write) -> io::Result<()> {
    if trial.watermark == 0 {
        return writeln!(out, "nothing is sealed yet, and a trial looks at what is sealed");
    }
    let (first, last) = (&trial.first_day, &trial.last_day);
    writeln!(out, "{first} to {last}, at watermark {}", thousands(trial.watermark))?;
    if !trial.dropped_through.is_empty() {
        writeln!(out, "days up to {} are dropped, and missing here", trial.dropped_through)?;
    }
    if trial.accepted.is_none_or(|accepted| accepted.declarations == 0) {
        let sentence =
            "nothing accepted on these days is sealed, and a trial looks at what is sealed";
        return writeln!(out, "{sentence}");
    }
    let [hits, lines, value] = totals(trial.hits.as_ref());
    let [of, of_lines, of_value] = totals(trial.accepted.as_ref());
    writeln!(
        out,
        "would have hit {hits} of {of} accepted declarations: {lines} of {of_lines} lines, EUR {value} of {of_value}\n"
    )?;
    write_days(&trial.days, out)?;
    let headings = ["<Declarant", "Hit", "Of", "Share of hits", "Lines", "Value, EUR"];
    let mut table = Table::new(&headings);
    for declarant in trial.declarants.iter().take(DECLARANTS_SHOWN) {
        let [declarations, lines, value] = totals(declarant.hits.as_ref());
        let [of, ..] = totals(declarant.accepted.as_ref());
        let share = format!("{:.1} %", declarant.share_of_hits * 100.0);
        table.row(vec![declarant.declarant.clone(), declarations, of, share, lines, value]);
    }
    writeln!(out)?;
    table.write(&mut out)?;
    let more = trial.declarants.len().saturating_sub(DECLARANTS_SHOWN) as u64
        + u64::from(trial.declarants_left_out);
    if more > 0 {
        writeln!(out, "and {} more declarants", thousands(more))?;
    }
    Ok(())
}

pub(super) fn write_hits(answer: &ListProfileHitsResponse, out: &mut dyn Write) -> io::Result<()> {
    let profile = answer.profile.clone().unwrap_or_default();
    let name = profile.newest.as_ref().and_then(|newest| newest.terms.as_ref());
    let name = name.map(|terms| on_one_line(&terms.name)).unwrap_or_default();
    writeln!(out, "{} {name}, {}", profile.id, state(&profile))?;
    for version in &answer.versions {
        let [declarations, lines, value] = totals(version.hits.as_ref());
        writeln!(
            out,
            "\nversion {}, at watermark {}: {declarations} declarations, {lines} lines, EUR {value}",
            version.version,
            thousands(version.watermark)
        )?;
        write_days(&version.days, out)?;
    }
    Ok(())
}
