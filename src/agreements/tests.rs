#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::store::check;
use super::*;
use crate::book::{Recorder, StoreError};
use crate::day::{Day, Moment};
use crate::id::Watermark;
use crate::summary::{ActorId, Role};

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn draft() -> Draft {
    Draft {
        role: Role::Declarant,
        actor: ActorId::parse(Role::Declarant, "NL810000003").unwrap(),
        indicator: "rejection_rate".into(),
        direction: Direction::LowerIsBetter,
        target: 0.02,
        start: day("2026-11-01"),
        deadline: day("2026-12-01"),
        review_interval_days: 7,
        window_days: 14,
        n_min: 100,
        note: "as agreed in \"the\" meeting\n".into(),
    }
}

fn baseline(numerator: u64, denominator: u64) -> Baseline {
    let (first, last) = (day("2026-10-01"), day("2026-10-31"));
    Baseline { numerator, denominator, first, last, source: Source::Computed(Watermark(77)) }
}

fn terms() -> Terms {
    draft().agreed(baseline(100, 1_000)).unwrap()
}

fn recorder(day: &str) -> Recorder {
    Recorder { by: "analyst".into(), at: Moment(1_793_876_400_000), on: self::day(day) }
}

#[test]
fn terms_are_within_their_bounds() {
    type Change = fn(&mut Draft);
    let wrong: [(&str, Change); 13] = [
        ("actor.id", |d| d.actor = ActorId::other()),
        ("indicator", |d| d.indicator = "threshold_bunching".into()),
        ("target", |d| d.target = 0.1),
        ("target", |d| d.target = -0.01),
        ("target", |d| d.target = f64::NAN),
        ("target", |d| d.direction = Direction::HigherIsBetter),
        ("review_interval_days", |d| d.review_interval_days = 0),
        ("review_interval_days", |d| d.review_interval_days = 367),
        ("window_days", |d| d.window_days = 367),
        ("n_min", |d| d.n_min = 0),
        ("baseline.denominator", |d| d.n_min = 1_001),
        ("deadline_day", |d| d.deadline = d.start),
        ("note", |d| d.note = "x".repeat(NOTE_BYTES_MAX + 1)),
    ];
    for (field, change) in wrong {
        let mut draft = draft();
        change(&mut draft);
        let error = draft.agreed(baseline(100, 1_000)).unwrap_err();
        assert_eq!(error.field, field, "{error}");
    }
    let last = Draft { deadline: Day(day("2026-11-01").0 + 1_830), ..draft() };
    assert!(last.clone().agreed(baseline(100, 1_000)).is_ok());
    let later = Draft { deadline: last.deadline.next(), ..last };
    assert_eq!(later.agreed(baseline(100, 1_000)).unwrap_err().field, "deadline_day");
    assert_eq!(draft().agreed(baseline(2, 1)).unwrap_err().field, "baseline.numerator");
    let turned = Baseline { first: day("2026-11-01"), ..baseline(100, 1_000) };
    assert_eq!(draft().agreed(turned).unwrap_err().field, "baseline.period.last_day");
    assert_eq!(draft().days_before(), (day("2026-10-18"), day("2026-10-31")));
}

/// DOMAIN 5.4, written out once more for lower is better.
fn model(terms: &Terms, k: u64, n: u64, g: f64, is_past: bool) -> Verdict {
    let p1 = terms.target;
    let z = 1.96_f64;
    let (kf, nf) = (k as f64, n as f64);
    let p = kf / nf;
    let scale = 1.0 + z * z / nf;
    let half = z * (p * (1.0 - p) / nf + z * z / (4.0 * nf * nf)).sqrt() / scale;
    let centre = (p + z * z / (2.0 * nf)) / scale;
    let (lo, hi) = (centre - half, centre + half);
    match () {
        () if n < terms.n_min => Verdict::InsufficientData,
        () if hi <= p1 => Verdict::Met,
        () if is_past && lo > p1 => Verdict::Missed,
        () if lo > g => Verdict::AtRisk,
        () if hi <= g => Verdict::OnTrack,
        () => Verdict::Inconclusive,
    }
}

proptest! {
    #[test]
    fn verdicts_are_those_of_the_model(
        n in 0_u64..3_000,
        share in 0.0..0.2_f64,
        g in 0.02..0.1_f64,
        is_past: bool,
    ) {
        let k = (n as f64 * share) as u64;
        let terms = terms();
        let expected = model(&terms, k, n, g, is_past);
        prop_assert_eq!(verdict(&terms, (k, n), g, is_past), expected, "{} of {}", k, n);
        // The same seen from the other side: hits and misses, and all levels, change places.
        let mirrored = Draft {
            direction: Direction::HigherIsBetter,
            target: 1.0 - terms.target,
            ..(*terms).clone()
        };
        let mirrored = mirrored.agreed(baseline(900, 1_000)).unwrap();
        // Rounding decides where the interval ends on the level to the last bit: not drawn here.
        prop_assert_eq!(verdict(&mirrored, (n - k, n), 1.0 - g, is_past), expected);
    }

    /// Each boundary is met with equality on the side that the formula says.
    #[test]
    fn boundaries_belong_to_the_better_verdict(k in 0_u64..60, n in 100_u64..2_000, is_past: bool) {
        prop_assume!(k <= n);
        let (low, high) = crate::statistics::wilson_95(k, n).unwrap();
        prop_assume!(low > 0.0 && high < 0.9);
        let of = |target: f64, g: f64| {
            let draft = Draft { target, ..draft() };
            verdict(&draft.agreed(baseline(999, 1_000)).unwrap(), (k, n), g, is_past)
        };
        prop_assert_eq!(of(high, 0.95), Verdict::Met);
        // One bit below, it is not met yet.
        prop_assert_eq!(of(high.next_down(), high), Verdict::OnTrack);
        prop_assert_eq!(of(low, low), Verdict::Inconclusive, "lo > g is false where they are equal");
        let below = of(low.next_down(), low.next_down());
        prop_assert_eq!(below, if is_past { Verdict::Missed } else { Verdict::AtRisk });
    }
}

#[test]
fn the_glide_path_goes_straight_from_baseline_to_target() {
    let terms = terms();
    for (day, expected) in [
        ("2026-10-01", 0.1),
        ("2026-11-01", 0.1),
        ("2026-11-16", 0.06),
        ("2026-11-25", 0.036),
        ("2026-12-01", 0.02),
        ("2027-01-01", 0.02),
    ] {
        assert!((glide(&terms, self::day(day)) - expected).abs() < 1e-12, "{day}");
    }
}

#[test]
fn reviews_come_when_they_are_due_and_count_their_windows() {
    let terms = terms();
    let days: BTreeMap<Day, DayFigure> =
        (0..120).map(|n| (Day(day("2026-10-01").0 + n), (5, 100))).collect();
    let of = |today: &str| review(&terms, &days, day(today), day(today));
    assert_eq!(of("2026-11-07").reviews, []);
    assert_eq!(of("2026-11-07").next_review, Some(day("2026-11-08")));
    let found = of("2026-11-08").reviews;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].window, (day("2026-10-26"), day("2026-11-08")));
    assert_eq!((found[0].figure.numerator, found[0].figure.denominator), (70, 1_400));
    assert!(found[0].is_provisional && !of("2026-11-09").reviews[0].is_provisional);
    // 5 %, [4 %, 6.3 %]: below the path of 8.1 %; then not; past the deadline it is missed.
    let dates: Vec<_> =
        of("2027-03-01").reviews.iter().map(|r| (r.day.to_string(), r.verdict)).collect();
    let expected = [
        ("2026-11-08", Verdict::OnTrack),
        ("2026-11-15", Verdict::Inconclusive),
        ("2026-11-22", Verdict::Inconclusive),
        ("2026-11-29", Verdict::AtRisk),
        ("2026-12-01", Verdict::Missed),
        ("2026-12-08", Verdict::Missed),
        ("2026-12-15", Verdict::Missed),
    ];
    assert_eq!(dates, expected.map(|(day, verdict)| (day.to_owned(), verdict)));
    assert_eq!(of("2027-03-01").next_review, None);
    // The deadline is past when its day is over.
    assert_eq!(of("2026-12-01").reviews[4].verdict, Verdict::AtRisk);
    assert_eq!(of("2026-12-02").reviews[4].verdict, Verdict::Missed);
    assert_eq!(days_needed(&terms, day("2026-11-20")), (day("2026-10-26"), day("2026-11-20")));
    assert_eq!(days_needed(&terms, day("2030-01-01")).1, day("2026-12-15"));
    // Fewer than n_min.
    let few = BTreeMap::from([(day("2026-11-02"), (1, 99))]);
    let found = review(&terms, &few, day("2026-11-08"), day("2026-11-08"));
    assert_eq!(found.reviews[0].verdict, Verdict::InsufficientData);
    let none = review(&terms, &BTreeMap::new(), day("2026-11-08"), day("2026-11-08"));
    assert_eq!(none.reviews[0].figure.interval, None);
}

#[test]
fn the_cusum_runs_over_days_with_their_share_of_n_min() {
    let terms = terms();
    let start = day("2026-11-01").0;
    let mut days: BTreeMap<Day, DayFigure> = (0..10).map(|n| (Day(start + n), (20, 100))).collect();
    days.insert(Day(start - 1), (100, 100));
    days.insert(Day(start + 3), (7, 7));
    days.insert(Day(start + 4), (0, 0));
    let found = review(&terms, &days, Day(start + 8), Day(start + 8));
    assert!((found.allowance - 0.04).abs() < 1e-12);
    assert_eq!(found.day_n_min, 8);
    assert_eq!(found.days.len(), 8, "from the start, to today, without days of nothing");
    assert_eq!(found.days[3].cusum, None, "7 are fewer than 100 / 14, rounded up");
    // C grows by 0.2 - 0.1 - 0.04 a day; h = 5 √(0.09 / 100) = 0.15.
    let alarms: Vec<_> =
        found.days.iter().filter_map(|day| day.cusum).map(|point| point.is_alarm).collect();
    assert_eq!(alarms, [false, false, true, true, true, true, true]);
    // Where higher is better the same figures are no harm, and their mirror is.
    let higher = Draft { direction: Direction::HigherIsBetter, target: 0.98, ..draft() };
    let higher = higher.agreed(baseline(900, 1_000)).unwrap();
    let mirrored: BTreeMap<_, _> = days.iter().map(|(day, (k, n))| (*day, (n - k, *n))).collect();
    let sums = |progress: Progress| -> Vec<f64> {
        progress.days.iter().filter_map(|day| day.cusum).map(|point| point.sum).collect()
    };
    let until = Day(start + 8);
    let same = sums(review(&higher, &mirrored, until, until));
    for (a, b) in sums(found).iter().zip(&same) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }
}

#[test]
fn versions_follow_one_another_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let first = store.record(terms(), recorder("2026-11-01")).unwrap();
    assert_eq!((first.id.to_string(), first.newest.number), ("A1".into(), 1));
    // The same again is there already.
    let again = store.record(terms(), recorder("2026-11-01"));
    assert!(matches!(again, Err(RecordError::Overlaps { other, .. }) if other == first.id));
    let tighter = Draft { target: 0.012_345_678_901_234_567, ..draft() };
    let tighter = tighter.agreed(baseline(99, 1_000)).unwrap();
    let second = store.change(first.id, 1, tighter.clone(), recorder("2026-11-02")).unwrap();
    assert_eq!((second.newest.number, second.earlier.len()), (2, 1));
    let late = store.change(first.id, 1, terms(), recorder("2026-11-02"));
    assert!(matches!(late, Err(RecordError::Replaced { newest: 2, replaces: 1, .. })));
    let other = Draft { indicator: "gift_rate".into(), ..draft() };
    let other = other.agreed(baseline(100, 1_000)).unwrap();
    let elsewhere = store.change(first.id, 2, other.clone(), recorder("2026-11-02"));
    assert!(matches!(elsewhere, Err(RecordError::Wrong(Wrong { field: "indicator", .. }))));
    let third = store.record(other, recorder("2026-11-03")).unwrap();
    assert_eq!(third.id.to_string(), "A2");
    let gone = store.withdraw(third.id, 1, "a mistake".into(), recorder("2026-11-09")).unwrap();
    assert_eq!(gone.state(day("2026-11-05")), State::Withdrawn);
    assert_eq!(gone.reviewed_until(day("2026-12-05")), day("2026-11-09"));
    let more = store.withdraw(third.id, 2, String::new(), recorder("2026-11-09"));
    assert!(matches!(more, Err(RecordError::Withdrawn(_))));
    let none =
        store.withdraw(AgreementId::parse("A3").unwrap(), 1, String::new(), recorder("2026-11-09"));
    assert!(matches!(none, Err(RecordError::Unknown(_))));

    let all = store.list(None, |_| true);
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.list(None, |_| true), all);
    assert_eq!(store.get(first.id).unwrap().newest.terms, tighter, "to the last bit");
    assert_eq!(store.list(Some(first.id), |_| true).len(), 1);
    let found = check(&BOOK.path_in(folder.path())).unwrap();
    assert_eq!((found.things, found.versions, found.torn_bytes), (2, 4, 0));
    for text in ["", "A", "A0", "A01", "1", "a1", "A-1", "A4294967296"] {
        assert_eq!(AgreementId::parse(text), None, "{text}");
    }
}

#[test]
fn of_those_who_change_one_at_a_time_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let id = store.record(terms(), recorder("2026-11-01")).unwrap().id;
    for version in 1..=10 {
        let change = || store.change(id, version, terms(), recorder("2026-11-02")).is_ok();
        let succeeded = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(change)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).filter(|ok| *ok).count()
        });
        assert_eq!(succeeded, 1, "version {version}");
    }
    drop(store);
    assert_eq!(Store::open(folder.path()).unwrap().get(id).unwrap().newest.number, 11);
}

#[test]
fn a_torn_end_is_cut_off_and_every_changed_byte_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = BOOK.path_in(folder.path());
    let store = Store::open(folder.path()).unwrap();
    let id = store.record(terms(), recorder("2026-11-01")).unwrap().id;
    store.change(id, 1, terms(), recorder("2026-11-02")).unwrap();
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [first, first + 1, first + 100, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.get(id).unwrap().newest.number, 1, "cut at {cut}");
        // What was cut off is not in the way of what comes.
        store.change(id, 1, terms(), recorder("2026-11-02")).unwrap();
        drop(store);
        assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
    }
    for at in 0..whole.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut other = whole.clone();
            other[at] ^= bit;
            std::fs::write(&path, &other).unwrap();
            let error = check(&path).unwrap_err();
            let line = if at < first { 1 } else { 2 };
            match &error {
                StoreError::Damaged { line: told, .. } => assert_eq!(*told, line, "byte {at}"),
                other => panic!("byte {at}: {other}"),
            }
            assert!(error.to_string().contains("agreements.jsonl, line"), "{error}");
        }
        assert!(Store::open(folder.path()).is_err());
        assert_ne!(std::fs::read(&path).unwrap(), whole, "nothing is mended");
    }
    // Lines that are whole, and not in their order.
    let (one, two) = whole.split_at(first);
    for text in [[two, one].concat(), [one, one].concat(), two.to_vec()] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(check(&path), Err(StoreError::Damaged { .. })));
    }
}

#[test]
fn a_newer_format_is_refused_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = BOOK.path_in(folder.path());
    std::fs::create_dir(folder.path().join(BOOK.folder)).unwrap();
    let body = "{\"format\":2,\"what\":\"else\"";
    let crc = crc32c::crc32c(body.as_bytes());
    std::fs::write(&path, format!("{body},\"crc32c\":\"{crc:08x}\"}}\n")).unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, newest: 1, line: 1, .. }), "{error}");
}
