//! Backups that are taken of a server which lodges, seals and drops days meanwhile: each is restored to a
//! data folder of its own, which is whole, has what was answered before the backup began, and answers it
//! again. Who may call, and who read what, is in it too.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use common::{
    CLOCK, SETTINGS, Server, Start, batch, declaration, folder, lodge, one_of_each, summaries,
    waag, waag_ok, with_value,
};
use tonic::transport::Channel;
use waag::proto::v1::get_declaration_request::Key;
use waag::proto::v1::lodgement_client::LodgementClient;
use waag::proto::v1::{
    ActorRole, ActorSummary, BatchTotals, Declaration, GetDeclarationRequest, LocalReference,
    Outcome, SubmitBatchRequest, SubmitBatchResponse, Verdict,
};

/// Small segments, and seals within a second.
fn settings() -> String {
    let small = SETTINGS.replace("\"1MiB\"", "\"256KiB\"").replace("\"8MiB\"", "\"5MiB\"");
    format!("{small}unsealed_bytes_max = \"64MiB\"\nseal_interval_s = 1\n")
}

/// One that is in good order.
static GOOD: LazyLock<Declaration> = LazyLock::new(|| declaration(""));

const DECLARANTS: [&str; 2] = ["NL810000003", "NL810000027"];

/// What was lodged, and what was answered.
type Lodged = Arc<Mutex<Vec<(SubmitBatchRequest, SubmitBatchResponse)>>>;

/// A batch with some of each outcome among many that are accepted.
fn request(declarant: usize, number: u32) -> SubmitBatchRequest {
    let with_lrn = |lrn| Declaration { lrn, ..GOOD.clone() };
    let mut declarations: Vec<_> =
        (0..150).map(|n| with_lrn(format!("{declarant}-{number}-{n}"))).collect();
    if number.is_multiple_of(5) {
        declarations.extend(one_of_each());
        declarations.push(with_value("GOOD", 1_000 + u64::from(number)));
    }
    let id = format!("{declarant}-{number}");
    SubmitBatchRequest { declarant: DECLARANTS[declarant].into(), ..batch(&id, declarations) }
}

/// Lodges a batch, once there is room for it.
async fn submit(
    client: &mut LodgementClient<Channel>,
    request: &SubmitBatchRequest,
) -> SubmitBatchResponse {
    loop {
        match client.submit_batch(request.clone()).await {
            Ok(answer) => return answer.into_inner(),
            // More is lodged than can be sealed.
            Err(refused) if refused.code() == tonic::Code::ResourceExhausted => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Lodges on and on, until it is told to stop.
async fn keep_lodging(
    url: String,
    declarant: usize,
    lodged: Lodged,
    is_over: Arc<AtomicBool>,
) -> u32 {
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let mut client = LodgementClient::new(channel).max_decoding_message_size(16 << 20);
    for number in 0.. {
        if is_over.load(Ordering::Acquire) {
            return number;
        }
        let request = request(declarant, number);
        let answer = submit(&mut client, &request).await;
        lodged.lock().unwrap().push((request, answer));
        // What is lodged is replayed for each backup.
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
    }
    0
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Takes a backup; what the command told.
async fn back_up(data: &Path, to: &Path) -> serde_json::Value {
    let args = ["backup", "--json", "--data-dir", text(data), "--to", text(to)];
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = move || waag_ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let told = tokio::task::spawn_blocking(run).await.unwrap();
    serde_json::from_str(&told).unwrap()
}

/// Restores a backup beside it; the new data folder, which is whole.
fn restored(backup: &Path) -> PathBuf {
    let data = backup.with_extension("restored");
    let told = waag_ok(&["restore", "--from", text(backup), "--data-dir", text(&data)]);
    assert!(told.contains("waag verify") && told.contains("waag serve"), "{told}");
    let output = waag(&["verify", "--memory-max", "256MiB", "--data-dir", text(&data)]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    data
}

/// Sends again what was answered: the same answers, as replays. Returns the last watermark.
async fn replay(server: &Server, lodged: &[(SubmitBatchRequest, SubmitBatchResponse)]) -> u64 {
    let mut watermark = 0;
    let mut client = server.lodgement().await;
    for (request, before) in lodged {
        let now = submit(&mut client, request).await;
        watermark = now.watermark;
        for (now, before) in now.verdicts.iter().zip(&before.verdicts) {
            let replay_of = match before.outcome() {
                Outcome::Replayed => before.replay_of,
                first => first.into(),
            };
            let outcome = Outcome::Replayed.into();
            assert_eq!(*now, Verdict { outcome, replay_of, ..before.clone() });
        }
    }
    watermark
}

/// What is counted of a declarant.
fn counted(summary: &ActorSummary) -> [u64; 5] {
    [
        summary.accepted,
        summary.accepted_lines,
        summary.rejected,
        summary.replayed,
        summary.conflicts,
    ]
}

/// The same, by what was answered with a watermark up to `records`.
fn answered(
    lodged: &[(SubmitBatchRequest, SubmitBatchResponse)],
    declarant: &str,
    records: u64,
) -> [u64; 5] {
    let of = lodged
        .iter()
        .filter(|(request, answer)| request.declarant == declarant && answer.watermark <= records);
    of.fold([0; 5], |sum, (_, answer)| {
        let BatchTotals { accepted, accepted_lines, rejected, replayed, conflicts, .. } =
            answer.totals.unwrap();
        let now = [accepted, accepted_lines, rejected, replayed, conflicts].map(u64::from);
        std::array::from_fn(|at| sum[at] + now[at])
    })
}

fn oldest_segment(data: &Path) -> std::ffi::OsString {
    let files = std::fs::read_dir(data.join("journal")).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().ends_with(".segment")).min().unwrap()
}

fn sets(data: &Path) -> usize {
    std::fs::read_dir(data.join("archive/sets")).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_has_what_was_answered_before_and_nothing_of_it_is_lost_or_doubled() {
    let (outer, data) = folder();
    let settings = settings();
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let (lodged, is_over) = (Lodged::default(), Arc::new(AtomicBool::new(false)));
    let lodging: Vec<_> = (0..DECLARANTS.len())
        .map(|declarant| {
            let (lodged, is_over) = (Arc::clone(&lodged), Arc::clone(&is_over));
            tokio::spawn(keep_lodging(server.url(), declarant, lodged, is_over))
        })
        .collect();

    let mut backups = Vec::new();
    let mut began_with = Vec::new();
    while backups.len() < 3 {
        // After a set more, and a segment less, than at the one before.
        let (sets_before, oldest) = (sets(&data), oldest_segment(&data));
        while sets(&data) == sets_before || oldest_segment(&data) == oldest {
            assert!(lodging.iter().all(|task| !task.is_finished()), "{}", server.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let before = lodged.lock().unwrap().len();
        let to = outer.path().join(format!("backup-{}", backups.len()));
        let told = back_up(&data, &to).await;
        backups.push((to, before, told["records"].as_u64().unwrap()));
    }
    is_over.store(true, Ordering::Release);
    for task in lodging {
        assert!(task.await.unwrap() > 10);
    }
    // At rest it has all there is.
    let to = outer.path().join("backup-at-rest");
    let told = back_up(&data, &to).await;
    assert_eq!(told["left_out"], serde_json::json!([]));
    let lodged = std::mem::take(&mut *lodged.lock().unwrap());
    backups.push((to, lodged.len(), told["records"].as_u64().unwrap()));
    let last = lodged.iter().map(|(_, answer)| answer.watermark).max().unwrap();
    let at_rest = whole_summaries(&server, last).await;
    server.kill();

    for (backup, before, records) in &backups {
        let known = &lodged[..*before];
        assert!(known.iter().all(|(_, answer)| answer.watermark <= *records), "{records}");
        began_with.push(oldest_segment(backup));
        let data = restored(backup);
        let clock = "2026-11-05T18:00";
        let server = Start { settings: &settings, ..Start::at(&data, clock) }.run();
        let now = summaries(&server, ActorRole::Declarant, *records).await;
        assert_eq!(now.len(), DECLARANTS.len());
        for summary in now {
            let id = &summary.actor.as_ref().unwrap().id;
            assert_eq!(counted(&summary), answered(&lodged, id, *records), "{id} at {records}");
        }
        if *before == lodged.len() {
            assert_eq!(whole_summaries(&server, *records).await, at_rest);
        }
        // It goes on as any other, and so gives MRNs again that were given after the backup.
        let answer = lodge(&server, batch("new", vec![declaration("NEW")])).await;
        assert_eq!(answer.verdicts[0].outcome(), Outcome::Accepted);
        if let Some((_, next)) = lodged.iter().find(|(_, next)| next.watermark == records + 1) {
            assert_eq!(answer.verdicts[0].mrn, next.verdicts[0].mrn);
        }
        assert!(replay(&server, known).await > answer.watermark);
        assert_eq!(server.stop().await, 0);
    }
    began_with.dedup();
    assert!(began_with.len() >= 3, "segments went between backups: {began_with:?}");
}

async fn whole_summaries(server: &Server, watermark: u64) -> Vec<Vec<ActorSummary>> {
    let mut all = Vec::new();
    for role in [ActorRole::Declarant, ActorRole::Representative, ActorRole::IossHolder] {
        all.push(summaries(server, role, watermark).await);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_while_days_are_dropped_knows_what_was_answered_on_them() {
    let (outer, data) = folder();
    let settings = format!("{}retention_days = 1\n", settings());
    let start =
        |data: &Path, clock: &str| Start { settings: &settings, ..Start::at(data, clock) }.run();
    let mut lodged = Vec::new();
    for (day, clock) in ["2026-11-05T12:00", "2026-11-06T12:00"].into_iter().enumerate() {
        let server = start(&data, clock);
        for number in 0..10 {
            let request = request(day, 5 * number);
            let answer = lodge(&server, request.clone()).await;
            lodged.push((request, answer));
        }
        common::wait_until("the day is sealed", || {
            data.join(format!("archive/declarations/day={}", &clock[..10])).exists()
        });
        assert_eq!(server.stop().await, 0);
    }
    let first = 10;

    // The first day is dropped a moment after something of the third is lodged, and more after that.
    let server = start(&data, "2026-11-07T12:00");
    let (later, is_over) = (Lodged::default(), Arc::new(AtomicBool::new(false)));
    let lodging =
        tokio::spawn(keep_lodging(server.url(), 1, Arc::clone(&later), Arc::clone(&is_over)));
    let mut backups = Vec::new();
    let mut of_dropped = 0;
    while of_dropped < 3 {
        assert!(backups.len() < 100 && !lodging.is_finished(), "{}", server.log());
        let to = outer.path().join(format!("backup-{}", backups.len()));
        let told = back_up(&data, &to).await;
        let is_dropped = told["dropped_through"] == "2026-11-05";
        of_dropped += usize::from(is_dropped);
        backups.push((to, is_dropped));
    }
    is_over.store(true, Ordering::Release);
    lodging.await.unwrap();
    server.kill();
    // All with something dropped, and those just before.
    let first_dropped = backups.iter().position(|(_, is_dropped)| *is_dropped).unwrap();
    backups.drain(..first_dropped.saturating_sub(2));
    for (backup, is_dropped) in backups {
        let data = restored(&backup);
        assert_eq!(data.join("runs").exists(), is_dropped);
        let gone = !data.join("archive/declarations/day=2026-11-05").exists();
        assert_eq!(gone, is_dropped);
        let server = start(&data, "2026-11-07T18:00");
        replay(&server, &lodged).await;
        // Other content under an LRN of the first day.
        let other = SubmitBatchRequest {
            declarant: lodged[first - 1].0.declarant.clone(),
            ..batch("other", vec![with_value("0-0-0", 900)])
        };
        assert_eq!(lodge(&server, other).await.verdicts[0].outcome(), Outcome::Conflict);
        assert_eq!(server.stop().await, 0);
        let output = waag(&["verify", "--memory-max", "256MiB", "--data-dir", text(&data)]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{told}");
    }
}

const CLIENTS: &str = r#"
[[client]]
name = "shop"
roles = ["declarant"]
eoris = ["NL810000003"]

[[client]]
name = "desk"
roles = ["supervisor"]
"#;

/// A request of whoever has this token.
fn by<T>(token: &str, request: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(request);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

fn read_good() -> GetDeclarationRequest {
    let local = LocalReference { declarant: DECLARANTS[0].into(), lrn: "GOOD".into() };
    GetDeclarationRequest { key: Some(Key::LocalReference(local)) }
}

/// How many reads of declarations stand in the audit log of a data folder or a backup.
fn reads(data: &Path, by: &str) -> usize {
    let log = waag_ok(&["audit", "--data-dir", text(data), "--who", by]);
    log.lines().filter(|line| line.contains("read declaration")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_call_and_every_read_that_was_answered_are_in_a_backup() {
    let (outer, data) = folder();
    let clients = outer.path().join("clients.toml");
    std::fs::write(&clients, CLIENTS).unwrap();
    let settings = format!("{}clients = {clients:?}\n", settings());
    let config = data.with_extension("toml");
    std::fs::write(&config, &settings).unwrap();
    let [shop, desk] = ["shop", "desk"].map(|name| {
        let config = ["--config", text(&config), "--data-dir", text(&data)];
        waag_ok(&[&["token", "add", name], &config[..]].concat()).trim().to_owned()
    });
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let good = batch("good", vec![declaration("GOOD")]);
    let answer = server.lodgement().await.submit_batch(by(&shop, good.clone())).await.unwrap();
    let first = answer.into_inner().verdicts.remove(0);

    let (answered, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut client = server.lodgement().await;
    let reading = tokio::spawn({
        let (answered, is_over, desk) = (Arc::clone(&answered), Arc::clone(&is_over), desk.clone());
        async move {
            while !is_over.load(Ordering::Acquire) {
                client.get_declaration(by(&desk, read_good())).await.unwrap();
                answered.fetch_add(1, Ordering::Release);
            }
        }
    });
    let mut backups = Vec::new();
    for number in 0..3 {
        while answered.load(Ordering::Acquire) < 20 * (number + 1) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let before = answered.load(Ordering::Acquire);
        let to = outer.path().join(format!("backup-{number}"));
        let told = back_up(&data, &to).await;
        backups.push((to, before, told["audit_head"].as_str().unwrap().to_owned()));
    }
    is_over.store(true, Ordering::Release);
    reading.await.unwrap();
    server.kill();

    for (backup, before, head) in backups {
        assert_eq!(waag_ok(&["audit", "--data-dir", text(&backup), "--head"]).trim(), head);
        // Each log goes on from the one before.
        waag_ok(&["audit", "--data-dir", text(&data), "--head", "--expect", &head]);
        assert!(reads(&backup, "desk") >= before, "{} of {before}", reads(&backup, "desk"));
        let data = restored(&backup);
        waag_ok(&["audit", "--data-dir", text(&data), "--head", "--expect", &head]);
        let server = Start { settings: &settings, ..Start::at(&data, "2026-11-05T18:00") }.run();
        let mut client = server.lodgement().await;
        let again = client.submit_batch(by(&shop, good.clone())).await.unwrap().into_inner();
        assert_eq!(again.verdicts[0].outcome(), Outcome::Replayed);
        assert_eq!(again.verdicts[0].mrn, first.mrn);
        client.get_declaration(by(&desk, read_good())).await.unwrap();
        let refused = client.get_declaration(read_good()).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        assert_eq!(reads(&data, "desk"), reads(&backup, "desk") + 1);
        let log = waag_ok(&["audit", "--data-dir", text(&data), "--who", "server"]);
        assert!(log.contains("restore from a backup of records 1 to"), "{log}");
        assert_eq!(server.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_in_the_audit_log_of_what_it_was_taken_of() {
    let (outer, data) = folder();
    let log = || waag_ok(&["audit", "--data-dir", text(&data), "--who", "server"]);
    let backups = || log().lines().filter(|line| line.contains("  backup to ")).count();
    let server = Start::at(&data, CLOCK).run();
    let to = outer.path().join("beside");
    back_up(&data, &to).await;
    common::wait_until("the server records it", || backups() == 1);
    assert!(log().contains(&format!("backup to {}, by user ", to.display())), "{}", log());
    assert_eq!(server.stop().await, 0);
    // Without a server it is recorded by the next one.
    back_up(&data, &outer.path().join("alone")).await;
    assert_eq!(backups(), 1);
    let server = Start::at(&data, CLOCK).run();
    common::wait_until("the next server records it", || backups() == 2);
    assert_eq!(server.stop().await, 0);
    waag_ok(&["verify", "--data-dir", text(&data)]);
}
