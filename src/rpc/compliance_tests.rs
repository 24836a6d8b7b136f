#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use tokio_stream::StreamExt;

use super::*;
use crate::id::Eori;
use crate::insight::tests::making::World;
use crate::outcome::Outcome;
use crate::rules::finding::{Element, Finding, Reason, Severity};
use crate::summary::{Delta, Event, Facts, Fold, FoldOptions};

/// Agreements, profiles and samples, none yet, on a day in November, over an archive in which nothing is sealed.
pub(crate) fn books(folder: &std::path::Path) -> (Desk, Office, Frame) {
    let today = Day::parse("2026-11-05").unwrap();
    let now = crate::day::When { at: crate::day::Moment(0), day: today };
    let disk = std::sync::Arc::new(crate::disk::LocalDisk::new());
    let options = crate::archive::Options {
        identity: [1; 16],
        personal: false,
        pseudonyms: crate::archive::Pseudonyms::new([3; 16]),
        look_only: false,
        encode_beside: false,
    };
    let (sealed, _) = crate::archive::Archive::open(disk, &folder.join("sealed"), options).unwrap();
    let desk = Desk::new(crate::agreements::Store::open(folder).unwrap(), move || now);
    let profiles = crate::profiles::Store::open(folder).unwrap();
    let office = Office::open(profiles, sealed.clone(), String::new(), move || now).unwrap();
    let samples = crate::samples::Store::open(folder).unwrap();
    (desk, office, Frame::new(samples, sealed, move || now))
}

pub(crate) struct Served {
    _folder: tempfile::TempDir,
    _world: World,
    fold: Fold,
    pub(crate) service: ComplianceService,
}

impl Served {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (catalog, archive) = (folder.path().join("catalog"), folder.path().join("archive"));
        let (fold, board, _) =
            Fold::open(&catalog, &archive, &FoldOptions::default(), [1; 16]).unwrap();
        let books = books(folder.path());
        let world = World::new();
        let options = ComplianceOptions { watches_max: 2, reads_max: 1, reads_waiting_max: 2 };
        Self {
            _folder: folder,
            fold,
            service: ComplianceService::new(
                (board, Some(world.insight().findings())),
                Guard::open(),
                books,
                &options,
            ),
            _world: world,
        }
    }

    /// Folds in a batch of `accepted` declarations of declarant `n`, on `day`.
    fn lodge(&mut self, day: &str, n: u32, accepted: usize) {
        let mut delta = Delta::new(Day::parse(day).unwrap(), eori(n), None);
        let facts = Facts { lines: 2, intrinsic_value: 14_600, ..Facts::default() };
        for _ in 0..accepted {
            delta.add(Outcome::Accepted, &facts, &[], None);
        }
        self.fold_in(Event::Batch(delta));
    }

    fn fold_in(&mut self, event: Event) {
        let number = Watermark(self.fold.watermark().0 + 1);
        self.fold.apply(number, &event).unwrap();
    }

    async fn get(&self, request: v1::GetActorSummaryRequest) -> Result<v1::ActorSummary, Status> {
        let answer = self.service.get_actor_summary(Request::new(request)).await?;
        Ok(answer.into_inner().summary.unwrap())
    }

    async fn list(
        &self,
        request: v1::ListActorSummariesRequest,
    ) -> Result<v1::ListActorSummariesResponse, Status> {
        Ok(self.service.list_actor_summaries(Request::new(request)).await?.into_inner())
    }

    async fn watch(
        &self,
        request: v1::WatchActorSummariesRequest,
    ) -> Result<ReceiverStream<Result<v1::WatchActorSummariesResponse, Status>>, Status> {
        Ok(self.service.watch_actor_summaries(Request::new(request)).await?.into_inner())
    }
}

fn eori(n: u32) -> Eori {
    Eori::parse(&format!("NL{n:09}")).unwrap()
}

fn actor(id: &str) -> v1::GetActorSummaryRequest {
    let actor = Some(v1::Actor { role: 1, id: id.to_owned() });
    v1::GetActorSummaryRequest { actor, ..Default::default() }
}

fn period(first: &str, last: &str) -> Option<v1::Period> {
    Some(v1::Period { first_day: first.to_owned(), last_day: last.to_owned() })
}

/// The one field that a refusal names.
fn field_of(status: &Status) -> String {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations.len(), 1);
    assert!(status.message().contains(&violations[0].description));
    violations[0].field.clone()
}

#[tokio::test]
async fn a_summary_holds_what_was_folded() {
    let mut served = Served::new();
    let mut delta = Delta::new(Day::parse("2026-11-05").unwrap(), eori(1), None);
    let facts = Facts {
        intrinsic_value: 14_600,
        duty: 600,
        gross_mass_mg: 5_000,
        lines: 2,
        ..Facts::default()
    };
    let found = |reason| Finding {
        reason,
        severity: Severity::Flag,
        element: Element::Description,
        goods_item: 1,
        value: (0, 0),
    };
    let (stop_word, mismatch, restricted) =
        (Reason::DescriptionStopWord, Reason::HsDescriptionMismatch, Reason::GoodsRestricted);
    delta.add(Outcome::Accepted, &facts, &[found(mismatch), found(stop_word)], None);
    delta.add(Outcome::Rejected, &facts, &[found(restricted), found(restricted)], None);
    delta.add(Outcome::Conflict, &facts, &[found(Reason::LrnContentConflict)], None);
    let below = Facts { intrinsic_value: 14_000, ..facts.clone() };
    delta.add(Outcome::Accepted, &below, &[found(stop_word)], None);
    delta.add(Outcome::Replayed, &facts, &[found(stop_word)], None);
    served.fold_in(Event::Batch(delta));

    // Normalised as declarations are.
    let request = v1::GetActorSummaryRequest {
        period: period("2026-11-01", "2026-11-30"),
        at_least_watermark: 1,
        ..actor(" nl000000001 ")
    };
    let summary = served.get(request).await.unwrap();
    assert_eq!(summary.actor, Some(v1::Actor { role: 1, id: "NL000000001".to_owned() }));
    assert_eq!(summary.period, period("2026-11-01", "2026-11-30"));
    assert_eq!(summary.watermark, 1);
    let by_outcome = (summary.accepted, summary.rejected, summary.replayed, summary.conflicts);
    assert_eq!(by_outcome, (2, 1, 1, 1));
    assert_eq!((summary.accepted_lines, summary.duty_eur_cents), (4, 1_200));
    assert_eq!((summary.intrinsic_value_eur_cents, summary.gross_mass_mg), (28_600, 10_000));
    let reasons: Vec<_> =
        summary.reasons.iter().map(|r| (&r.reason[..], r.declarations, r.findings)).collect();
    assert_eq!(
        reasons,
        [
            ("DESCRIPTION_STOP_WORD", 2, 2),
            ("GOODS_RESTRICTED", 1, 2),
            ("HS_DESCRIPTION_MISMATCH", 1, 1),
            ("LRN_CONTENT_CONFLICT", 1, 1),
        ]
    );
    assert_eq!(summary.value_histogram.len(), 31);
    assert_eq!((summary.value_histogram[27], summary.value_histogram[29]), (1, 1));
    let rejection = &summary.indicators[0];
    assert_eq!(
        (&rejection.name[..], rejection.numerator, rejection.denominator),
        ("rejection_rate", 2, 8)
    );
    assert!(rejection.value == 0.25 && rejection.lower.unwrap() < 0.25);
    let bunching = summary.indicators.iter().find(|i| i.name == "threshold_bunching").unwrap();
    assert_eq!((bunching.numerator, bunching.denominator), (4, 1));
    assert_eq!((bunching.lower, bunching.upper), (None, None));
    // No line states F48.
    assert!(summary.indicators.iter().all(|i| i.name != "ioss_number_hit_rate"));
}

#[tokio::test]
async fn actors_never_seen_are_not_found_and_idle_ones_are_zero() {
    let mut served = Served::new();
    served.lodge("2026-11-05", 1, 1);
    let status = served.get(actor("NL000000002")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("NL000000002"), "{status}");
    let request =
        v1::GetActorSummaryRequest { period: period("2026-11-06", ""), ..actor("NL000000001") };
    assert_eq!(served.get(request).await.unwrap().accepted, 0);
    assert_eq!(served.get(actor("(other)")).await.unwrap().accepted, 0);
}

#[tokio::test]
async fn refusals_name_the_field() {
    let served = Served::new();
    let get = |request| async { field_of(&served.get(request).await.unwrap_err()) };
    assert_eq!(get(Default::default()).await, "actor.role");
    assert_eq!(get(actor("")).await, "actor.id");
    assert_eq!(get(actor("N1")).await, "actor.id");
    let on = |first, last| v1::GetActorSummaryRequest {
        period: period(first, last),
        ..actor("NL000000001")
    };
    assert_eq!(get(on("2026-11-31", "")).await, "period.first_day");
    assert_eq!(get(on("", "tomorrow")).await, "period.last_day");
    assert_eq!(get(on("2026-11-02", "2026-11-01")).await, "period.last_day");

    let list = |request| async { field_of(&served.list(request).await.unwrap_err()) };
    let sound = v1::ListActorSummariesRequest { role: 1, ..Default::default() };
    let with = |change: &dyn Fn(&mut v1::ListActorSummariesRequest)| {
        let mut request = sound.clone();
        change(&mut request);
        request
    };
    assert_eq!(list(with(&|r| r.role = 4)).await, "role");
    assert_eq!(list(with(&|r| r.page_size = 1_001)).await, "page_size");
    assert_eq!(list(with(&|r| r.order = 3)).await, "order");
    assert_eq!(list(with(&|r| r.page_token = "00".to_owned())).await, "page_token");
    served.list(with(&|r| r.page_size = 1_000)).await.unwrap();

    let watch = v1::WatchActorSummariesRequest { role: 3, ..Default::default() };
    let named =
        |ids: Vec<String>| v1::WatchActorSummariesRequest { actor_ids: ids, ..watch.clone() };
    let good = "IM5280000001".to_owned();
    let status = served.watch(named(vec![good.clone(), "IM1".to_owned()])).await.unwrap_err();
    assert_eq!(field_of(&status), "actor_ids[1]");
    let status = served.watch(named(vec![good; 1_001])).await.unwrap_err();
    assert_eq!(field_of(&status), "actor_ids");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let mut served = Served::new();
    for n in 1..=5 {
        served.lodge("2026-11-05", n, n as usize);
    }
    for (order, expected) in [(0, [5, 4, 3, 2, 1]), (1, [5, 4, 3, 2, 1]), (2, [1, 2, 3, 4, 5])] {
        let mut request =
            v1::ListActorSummariesRequest { role: 1, page_size: 2, order, ..Default::default() };
        let mut found = Vec::new();
        loop {
            let page = served.list(request.clone()).await.unwrap();
            assert_eq!(page.watermark, 5);
            found.extend(page.summaries.iter().map(|summary| summary.accepted));
            if page.next_page_token.is_empty() {
                break;
            }
            assert_eq!(page.summaries.len(), 2);
            request.page_token = page.next_page_token;
        }
        assert_eq!(found, expected);
        // A token of one list is no token of another.
        if !request.page_token.is_empty() {
            request.role = 2;
            assert_eq!(field_of(&served.list(request).await.unwrap_err()), "page_token");
        }
    }
}

#[tokio::test]
async fn a_watermark_not_reached_ends_with_the_deadline() {
    let mut served = Served::new();
    served.lodge("2026-11-05", 1, 1);
    let mut request =
        Request::new(v1::GetActorSummaryRequest { at_least_watermark: 2, ..actor("NL000000001") });
    request.metadata_mut().insert("grpc-timeout", "30m".parse().unwrap());
    let status = served.service.get_actor_summary(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("stand at watermark 1; 2 was asked for"), "{status}");
    // A fold that stopped will not get there.
    served.service.reader.board.stop();
    let request = v1::GetActorSummaryRequest { at_least_watermark: 2, ..actor("NL000000001") };
    let status = served.get(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());
}

#[tokio::test]
async fn reads_past_those_that_may_wait_are_refused_by_name() {
    let mut served = Served::new();
    let later = |watermark| v1::GetActorSummaryRequest {
        at_least_watermark: watermark,
        ..actor("NL000000001")
    };
    let listed = v1::ListActorSummariesRequest { role: 1, ..Default::default() };
    {
        let Served { fold, service, .. } = &mut served;
        let get = |watermark| service.get_actor_summary(Request::new(later(watermark)));
        let (mut first, mut second) = (get(1), get(2));
        // Each takes its place when it is first looked at.
        for waiting in [&mut first, &mut second] {
            let pending = tokio::time::timeout(Duration::ZERO, waiting).await;
            assert!(pending.is_err(), "there is nothing to read yet");
        }
        let refused = [
            get(1).await.unwrap_err(),
            service.list_actor_summaries(Request::new(listed.clone())).await.unwrap_err(),
        ];
        for status in refused {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
            let text = status.message();
            assert!(
                text.contains("2 reads") && text.contains("summary_reads_waiting_max"),
                "{text}"
            );
            assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
        }
        // A watch has its own bound.
        let watch = v1::WatchActorSummariesRequest { role: 1, ..Default::default() };
        let watch = service.watch_actor_summaries(Request::new(watch)).await.unwrap();
        let mut delta = Delta::new(Day::parse("2026-11-05").unwrap(), eori(1), None);
        delta.add(Outcome::Accepted, &Facts::default(), &[], None);
        fold.apply(Watermark(1), &Event::Batch(delta.clone())).unwrap();
        assert_eq!(first.await.unwrap().into_inner().summary.unwrap().accepted, 1);
        // One that is refused or ends leaves its place.
        get(1).await.unwrap();
        assert_eq!(next(&mut watch.into_inner(), 1).await, ids(&[(1, 1)]));
        drop(second);
    }
    served.list(listed).await.unwrap();
    served.lodge("2026-11-05", 1, 1);
    assert_eq!(served.get(later(2)).await.unwrap().accepted, 2);
}

// All the tests here check that no message is made and no list of ids sorted but in a read, if
// this one holds.
#[cfg(debug_assertions)]
#[tokio::test]
#[should_panic(expected = "long work outside a read")]
async fn long_work_on_a_tokio_worker_is_noticed() {
    let mut served = Served::new();
    served.lodge("2026-11-05", 1, 1);
    let (role, id) = (Role::Declarant, ActorId::from(eori(1)));
    let board = served.service.reader.board.clone();
    let (summary, _) = board.summary(role, &id, Period::default()).unwrap();
    to_message(&summary.unwrap(), role, &v1::Period::default());
}

#[test]
fn deadlines_are_read_as_grpc_writes_them() {
    let of = |text: &str| {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", text.parse().unwrap());
        deadline(&metadata)
    };
    assert_eq!(of("2S"), Some(Duration::from_secs(2)));
    assert_eq!(of("1500m"), Some(Duration::from_millis(1_500)));
    assert_eq!(of("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
    for bad in ["", "S", "2", "2s", "-1S", "123456789S", "1.5S"] {
        assert_eq!(of(bad), None, "{bad}");
    }
    assert_eq!(deadline(&MetadataMap::new()), None);
}

/// Ids and accepted declarations of the next `n` messages.
async fn next(
    stream: &mut ReceiverStream<Result<v1::WatchActorSummariesResponse, Status>>,
    n: usize,
) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for _ in 0..n {
        let message = stream.next().await.unwrap().unwrap();
        let summary = message.summary.unwrap();
        assert_eq!(summary.watermark, message.watermark);
        found.push((summary.actor.unwrap().id, summary.accepted));
    }
    found
}

fn ids(expected: &[(u32, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(n, accepted)| (eori(*n).to_string(), *accepted)).collect()
}

// The clock is tokio's, paused: it jumps when nothing is left to do but to wait.
#[tokio::test(start_paused = true)]
async fn a_watch_sends_all_and_then_what_changed() {
    let mut served = Served::new();
    for n in 1..=3 {
        served.lodge("2026-11-05", n, 1);
    }
    let november_5 = period("2026-11-05", "2026-11-05");
    let request =
        v1::WatchActorSummariesRequest { role: 1, period: november_5, ..Default::default() };
    let mut stream = served.watch(request).await.unwrap();
    assert_eq!(next(&mut stream, 3).await, ids(&[(1, 1), (2, 1), (3, 1)]));
    // Two changes between two looks are one message; another day is none of this watch's.
    served.lodge("2026-11-05", 2, 1);
    served.lodge("2026-11-05", 2, 1);
    served.lodge("2026-11-06", 3, 1);
    assert_eq!(next(&mut stream, 1).await, ids(&[(2, 3)]));
    served.lodge("2026-11-05", 4, 1);
    assert_eq!(next(&mut stream, 1).await, ids(&[(4, 1)]));
    // The stream ends with the fold, without an error.
    drop(served.fold);
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_over_named_actors_sends_those() {
    let mut served = Served::new();
    served.lodge("2026-11-05", 1, 1);
    served.lodge("2026-11-05", 2, 1);
    let actor_ids = vec![eori(2).to_string(), eori(3).to_string()];
    let request = v1::WatchActorSummariesRequest { role: 1, actor_ids, ..Default::default() };
    let mut stream = served.watch(request).await.unwrap();
    assert_eq!(next(&mut stream, 1).await, ids(&[(2, 1)]));
    served.lodge("2026-11-05", 1, 1);
    served.lodge("2026-11-05", 3, 7);
    assert_eq!(next(&mut stream, 1).await, ids(&[(3, 7)]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_the_newest_state_only() {
    let mut served = Served::new();
    for n in 1..=100 {
        served.lodge("2026-11-05", n, 1);
    }
    let request = v1::WatchActorSummariesRequest { role: 1, ..Default::default() };
    let mut stream = served.watch(request).await.unwrap();
    // The stream is full; a hundred rounds of changes later it is still as full.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for _ in 0..100 {
        for n in 1..=100 {
            served.lodge("2026-11-05", n, 1);
        }
    }
    tokio::time::sleep(Duration::from_secs(100)).await;
    let first = next(&mut stream, 100).await;
    let old = first.iter().filter(|(_, accepted)| *accepted == 1).count();
    let new = first.iter().filter(|(_, accepted)| *accepted == 101).count();
    assert_eq!((old, old + new), (WATCH_AHEAD, 100));
    // What was old comes again; the rest did not change since.
    let again = next(&mut stream, WATCH_AHEAD).await;
    assert!(again.iter().all(|(_, accepted)| *accepted == 101), "{again:?}");
    served.lodge("2026-11-05", 50, 1);
    assert_eq!(next(&mut stream, 1).await, ids(&[(50, 102)]));
}

#[tokio::test]
async fn watches_are_bounded_and_make_room_when_they_end() {
    let served = Served::new();
    let request = v1::WatchActorSummariesRequest { role: 1, ..Default::default() };
    let first = served.watch(request.clone()).await.unwrap();
    let _second = served.watch(request.clone()).await.unwrap();
    let status = served.watch(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("2 watches"), "{status}");
    drop(first);
    for _ in 0..1_000 {
        if served.watch(request.clone()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("a watch whose reader has gone kept its place");
}
