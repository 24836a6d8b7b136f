#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
//! Loading: what is compiled in, what is replaced, what is refused.

use super::*;
use crate::rules::Problem;

fn built_in() -> BTreeMap<String, Vec<u8>> {
    builtin::files().into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect()
}

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

/// Replaces `from` by `to` in `file` and gives the problems.
fn problems(file: &str, from: &str, to: &str) -> Vec<Problem> {
    let mut files = built_in();
    let text = String::from_utf8(files[file].clone()).unwrap();
    assert!(text.contains(from), "{file} contains {from}");
    files.insert(file.to_owned(), text.replacen(from, to, 1).into_bytes());
    match Law::from_files(files) {
        Err(LawError::Faulty(problems)) => problems,
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    }
}

#[track_caller]
fn expect_problem(file: &str, from: &str, to: &str, line: Option<u64>, field: &str, bound: &str) {
    let problems = problems(file, from, to);
    let wanted = |p: &Problem| {
        p.file == file
            && (line.is_none() || p.line == line)
            && p.field == field
            && p.bound.contains(bound)
    };
    assert!(problems.iter().any(wanted), "{problems:#?}");
}

#[test]
fn no_law_before_the_first_rule_set() {
    let law = Law::load(None).unwrap();
    let error = law.on(day("2021-06-30")).unwrap_err().to_string();
    assert_eq!(error, "no rule set holds on 2021-06-30: the first holds from 2021-07-01");
    assert!(law.on(day("2021-07-01")).is_ok());
    assert!(law.on(Day(u16::MAX)).is_ok());
}

#[test]
fn names_show_rule_set_and_hashes() {
    let law = Law::load(None).unwrap();
    let hex = crate::rules::shelf::hex(&law.rules_hash());
    for (on, set) in [
        ("2026-06-30", "2021-07-01"),
        ("2026-07-01", "2026-07-01"),
        ("2026-10-31", "2026-07-01"),
        ("2026-11-01", "2026-11-01"),
        // The duty of EUR 3 ends then, and there is no rule set for what follows: see the README.
        ("2028-07-01", "2026-11-01"),
    ] {
        let name = law.on(day(on)).unwrap().rule_set_name();
        assert_eq!(name, format!("{set}+{}", &hex[..8]));
    }
    let reference = crate::rules::shelf::hex(&law.reference_hash());
    assert_eq!(law.on(day("2026-11-01")).unwrap().reference_name(), reference[..8]);
}

#[test]
fn each_hash_stands_for_its_own_files() {
    let law = Law::load(None).unwrap();
    let same = Law::from_files(built_in()).unwrap();
    assert_eq!(
        (same.rules_hash(), same.reference_hash()),
        (law.rules_hash(), law.reference_hash())
    );
    let changed = |file: &str| {
        let mut files = built_in();
        files.get_mut(file).unwrap().push(b'\n');
        Law::from_files(files).unwrap()
    };
    let rates = changed("rates.csv");
    assert_eq!(rates.rules_hash(), law.rules_hash());
    assert_ne!(rates.reference_hash(), law.reference_hash());
    let words = changed("stop_words.csv");
    assert_ne!(words.rules_hash(), law.rules_hash());
    assert_eq!(words.reference_hash(), law.reference_hash());
}

#[test]
fn days_are_kept_and_bounded() {
    let law = Law::load(None).unwrap();
    let first = law.on(day("2026-11-05")).unwrap();
    assert!(Arc::ptr_eq(&first, &law.on(day("2026-11-05")).unwrap()));
    let start = day("2022-01-01").0;
    for offset in 0..200 {
        let on = Day(start + offset);
        assert_eq!(law.on(on).unwrap().day(), on);
    }
    let kept = law.kept.lock().unwrap();
    assert_eq!(kept.days.len(), DAYS_KEPT_MAX);
    assert!(kept.editions.len() <= EDITIONS_KEPT_MAX);
}

#[test]
fn a_day_in_use_stays_while_others_come_and_go() {
    let law = Law::load(None).unwrap();
    let today = law.on(day("2026-11-05")).unwrap();
    let start = day("2022-01-01").0;
    for offset in 0..500 {
        let _ = law.on(Day(start + offset)).unwrap();
        assert!(Arc::ptr_eq(&today, &law.on(day("2026-11-05")).unwrap()), "after {offset}");
    }
}

#[test]
fn an_edition_is_that_of_its_days() {
    let law = Law::load(None).unwrap();
    let edition = |on: &str| Arc::clone(&law.on(day(on)).unwrap().edition);
    assert!(Arc::ptr_eq(&edition("2026-08-01"), &edition("2026-08-31")));
    assert!(!Arc::ptr_eq(&edition("2026-06-30"), &edition("2026-07-01")));
    assert!(!Arc::ptr_eq(&edition("2026-10-31"), &edition("2026-11-01")));
    assert!(!Arc::ptr_eq(&edition("2022-12-31"), &edition("2023-01-01")), "HRK ended");
}

#[test]
fn a_folder_replaces_and_adds() {
    let folder = tempfile::tempdir().unwrap();
    let set = String::from_utf8(built_in()["rulesets/2026-11-01.toml"].clone()).unwrap();
    let set = set.replace("2026-11-01", "2027-01-01").replace("\"150.00\"", "\"100.00\"");
    std::fs::create_dir(folder.path().join("rulesets")).unwrap();
    std::fs::write(folder.path().join("rulesets/2027-01-01.toml"), set).unwrap();
    std::fs::write(folder.path().join("README.md"), "notes").unwrap();
    std::fs::write(folder.path().join(".hidden"), "notes").unwrap();
    let law = Law::load(Some(folder.path())).unwrap();
    assert!(law.on(day("2026-12-31")).unwrap().rule_set_name().starts_with("2026-11-01+"));
    let new = law.on(day("2027-01-01")).unwrap();
    assert!(new.rule_set_name().starts_with("2027-01-01+"));
    assert_eq!(new.edition.threshold_cents, 10_000);

    std::fs::write(folder.path().join("stopwords.csv"), "").unwrap();
    std::fs::write(folder.path().join("rulesets/soon.toml"), "").unwrap();
    let Err(LawError::Faulty(problems)) = Law::load(Some(folder.path())) else { panic!() };
    let mut names: Vec<&str> = problems.iter().map(|problem| problem.file.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["rulesets/soon.toml", "stopwords.csv"]);
    assert!(matches!(Law::load(Some(&folder.path().join("none"))), Err(LawError::Io { .. })));
}

#[test]
fn problems_name_file_line_field_and_bound() {
    let e = expect_problem;
    e("countries.csv", "AD,", "AD1,", Some(2), "country", "2 upper-case letters");
    e("countries.csv", "2021-07-01", "2021-7-1", Some(2), "valid_from", "a day");
    e("countries.csv", "2021-07-01,,", "2021-07-01,2021-06-30,", Some(2), "valid_to", "before");
    e("countries.csv", ",ISO 3166-1", ",", Some(2), "legal_ref", "may not be empty");
    e(
        "countries.csv",
        "country,name",
        "country,nom",
        Some(1),
        "",
        "the columns must be country,name",
    );
    e("reasons.csv", "REJECT", "DENY", Some(2), "severity", "REJECT, FLAG or OFF");
    for (fixed, lower) in [
        ("FIELD_MISSING,REJECT", "FIELD_MISSING,FLAG"),
        ("FIELD_FORMAT,REJECT", "FIELD_FORMAT,OFF"),
        ("LRN_CONTENT_CONFLICT,REJECT", "LRN_CONTENT_CONFLICT,FLAG"),
    ] {
        e("reasons.csv", fixed, lower, None, "severity", "must be REJECT");
    }
    e(
        "reasons.csv",
        "The {element} is missing",
        "The {field} is missing",
        Some(2),
        "sentence",
        "{field}",
    );
    e("reasons.csv", "RATE_OUTDATED,FLAG", "RATE_OLD,FLAG", None, "reason", "is no reason");
    e(
        "reasons.csv",
        "RATE_OUTDATED,FLAG",
        "RATE_OLD,FLAG",
        None,
        "reason",
        "must have a row for every day",
    );
    e("rates.csv", "USD,1.1951", "USD,0", Some(2), "per_eur", "above 0");
    e("rates.csv", "USD,1.1951", "QQQ,1.1951", Some(2), "currency", "currencies.csv");
    e("rates.csv", "JPY,132.44", "USD,132.44", Some(3), "", "same days as line 2");
    let days = "2021-07-01,2021-07-31";
    for (other, field, bound) in [
        ("2021-07-02,2021-07-31", "valid_from", "first day of a calendar month"),
        ("2021-07-01,2021-07-30", "valid_to", "last day of the calendar month"),
        ("2021-07-01,2021-08-31", "valid_to", "last day of the calendar month"),
        ("2021-07-01,2022-07-31", "valid_to", "last day of the calendar month"),
        ("2021-07-01,", "valid_to", "last day of the calendar month"),
        ("2021-07-01,2021-06-30", "valid_to", "before valid_from"),
        ("2021-07,2021-07-31", "valid_from", "a day"),
    ] {
        e("rates.csv", days, other, Some(2), field, bound);
        assert_eq!(problems("rates.csv", days, other).len(), 1, "{other}: one defect, one problem");
    }
    e("rates.csv", ",Art. 53 UCC; Art. 146 UCC-IA", ",", Some(2), "legal_ref", "may not be empty");
    e("nomenclature.csv", "010121", "10121", Some(2), "hs6", "six digits");
    e(
        "nomenclature.csv",
        ",HS Convention; Reg. 2658/87",
        ",",
        Some(2),
        "legal_ref",
        "may not be empty",
    );
    e("restrictions.csv", "GOODS_RESTRICTED", "FIELD_MISSING", None, "reason", "must be EXCISE");
    e("procedures.csv", "relief", "release", Some(2), "meaning", "must be relief");
    let set = "rulesets/2026-07-01.toml";
    e(set, "\"150.00\"", "\"150.001\"", None, "threshold.consignment_eur", "two decimals");
    e(set, "max = 999", "max = 0", None, "goods_items.max", "1 to 9999");
    e(set, "\"2026-07-01\"", "\"2026-07-02\"", None, "valid_from", "the day in the file's name");
    e(set, "[[\"F48\"]", "[[\"F99\"]", None, "procedures.allowed", "procedures.csv");
    e(set, "code = \"NL\"", "code = \"US\"", None, "member_state.code", "member_states.csv");
    e(set, "percent =", "procent =", None, "", "procent");
    e(set, "\"merchant\"", "\"seller\"", None, "product_identifiers.required", "merchant");
}

#[test]
fn all_problems_are_listed_at_once() {
    let mut files = built_in();
    files.remove("rates.csv");
    files.insert("countries.csv".into(), b"\xff\xfe".to_vec());
    files.insert("extra.csv".into(), Vec::new());
    let Err(LawError::Faulty(problems)) = Law::from_files(files) else { panic!() };
    for file in ["rates.csv", "countries.csv", "extra.csv"] {
        assert!(problems.iter().any(|problem| problem.file == file), "{file}: {problems:?}");
    }
    let shown = LawError::Faulty(problems).to_string();
    assert!(shown.contains("rates.csv: the file is missing"), "{shown}");
}

#[test]
fn severities_come_from_the_files() {
    let mut files = built_in();
    let text = String::from_utf8(files["reasons.csv"].clone()).unwrap();
    let text = text
        .replace("DISPATCH_FROM_EU,FLAG", "DISPATCH_FROM_EU,REJECT")
        .replace("DESCRIPTION_STOP_WORD,FLAG", "DESCRIPTION_STOP_WORD,OFF");
    files.insert("reasons.csv".into(), text.into_bytes());
    let law = Law::from_files(files).unwrap().on(day(super::super::tests::OLD)).unwrap();
    let mut declaration = super::super::tests::sale(super::super::tests::OLD);
    declaration.exporter.country = "DE";
    declaration.goods_items[0].description = "Clothes";
    let judged = super::super::tests::judge_with(
        &law,
        &super::super::tests::lodger(),
        &declaration,
        Default::default(),
    );
    let seen: Vec<_> = judged.seen.iter().map(|seen| (seen.0.name(), seen.1)).collect();
    assert_eq!(seen, [("DISPATCH_FROM_EU", 'R')]);
}

#[test]
fn prefixes_of_both_sanctions_and_restrictions_are_checked() {
    let problems = problems("sanctions_goods.csv", "7102", "710");
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].field, "hs_prefix");
}
