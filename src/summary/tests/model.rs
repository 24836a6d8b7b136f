//! The fold does what a plain model does, whenever it stops, checkpoints, closes or reopens.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// One declaration of a random batch.
#[derive(Debug, Clone)]
struct Lodged {
    outcome: Outcome,
    number: Option<u32>,
    reference: Option<u32>,
    facts: Facts,
    reasons: Vec<Reason>,
}

#[derive(Debug, Clone)]
enum Step {
    Batch {
        day: u16,
        declarant: u32,
        representative: Option<u32>,
        declarations: Vec<Lodged>,
    },
    ActorsMax(u32),
    OtherRecord,
    Checkpoint,
    CloseDays(u16),
    /// A checkpoint beside the fold, step by step.
    Begin,
    Write,
    End,
    Stop,
}

fn any_lodged() -> impl Strategy<Value = Lodged> {
    let outcome = prop_oneof![
        5 => Just(Outcome::Accepted),
        2 => Just(Outcome::Rejected),
        2 => Just(Outcome::Replayed),
        1 => Just(Outcome::Conflict),
    ];
    let reasons = prop::sample::select(Reason::ALL);
    let amounts = (0..20_000_u64, 0..9_u64, 0..50_000_000_u64, 1..6_u32, 0..6_u32);
    let chapters = prop::collection::btree_map(0..100_u8, 1..9_u16, 0..7);
    const DELAYS_FOUND: [Delay; 5] =
        [Delay::Hour, Delay::Hours4, Delay::Hours24, Delay::Hours72, Delay::Days7];
    let fallback = (prop::option::of(0..4_u32), prop::sample::select(&DELAYS_FOUND[..]));
    let parts = (0..3_u32, 0..3_u32, any::<[bool; 3]>(), chapters, fallback);
    let reasons = prop::collection::vec(reasons, 0..4);
    (outcome, prop::option::of(0..6_u32), amounts, parts, reasons).prop_map(
        |(outcome, number, (value, duty, mass, lines, f48), parts, reasons)| {
            let (part, other_part, [gift, free_transport, ioss_hit], chapters, fallback) = parts;
            let (reference, delay) = fallback;
            // What comes of findings comes with findings.
            let found = !reasons.is_empty();
            let if_found = |number: u32| if found { number } else { 0 };
            let facts = Facts {
                intrinsic_value: value,
                duty,
                gross_mass_mg: mass,
                restricted_chapters: chapters.into_iter().filter(|_| found).collect(),
                lines,
                valued_lines: part as u16,
                round_lines: other_part as u16,
                below_eur_1_lines: part as u16,
                below_eur_5_per_kg_lines: other_part as u16,
                implausible_mass_lines: part as u16,
                distinct_hs6: part as u16,
                hs6_lines: lines as u16,
                other_hs6_lines: other_part as u16,
                described_lines: lines as u16,
                several_goods_lines: part as u16,
                origin_lines: lines as u16,
                origin_differs_lines: other_part as u16,
                f48_lines: f48,
                vague_lines: if_found(part),
                mismatch_lines: if_found(other_part),
                restricted_lines: if_found(part),
                gift,
                free_transport,
                ioss_hit: ioss_hit && found,
                // One has a moment that is none.
                delay: reference.filter(|n| *n > 0).map(|_| delay),
            };
            Lodged { outcome, number, reference, facts, reasons }
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let declarations = prop::collection::vec(any_lodged(), 0..5);
    let who = (0..6_u16, 0..5_u32, prop::option::of(0..5_u32));
    prop_oneof![
        12 => (who, declarations).prop_map(|((day, declarant, representative), declarations)| {
            Step::Batch { day, declarant, representative, declarations }
        }),
        1 => (0..7_u32).prop_map(Step::ActorsMax),
        1 => Just(Step::OtherRecord),
        2 => Just(Step::Checkpoint),
        2 => (0..9_u16).prop_map(Step::CloseDays),
        4 => Just(Step::Begin),
        4 => Just(Step::Write),
        4 => Just(Step::End),
        1 => Just(Step::Stop),
    ]
}

/// Figures by name; those that are 0 are absent.
type Figures = BTreeMap<String, u64>;

/// The model: everything by name, in one map.
#[derive(Default)]
struct Model {
    figures: BTreeMap<(Role, String, Day), Figures>,
    known: BTreeSet<(Role, String)>,
    /// By declarant, reference and day.
    referred: BTreeMap<(String, String, Day), Figures>,
    /// Those that are known, `(other)` of each declarant included.
    references: BTreeSet<(String, String)>,
    actors_max: Option<usize>,
}

fn reference(n: u32) -> FallbackReference {
    // Two of the same beginning, and one that is not ASCII.
    let text = ["outage", "outage 2", "\u{e9}t\u{e9}", "O"][n as usize];
    FallbackReference::parse(text).unwrap()
}

impl Model {
    fn batch(&mut self, on: Day, declarant: u32, representative: Option<u32>, all: &[Lodged]) {
        for lodged in all {
            let mut roles = vec![(Role::Declarant, eori(declarant).to_string())];
            roles.extend(representative.map(|n| (Role::Representative, eori(n).to_string())));
            roles.extend(lodged.number.map(|n| (Role::IossHolder, ioss(n).to_string())));
            for (role, id) in roles {
                let id = self.admit(role, id);
                let figures = self.figures.entry((role, id, on)).or_default();
                for (name, more) in contribution(lodged) {
                    *figures.entry(name).or_default() += more;
                }
                figures.retain(|_, figure| *figure != 0);
            }
            let Some(n) = lodged.reference else { continue };
            let declarant = self.admit(Role::Declarant, eori(declarant).to_string());
            let reference = self.admit_reference(&declarant, reference(n).as_str());
            let figures = self.referred.entry((declarant, reference, on)).or_default();
            for (name, more) in
                contribution(lodged).into_iter().filter(|(name, _)| is_referred(name))
            {
                *figures.entry(name).or_default() += more;
            }
            figures.retain(|_, figure| *figure != 0);
        }
    }

    fn admit_reference(&mut self, declarant: &str, reference: &str) -> String {
        if declarant == OTHER {
            return OTHER.to_owned();
        }
        let key = (declarant.to_owned(), reference.to_owned());
        let own = self.references.iter().filter(|(of, _)| of == declarant).count();
        let has_room = own + self.references.len() < self.actors_max.unwrap_or(100_000);
        if self.references.contains(&key) || has_room {
            self.references.insert(key);
            return reference.to_owned();
        }
        self.references.insert((declarant.to_owned(), OTHER.to_owned()));
        OTHER.to_owned()
    }

    fn admit(&mut self, role: Role, id: String) -> String {
        let known = self.known.iter().filter(|(other, _)| *other == role).count();
        let actors_max = self.actors_max.unwrap_or(100_000);
        if self.known.contains(&(role, id.clone())) || known < actors_max {
            self.known.insert((role, id.clone()));
            id
        } else {
            "(other)".to_owned()
        }
    }
}

fn is_referred(name: &str) -> bool {
    let plain =
        ["accepted", "rejected", "replayed", "conflicts", "accepted_lines", "intrinsic_value"];
    plain.contains(&name) || name.starts_with("delay ")
}

fn contribution(lodged: &Lodged) -> Vec<(String, u64)> {
    let f = &lodged.facts;
    let mut all: Vec<(&str, u64)> = Vec::new();
    match lodged.outcome {
        Outcome::Replayed => return vec![("replayed".to_owned(), 1)],
        Outcome::Rejected => all.extend([("rejected", 1), ("rejected_lines", f.lines.into())]),
        Outcome::Conflict => all.extend([("conflicts", 1), ("conflict_lines", f.lines.into())]),
        Outcome::Accepted => {
            let non_ioss = u64::from(f.f48_lines == 0);
            all.extend([
                ("accepted", 1),
                ("accepted_lines", f.lines.into()),
                ("intrinsic_value", f.intrinsic_value),
                ("gross_mass_mg", f.gross_mass_mg),
                ("duty", f.duty),
                ("valued_lines", f.valued_lines.into()),
                ("round_lines", f.round_lines.into()),
                ("below_eur_1_lines", f.below_eur_1_lines.into()),
                ("below_eur_5_per_kg_lines", f.below_eur_5_per_kg_lines.into()),
                ("implausible_mass_lines", f.implausible_mass_lines.into()),
                ("hs6_declarations", u64::from(f.distinct_hs6 > 0)),
                ("distinct_hs6", f.distinct_hs6.into()),
                ("hs6_lines", f.hs6_lines.into()),
                ("other_hs6_lines", f.other_hs6_lines.into()),
                ("described_lines", f.described_lines.into()),
                ("several_goods_lines", f.several_goods_lines.into()),
                ("origin_lines", f.origin_lines.into()),
                ("origin_differs_lines", f.origin_differs_lines.into()),
                ("gifts", f.gift.into()),
                ("non_ioss", non_ioss),
                ("non_ioss_free_transport", non_ioss * u64::from(f.free_transport)),
            ]);
        }
    }
    all.extend([
        ("f48_lines", f.f48_lines.into()),
        ("ioss_hit_lines", if f.ioss_hit { f.f48_lines.into() } else { 0 }),
        ("vague_lines", f.vague_lines.into()),
        ("mismatch_lines", f.mismatch_lines.into()),
        ("restricted_lines", f.restricted_lines.into()),
    ]);
    let mut all: Vec<_> = all.into_iter().map(|(name, more)| (name.to_owned(), more)).collect();
    all.extend(f.delay.map(|delay| (format!("delay {}", delay as usize), 1)));
    if lodged.outcome == Outcome::Accepted {
        let euros = f.intrinsic_value.div_ceil(100).clamp(1, 155);
        all.push((format!("bucket {}", (euros - 1) / 5), 1));
    }
    for reason in lodged.reasons.iter().collect::<BTreeSet<_>>() {
        let findings = lodged.reasons.iter().filter(|other| *other == reason).count();
        all.push((format!("{reason} declarations"), 1));
        all.push((format!("{reason} findings"), findings as u64));
    }
    for (chapter, lines) in &f.restricted_chapters {
        all.push((format!("chapter {chapter}"), u64::from(*lines)));
    }
    all
}

fn named(c: &Counters) -> Figures {
    let mut all: Vec<(String, u64)> = [
        ("accepted", c.accepted),
        ("accepted_lines", c.accepted_lines),
        ("intrinsic_value", c.intrinsic_value),
        ("gross_mass_mg", c.gross_mass_mg),
        ("duty", c.duty),
        ("valued_lines", c.valued_lines),
        ("round_lines", c.round_lines),
        ("below_eur_1_lines", c.below_eur_1_lines),
        ("below_eur_5_per_kg_lines", c.below_eur_5_per_kg_lines),
        ("implausible_mass_lines", c.implausible_mass_lines),
        ("hs6_declarations", c.hs6_declarations),
        ("distinct_hs6", c.distinct_hs6),
        ("hs6_lines", c.hs6_lines),
        ("other_hs6_lines", c.other_hs6_lines),
        ("described_lines", c.described_lines),
        ("several_goods_lines", c.several_goods_lines),
        ("origin_lines", c.origin_lines),
        ("origin_differs_lines", c.origin_differs_lines),
        ("gifts", c.gifts),
        ("non_ioss", c.non_ioss),
        ("non_ioss_free_transport", c.non_ioss_free_transport),
        ("f48_lines", c.f48_lines),
        ("ioss_hit_lines", c.ioss_hit_lines),
        ("vague_lines", c.vague_lines),
        ("mismatch_lines", c.mismatch_lines),
        ("restricted_lines", c.restricted_lines),
        ("rejected", c.rejected),
        ("rejected_lines", c.rejected_lines),
        ("replayed", c.replayed),
        ("conflicts", c.conflicts),
        ("conflict_lines", c.conflict_lines),
    ]
    .map(|(name, figure)| (name.to_owned(), figure))
    .into();
    let buckets = c.value_histogram.iter().enumerate();
    all.extend(buckets.map(|(n, count)| (format!("bucket {n}"), *count)));
    all.extend(c.delays.iter().enumerate().map(|(n, count)| (format!("delay {n}"), *count)));
    for count in c.reasons() {
        all.push((format!("{} declarations", count.reason), count.declarations));
        all.push((format!("{} findings", count.reason), count.findings));
    }
    let chapters = c.restricted_chapters().iter();
    all.extend(chapters.map(|(chapter, count)| (format!("chapter {chapter}"), *count)));
    all.into_iter().filter(|(_, figure)| *figure != 0).collect()
}

fn event(step: &Step) -> Option<Event> {
    match step {
        Step::Batch { day: on, declarant, representative, declarations } => {
            let mut delta = Delta::new(day(*on), eori(*declarant), representative.map(eori));
            for lodged in declarations {
                let findings: Vec<_> = lodged.reasons.iter().map(|r| finding(*r)).collect();
                delta.add(lodged.outcome, &lodged.facts, &findings, lodged.number.map(ioss));
                if let Some(n) = lodged.reference {
                    delta.refer(lodged.outcome, &lodged.facts, &reference(n));
                }
            }
            Some(Event::Batch(delta))
        }
        Step::ActorsMax(most) => Some(Event::ActorsMax(*most)),
        Step::OtherRecord => Some(Event::Other),
        Step::Checkpoint | Step::CloseDays(_) => None,
        Step::Begin | Step::Write | Step::End | Step::Stop => None,
    }
}

/// The checkpoint that is under way, if one is.
#[derive(Default)]
struct Beside {
    begun: Option<(Checkpoint, u64)>,
    written: Option<Checkpointed>,
}

impl Beside {
    fn begin(&mut self, kept: &mut Kept) {
        let watermark = kept.fold().watermark().0;
        if let Some(checkpoint) = kept.fold().begin_checkpoint().unwrap() {
            assert!(self.begun.is_none() && self.written.is_none(), "two at once");
            self.begun = Some((checkpoint, watermark));
        }
    }

    /// From here on it is what a stop leaves, ended or not.
    fn write(&mut self, checkpointed: &mut Option<u64>) {
        if let Some((checkpoint, watermark)) = self.begun.take() {
            self.written = Some(checkpoint.write().unwrap());
            *checkpointed = Some(watermark);
        }
    }

    fn end(&mut self, kept: &mut Kept) {
        if let Some(written) = self.written.take() {
            kept.fold().end_checkpoint(written);
        }
    }
}

fn ranking(role: Role, page_size: usize) -> ListQuery {
    ListQuery { role, period: Period::default(), order: Order::Lines, after: None, page_size }
}

proptest! {
    // Each case opens a catalog a few times, with its syncs.
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_is_the_model_whatever_happens_between(
        steps in prop::collection::vec(any_step(), 1..40)
    ) {
        let mut model = Model::default();
        let mut journal = Journal::new();
        let mut kept = Kept::new();
        let mut checkpointed = None;
        let mut beside = Beside::default();
        for step in &steps {
            if matches!(step, Step::Checkpoint | Step::CloseDays(_)) {
                // Whoever makes one at once has no other under way.
                beside.write(&mut checkpointed);
                beside.end(&mut kept);
            }
            match step {
                Step::Batch { day: on, declarant, representative, declarations } => {
                    model.batch(day(*on), *declarant, *representative, declarations);
                }
                Step::ActorsMax(most) => model.actors_max = Some(*most as usize),
                Step::OtherRecord => {}
                Step::Checkpoint => {
                    kept.checkpoint();
                    checkpointed = Some(journal.len() as u64);
                }
                Step::CloseDays(newest) => {
                    // Closing makes a checkpoint, where there is a day to close.
                    if kept.close_before(day(*newest)) > 0 {
                        checkpointed = Some(journal.len() as u64);
                    }
                }
                Step::Begin => beside.begin(&mut kept),
                Step::Write => beside.write(&mut checkpointed),
                Step::End => beside.end(&mut kept),
                Step::Stop => {
                    beside = Beside::default();
                    let opened = kept.reopen(&journal);
                    prop_assert_eq!(opened.watermark, Watermark(checkpointed.unwrap_or(0)));
                    let reason = opened.rebuilt_because;
                    prop_assert_eq!(reason.is_none(), checkpointed.is_some(), "{:?}", reason);
                }
            }
            journal.extend(event(step));
            kept.apply(&journal);
            // So that rankings have read days before they are closed again.
            kept.board().list(&ranking(Role::IossHolder, 1)).unwrap();
        }

        beside.write(&mut checkpointed);
        beside.end(&mut kept);

        // Each actor's every day, and all of its days together.
        let mut periods: BTreeMap<(Role, String), Figures> = BTreeMap::new();
        for ((role, id, on), figures) in &model.figures {
            let actor = ActorId::parse(*role, id).unwrap();
            let only = Period { first: Some(*on), last: Some(*on) };
            let (summary, watermark) = kept.board().summary(*role, &actor, only).unwrap();
            prop_assert_eq!(watermark, Watermark(journal.len() as u64));
            prop_assert_eq!(&named(&summary.unwrap().counters), figures);
            let all = periods.entry((*role, id.clone())).or_default();
            for (name, figure) in figures {
                *all.entry(name.clone()).or_default() += figure;
            }
        }
        for role in Role::ALL {
            let query = ListQuery {
                role, period: Period::default(), order: Order::Id, after: None, page_size: 100,
            };
            let page = kept.board().list(&query).unwrap();
            let listed: BTreeMap<_, _> = page.summaries.iter()
                .map(|summary| ((role, summary.id.to_string()), named(&summary.counters)))
                .collect();
            let expected: BTreeMap<_, _> = periods.clone().into_iter()
                .filter(|((other, _), _)| *other == role)
                .collect();
            prop_assert_eq!(&listed, &expected);

            let mut ranked = Vec::new();
            let mut query = ranking(role, 2);
            loop {
                let page = kept.board().list(&query).unwrap();
                ranked.extend(page.summaries);
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
            let rank = |summary: &Summary| (Reverse(summary.counters.accepted_lines), summary.id);
            prop_assert!(ranked.is_sorted_by_key(rank));
            let ranked: Vec<_> = ranked.iter()
                .map(|summary| ((role, summary.id.to_string()), named(&summary.counters)))
                .collect();
            prop_assert_eq!(ranked.len(), expected.len());
            prop_assert_eq!(ranked.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }

        // Each declarant's references by day and together, in pages of 2.
        let mut declarants: BTreeMap<String, BTreeMap<String, Figures>> = BTreeMap::new();
        for ((declarant, reference, on), figures) in &model.referred {
            let only = Period { first: Some(*on), last: Some(*on) };
            let found = references(&kept, declarant, Some(reference), only);
            prop_assert_eq!(found, BTreeMap::from([(reference.clone(), figures.clone())]));
            let of_declarant = declarants.entry(declarant.clone()).or_default();
            let all = of_declarant.entry(reference.clone()).or_default();
            for (name, figure) in figures {
                *all.entry(name.clone()).or_default() += figure;
            }
        }
        for (declarant, expected) in declarants {
            prop_assert_eq!(references(&kept, &declarant, None, Period::default()), expected);
        }

        // Bit for bit what a fold gives that neither stopped nor closed anything.
        let mut straight = Kept::with(&journal);
        prop_assert_eq!(kept.digest(), straight.digest());
        kept.fold().verify_day_files().unwrap();
    }
}

/// All of a declarant's, by reference.
fn references(
    kept: &Kept,
    declarant: &str,
    reference: Option<&String>,
    period: Period,
) -> BTreeMap<String, Figures> {
    let declarant = ActorId::parse(Role::Declarant, declarant).unwrap();
    let (reference, after) = (reference.cloned(), None);
    let mut query = ReconciliationsQuery { declarant, reference, period, after, page_size: 2 };
    let mut all = BTreeMap::new();
    loop {
        let page = kept.board().reconciliations(&query).unwrap().0.unwrap();
        assert!(page.of.len() <= 2 && page.of.is_sorted_by(|a, b| a.reference < b.reference));
        for one in page.of {
            assert!(!one.counters.is_empty());
            let before = all.insert(one.reference.clone(), named(&one.counters));
            assert_eq!(before, None, "{} comes twice", one.reference);
        }
        let Some(next) = page.next else { return all };
        query.after = Some(next);
    }
}

#[test]
fn a_replay_changes_the_count_of_replays_alone() {
    let mut delta = Delta::new(day(0), eori(1), Some(eori(2)));
    let facts = Facts { lines: 3, intrinsic_value: 5, vague_lines: 1, ..Facts::default() };
    delta.add(Outcome::Replayed, &facts, &[finding(Reason::DescriptionStopWord)], Some(ioss(1)));
    let kept = Kept::with(&vec![Event::Batch(delta)]);
    for (role, id) in [
        (Role::Declarant, id_of(1)),
        (Role::Representative, id_of(2)),
        (Role::IossHolder, ioss(1).into()),
    ] {
        let (summary, _) = kept.board().summary(role, &id, Period::default()).unwrap();
        let expected = Counters { replayed: 1, ..Counters::default() };
        assert_eq!(summary.unwrap().counters, expected, "{role:?}");
    }
}

#[test]
fn an_empty_batch_makes_no_actor_and_opens_no_day() {
    let empty = Event::Batch(Delta::new(day(0), eori(1), None));
    let mut kept = Kept::with(&vec![empty.clone(), batch(day(3), 2, 1, None)]);
    let (summary, watermark) =
        kept.board().summary(Role::Declarant, &id_of(1), Period::default()).unwrap();
    assert_eq!((summary, watermark), (None, Watermark(2)));
    assert_eq!(kept.close_before(day(4)), 0);
    // Nor does it reopen one.
    assert_eq!(kept.close_before(day(5)), 1);
    kept.fold().apply(Watermark(3), &Event::Batch(Delta::new(day(3), eori(1), None))).unwrap();
    assert_eq!(kept.close_before(day(9)), 0);
}

#[test]
fn records_are_folded_in_order_and_once() {
    let mut kept = Kept::with(&vec![Event::Other]);
    for wrong in [0, 1, 3] {
        let error = kept.fold().apply(Watermark(wrong), &Event::Other).unwrap_err();
        assert!(matches!(error, FoldError::OutOfOrder { .. }), "{error}");
    }
    kept.fold().apply(Watermark(2), &Event::Other).unwrap();
    assert_eq!(kept.board().watermark(), Watermark(2));
}

#[test]
fn past_actors_max_new_ids_are_summed_as_other() {
    let journal = vec![
        Event::ActorsMax(2),
        batch(day(0), 1, 1, Some(7)),
        batch(day(0), 2, 1, Some(7)),
        batch(day(0), 3, 10, Some(7)),
        batch(day(1), 4, 20, Some(7)),
        // Counted over all days; who was known stays known.
        batch(day(1), 1, 5, Some(7)),
        Event::ActorsMax(3),
        // From here on number 3 has figures of its own.
        batch(day(1), 3, 100, Some(7)),
    ];
    let mut kept = Kept::with(&journal);
    let accepted = |kept: &Kept, id: ActorId| {
        let (summary, _) = kept.board().summary(Role::Declarant, &id, Period::default()).unwrap();
        summary.map(|summary| summary.counters.accepted)
    };
    for round in 0..2 {
        assert_eq!(accepted(&kept, id_of(1)), Some(6));
        assert_eq!(accepted(&kept, id_of(2)), Some(1));
        assert_eq!(accepted(&kept, id_of(3)), Some(100));
        assert_eq!(accepted(&kept, id_of(4)), None);
        assert_eq!(accepted(&kept, ActorId::other()), Some(30));
        let digest = kept.digest();
        if round == 0 {
            // The ids known come back from the catalog and the day files, with their bound.
            assert_eq!(kept.close_before(day(3)), 2);
            assert_eq!(kept.reopen(&journal).watermark, Watermark(8));
        }
        assert_eq!(kept.digest(), digest);
    }
    kept.fold().apply(Watermark(9), &batch(day(5), 5, 1, None)).unwrap();
    assert_eq!(accepted(&kept, id_of(5)), None);
    assert_eq!(accepted(&kept, ActorId::other()), Some(31));
}
