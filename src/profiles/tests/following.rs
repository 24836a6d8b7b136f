//! What is sealed is matched, as a model says, and as a trial over the same days finds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::archive::Archive;
use crate::archive::tests::making::{
    GivenBatch, GivenEntry, Maker, generated, new_archive, write_set,
};
use crate::id::Watermark;
use crate::outcome::Outcome;
use crate::profiles::follower::Following;

struct World {
    _folder: tempfile::TempDir,
    archive: Archive,
    maker: Maker,
    store: Store,
    following: Following,
    given: Vec<GivenBatch>,
}

const DAYS: [&str; 3] = ["2026-11-05", "2026-11-06", "2026-11-07"];

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (_, archive) = new_archive();
        let store = Store::open(folder.path()).unwrap();
        let following = Following {
            archive: archive.clone(),
            store: store.clone(),
            hits: Hits::default(),
            stop: Arc::new(AtomicBool::new(false)),
            told: tokio::sync::watch::channel(0).0,
        };
        let (maker, given) = (Maker::new(), Vec::new());
        Self { _folder: folder, archive, maker, store, following, given }
    }

    /// Seals some batches, each on the day of that place.
    fn seal(&mut self, days: &[usize]) {
        let batches = generated(5_000, 400);
        let batches: Vec<_> = days.iter().map(|at| day(DAYS[*at])).zip(batches).collect();
        assert_eq!(batches.len(), days.len());
        let (_, given) = write_set(&self.archive, &mut self.maker, &batches).unwrap();
        self.given.extend(given);
    }

    fn follow(&self) {
        while self.following.round().unwrap() {}
    }

    fn hits(&self, id: ProfileId, version: u32) -> VersionHits {
        self.following.hits.of(&self.store.get(id).unwrap(), version).unwrap()
    }

    fn trial(&self, conditions: &Conditions, days: (Day, Day)) -> Trial {
        let matcher = conditions.matcher().unwrap();
        Trial::run(&matcher, &self.archive, days, |_| ControlFlow::Continue(())).unwrap()
    }

    /// Goods items of HS chapters 61 and 62, by day: declarations, lines, value, and MRNs of the first ones.
    fn model(&self, (first, last): (Day, Day)) -> BTreeMap<Day, (Totals, Vec<String>)> {
        let mut days: BTreeMap<Day, (Totals, Vec<String>)> = BTreeMap::new();
        for batch in self.given.iter().filter(|batch| first <= batch.day && batch.day <= last) {
            for entry in &batch.entries {
                let GivenEntry::Declaration(given) = entry else { continue };
                let items = given.message.goods_items.iter().zip(&given.line_values);
                let is_hit = |hs: &str| hs.starts_with("61") || hs.starts_with("62");
                let values: Vec<u64> = items
                    .filter(|(item, _)| is_hit(&item.hs6))
                    .map(|(_, value)| value.map_or(0, |value| value.0))
                    .collect();
                if given.outcome != Outcome::Accepted || values.is_empty() {
                    continue;
                }
                let (totals, examples) = days.entry(batch.day).or_default();
                totals.declarations += 1;
                totals.lines += values.len() as u64;
                totals.value += values.iter().sum::<u64>();
                if examples.len() < EXAMPLES_MAX {
                    examples.push(given.mrn.clone().unwrap());
                }
            }
        }
        days
    }
}

fn clothes() -> Conditions {
    Conditions { hs_prefixes: vec!["61".into(), "62".into()], ..Conditions::default() }
}

fn clothing(name: &str, start: &str) -> Terms {
    Terms { conditions: clothes(), ..terms(name, start) }
}

fn plain(days: &BTreeMap<Day, DayHits>) -> BTreeMap<Day, (Totals, Vec<String>)> {
    let of = |hits: &DayHits| {
        let mrns = hits.examples.iter().map(|example| example.mrn.to_string()).collect();
        (hits.totals(), mrns)
    };
    days.iter().map(|(day, hits)| (*day, of(hits))).collect()
}

#[test]
fn hits_are_those_of_the_model_and_of_a_trial_over_the_same_days() {
    let mut world = World::new();
    let [first, second, third] = DAYS.map(day);
    let from = |start: &str| recorder(start);
    let all = world.store.record(clothing("all", DAYS[0]), from(DAYS[0])).unwrap().id;
    let later = world.store.record(clothing("later", DAYS[1]), from(DAYS[0])).unwrap().id;
    world.seal(&[0, 0, 1, 0, 1]);
    world.follow();
    // One more, while two are at the first set already; it has to catch up.
    let last = world.store.record(clothing("last", DAYS[2]), from(DAYS[1])).unwrap().id;
    world.seal(&[1, 2, 2, 1]);
    world.follow();
    for (id, from) in [(all, first), (later, second), (last, third)] {
        let hits = world.hits(id, 1);
        assert_eq!(hits.watermark, Watermark(9), "{id}");
        assert_eq!(plain(&hits.days), world.model((from, third)), "{id}");
        assert_eq!(hits.days, world.trial(&clothes(), (from, third)).days, "{id}");
    }
    let model = world.model((first, third));
    assert_eq!(model.len(), 3, "every day has hits: {model:?}");
    let is_full = |(totals, examples): &(Totals, Vec<String>)| {
        examples.len() == EXAMPLES_MAX && totals.declarations > EXAMPLES_MAX as u64
    };
    assert!(model.values().any(is_full), "and one more than there are examples: {model:?}");
    // Made anew, in another order, it is the same.
    let anew = Following {
        archive: world.archive.clone(),
        store: world.store.clone(),
        hits: Hits::default(),
        stop: Arc::new(AtomicBool::new(false)),
        told: tokio::sync::watch::channel(0).0,
    };
    while anew.round().unwrap() {}
    for id in [all, later, last] {
        let found = anew.hits.of(&world.store.get(id).unwrap(), 1).unwrap();
        assert_eq!(found, world.hits(id, 1), "{id}");
    }
}

#[test]
fn a_trial_counts_all_that_was_accepted_and_may_be_ended() {
    let mut world = World::new();
    world.seal(&[0, 1, 2, 0]);
    let [first, second, third] = DAYS.map(day);
    let trial = world.trial(&clothes(), (first, second));
    assert_eq!((trial.watermark, trial.dropped_through), (Watermark(4), None));
    let accepted = world.given.iter().filter(|batch| batch.day <= second).flat_map(|batch| {
        batch.entries.iter().filter_map(|entry| match entry {
            GivenEntry::Declaration(given) if given.outcome == Outcome::Accepted => Some(given),
            _ => None,
        })
    });
    let accepted: Vec<_> = accepted.collect();
    assert_eq!(trial.total.all.declarations, accepted.len() as u64);
    let lines: usize = accepted.iter().map(|given| given.message.goods_items.len()).sum();
    assert_eq!(trial.total.all.lines, lines as u64);
    let value: u64 = accepted.iter().map(|given| given.judgement.intrinsic_value.0).sum();
    assert_eq!(trial.total.all.value, value);
    let hits = trial.days.values().map(|day| day.declarations).sum::<u64>();
    assert_eq!(trial.total.hit.declarations, hits);
    let only: Vec<_> = trial.declarants.values().collect();
    assert_eq!((only, trial.other_declarants), (vec![&trial.total], Share::default()));
    // It is told after each batch how far it is, and ends when it is told to.
    let mut told = Vec::new();
    let matcher = clothes().matcher().unwrap();
    let ended = Trial::run(&matcher, &world.archive, (first, third), |scanned| {
        told.push(scanned);
        if told.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let Err(ScanError::Ended(scanned)) = ended else { panic!("{ended:?}") };
    assert_eq!(told.last(), Some(&scanned));
    assert!(0 < told[0].done && told[0].done < scanned.done && scanned.done < scanned.of);
    let outside = world.trial(&clothes(), (day("2026-10-01"), day("2026-10-31")));
    assert_eq!((outside.total, outside.watermark), (Share::default(), Watermark(4)));
}

#[test]
fn days_of_other_versions_and_dropped_days_have_no_hits() {
    let mut world = World::new();
    let [first, second, third] = DAYS.map(day);
    let id = world.store.record(clothing("one", DAYS[0]), recorder(DAYS[0])).unwrap().id;
    world.seal(&[0, 1, 2]);
    world.follow();
    assert_eq!(world.hits(id, 1).days.len(), 3);
    // From the second day on another version holds, with other conditions.
    let narrow = Conditions { hs_prefixes: vec!["62".into()], ..Conditions::default() };
    let narrow = Terms { conditions: narrow.clone(), ..terms("one", DAYS[1]) };
    world.store.change(id, 1, narrow.clone(), recorder(DAYS[1])).unwrap();
    world.follow();
    let days = |version| world.hits(id, version).days.into_keys().collect::<Vec<_>>();
    assert_eq!(days(1), [first]);
    let trial = world.trial(&narrow.conditions, (second, third));
    assert!(!trial.days.is_empty());
    assert_eq!(world.hits(id, 2).days, trial.days);
    // Withdrawn on the second day, it flags nothing of the third.
    world.store.withdraw(id, 2, String::new(), recorder(DAYS[1])).unwrap();
    world.follow();
    let trial = world.trial(&narrow.conditions, (second, second));
    assert_eq!(world.hits(id, 2).days, trial.days);
    // Of a day that is dropped nothing is told any more.
    let dropped = world.archive.drop_days(second, Watermark(u64::MAX)).unwrap();
    assert_eq!(dropped.parts, 1);
    world.follow();
    assert_eq!(world.hits(id, 1).days.len(), 0);
    assert_eq!(world.hits(id, 2).days, trial.days);
    let trial = world.trial(&clothes(), (first, third));
    assert_eq!(trial.dropped_through, Some(first));
    assert_eq!(trial.days.keys().next(), Some(&second));
}

#[test]
fn the_thread_follows_and_ends() {
    let mut world = World::new();
    let id = world.store.record(clothing("one", DAYS[0]), recorder(DAYS[0])).unwrap().id;
    let follower = Follower::start(world.archive.clone(), world.store.clone()).unwrap();
    world.seal(&[0, 1]);
    let profile = world.store.get(id).unwrap();
    let mut progress = follower.progress();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rounds =
        runtime.block_on(async { *progress.wait_for(|rounds| *rounds > 0).await.unwrap() });
    assert_eq!(rounds, 1);
    let found = follower.hits().of(&profile, 1).unwrap();
    assert_eq!(found.watermark, Watermark(2));
    assert_eq!(found.days, world.trial(&clothes(), (day(DAYS[0]), day(DAYS[2]))).days);
    drop(follower);
}
