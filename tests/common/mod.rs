//! A real server in a process of its own, over real gRPC, for whole-server tests.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tonic::transport::Channel;
use waag::proto::v1::compliance_client::ComplianceClient;
use waag::proto::v1::lodgement_client::LodgementClient;
use waag::proto::v1::{self, SubmitBatchRequest};

/// The binary under test.
pub const WAAG: &str = env!("CARGO_BIN_EXE_waag");

/// Small bounds, so that a test server starts in little time and memory. All clients of a test come from one address.
pub const SETTINGS: &str = r#"
memory_max = "256MiB"
batch_bytes_max = "1MiB"
segment_bytes = "8MiB"
workers = 2
checkpoint_interval_ms = 50
clock_behind_s_max = 60000
address_connections_max = 64
"#;

/// Past this, what is waited for will not come: no test takes nearly as long.
pub const HANGS_AFTER: Duration = Duration::from_secs(600);

/// A running server; killed when it goes out of scope.
pub struct Server {
    child: Child,
    pub address: String,
    pub data: PathBuf,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

/// How to start a server.
pub struct Start<'a> {
    pub data: &'a Path,
    pub clock: &'a str,
    pub listen: &'a str,
    pub settings: &'a str,
    pub rules: Option<&'a Path>,
    /// What a shell does before it becomes the server.
    pub before: Option<&'a str>,
}

impl<'a> Start<'a> {
    pub fn at(data: &'a Path, clock: &'a str) -> Self {
        let listen = "127.0.0.1:0";
        Self { data, clock, listen, settings: SETTINGS, rules: None, before: None }
    }

    /// Starts it and waits until it listens; its log, should it stop before.
    pub fn try_run(&self) -> Result<Server, String> {
        self.spawn().listening()
    }

    /// Starts it.
    pub fn spawn(&self) -> Starting {
        let settings = self.data.with_extension("toml");
        std::fs::write(&settings, self.settings).unwrap();
        let mut command = match self.before {
            None => Command::new(WAAG),
            Some(before) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(WAAG);
                shell
            }
        };
        command
            .args(["serve", "--listen", self.listen, "--clock", self.clock])
            .arg("--data-dir")
            .arg(self.data)
            .arg("--config")
            .arg(&settings)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(rules) = self.rules {
            command.arg("--rules").arg(rules);
        }
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, listening) = std::sync::mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        let reading = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening address=") {
                    let _ = sender.send(address.trim().to_owned());
                }
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Starting { child, data: self.data.into(), log, listening, reading }
    }

    pub fn run(&self) -> Server {
        self.try_run().unwrap_or_else(|log| panic!("the server did not start:\n{log}"))
    }
}

/// A server that does not listen yet.
pub struct Starting {
    child: Child,
    data: PathBuf,
    log: Arc<Mutex<String>>,
    listening: Receiver<String>,
    reading: JoinHandle<()>,
}

impl Starting {
    /// What the log has after `text`, once it is there.
    pub fn told(&self, text: &str) -> String {
        told(&self.log, text)
    }

    pub fn signal(&self, signal: &str) {
        send_signal(&self.child, signal);
    }

    /// Waits until it listens; its log, should it stop before.
    pub fn listening(mut self) -> Result<Server, String> {
        // The channel closes when the process does.
        match self.listening.recv_timeout(HANGS_AFTER) {
            Ok(address) => Ok(Server {
                child: self.child,
                address,
                data: self.data,
                log: self.log,
                reading: Some(self.reading),
            }),
            Err(_) => {
                let _ = self.child.kill();
                let _ = self.child.wait();
                self.reading.join().unwrap();
                let log = self.log.lock().unwrap().clone();
                Err(log)
            }
        }
    }
}

/// What a log has after `text`, to the end of that line, once it is there.
fn told(log: &Mutex<String>, text: &str) -> String {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let log = log.lock().unwrap().clone();
        if let Some((_, rest)) = log.split_once(text) {
            return rest.lines().next().unwrap_or_default().trim().to_owned();
        }
        assert!(Instant::now() < until, "no {text:?} in the log:\n{log}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn send_signal(child: &Child, signal: &str) {
    let status = Command::new("kill").arg(signal).arg(child.id().to_string()).status();
    assert!(status.unwrap().success());
}

impl Server {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(self.url()).unwrap().connect().await.unwrap()
    }

    pub async fn lodgement(&self) -> LodgementClient<Channel> {
        LodgementClient::new(self.channel().await).max_decoding_message_size(16 << 20)
    }

    pub async fn compliance(&self) -> ComplianceClient<Channel> {
        ComplianceClient::new(self.channel().await)
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// What the log has after `text`, once it is there.
    pub fn told(&self, text: &str) -> String {
        told(&self.log, text)
    }

    /// Waits until the log holds `text`.
    pub fn wait_for_log(&self, text: &str) {
        self.told(text);
    }

    pub fn signal(&self, signal: &str) {
        send_signal(&self.child, signal);
    }

    /// From now on no file of the server may be written past so many bytes.
    pub fn limit_files(&self, bytes: u64) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    }

    /// The same until [`Server::lift_limit`].
    pub fn limit_files_for_now(&self, bytes: u64) {
        self.soft_limit(Some(bytes));
    }

    pub fn lift_limit(&self) {
        self.soft_limit(None);
    }

    fn soft_limit(&self, current: Option<u64>) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
        prlimit(pid, Resource::Fsize, Rlimit { current: current.or(maximum), maximum }).unwrap();
    }

    /// The most memory it has had so far.
    pub fn resident_bytes_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its exit code once it has stopped. Meanwhile the test's own clients must be able
    /// to see that the server goes.
    pub async fn stop(self) -> i32 {
        self.signal("-TERM");
        self.ended().await.0
    }

    /// Its exit code and its log once it has ended.
    pub async fn ended(mut self) -> (i32, String) {
        let until = Instant::now() + HANGS_AFTER;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "the server does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        if let Some(reading) = self.reading.take() {
            reading.join().unwrap();
        }
        (status.code().unwrap(), self.log())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for what a server does by itself.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(300);
    while !holds() {
        assert!(Instant::now() < until, "not in five minutes: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs `waag` to its end.
pub fn waag(args: &[&str]) -> Output {
    Command::new(WAAG).args(args).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap()
}

/// Runs `waag`, which must succeed, and gives its standard output.
pub fn waag_ok(args: &[&str]) -> String {
    let output = waag(args);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "waag {args:?}: {log}");
    String::from_utf8(output.stdout).unwrap()
}

/// A new data folder's path in a temporary folder.
pub fn folder() -> (tempfile::TempDir, PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let data = outer.path().join("data");
    (outer, data)
}

/// The cases of customs law: request, day and what must come out.
pub fn cases() -> Vec<serde_json::Value> {
    serde_json::from_str(include_str!("../cases.json")).unwrap()
}

/// A good declaration of 2026-11-05, to be changed as a test needs it.
pub fn declaration(lrn: &str) -> v1::Declaration {
    let case = cases()
        .into_iter()
        .find(|case| case["case"] == "new regime, standard VAT, product identifiers")
        .unwrap();
    let request: SubmitBatchRequest = serde_json::from_value(case["request"].clone()).unwrap();
    v1::Declaration { lrn: lrn.into(), ..request.declarations[0].clone() }
}

/// A day on which [`declaration`] is good, as a server's clock.
pub const CLOCK: &str = "2026-11-05T12:00";

/// The moment of [`CLOCK`].
pub const NOON: i64 = 1_793_876_400_000;

/// The same with another value, in hundredths of a euro.
pub fn with_value(lrn: &str, hundredths: u64) -> v1::Declaration {
    let mut declaration = declaration(lrn);
    declaration.goods_items[0].intrinsic_value.as_mut().unwrap().hundredths = hundredths;
    declaration
}

/// From one private person to another.
pub fn gift(lrn: &str) -> v1::Declaration {
    let mut gift = with_value(lrn, 2_000);
    gift.transport_costs = None;
    gift.exporter = Some(v1::Party {
        name: "Geheime Afzender".into(),
        street: "Verborgen Laan 9".into(),
        postcode: "1000".into(),
        city: "Beograd".into(),
        country: "RS".into(),
        identification: String::new(),
    });
    for item in &mut gift.goods_items {
        item.additional_procedures = vec!["C08".into()];
        item.product = None;
    }
    gift
}

/// First lodged so many hours before [`NOON`], while the service was down.
pub fn fallback(lrn: &str, hours: i64) -> v1::Declaration {
    let lodged_at_ms = NOON - hours * 3_600_000;
    let fallback = Some(v1::FallbackLodgement { reference: "NOOD-7".into(), lodged_at_ms });
    v1::Declaration { fallback, ..declaration(lrn) }
}

/// One for each way in which a declaration is answered first.
pub fn one_of_each() -> Vec<v1::Declaration> {
    vec![
        declaration("GOOD"),
        with_value("DEAR", 15_001),
        gift("GIFT"),
        fallback("LATE", 30),
        fallback("TOO-LATE", 31 * 24),
        declaration("  "),
        with_value("CORRECTED", 15_001),
    ]
}

/// A declaration as an archive without personal data has it.
pub fn withheld(mut declaration: v1::Declaration) -> v1::Declaration {
    let is_gift = declaration.goods_items[0].additional_procedures == ["C08"];
    let exporter = declaration.exporter.as_mut().filter(|_| is_gift);
    for party in [declaration.importer.as_mut(), exporter].into_iter().flatten() {
        party.name.clear();
        party.street.clear();
    }
    declaration
}

/// A batch of them.
pub fn batch(id: &str, declarations: Vec<v1::Declaration>) -> SubmitBatchRequest {
    SubmitBatchRequest {
        batch_id: id.into(),
        declarant: "NL810000003".into(),
        declarations,
        ..SubmitBatchRequest::default()
    }
}

pub async fn lodge(server: &Server, request: SubmitBatchRequest) -> v1::SubmitBatchResponse {
    server.lodgement().await.submit_batch(request).await.unwrap().into_inner()
}

/// What `GET /metrics` at `address` answers, with status and headers.
pub fn http_get(address: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANGS_AFTER)).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Names of the reasons of a verdict, of one severity.
pub fn reasons(verdict: &v1::Verdict, severity: v1::Severity) -> Vec<String> {
    let of = verdict.findings.iter().filter(|finding| finding.severity() == severity);
    let mut names: Vec<String> = of.map(|finding| finding.reason.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// A declarant's summary at a watermark or later.
pub async fn summary(server: &Server, id: &str, at_least: u64) -> v1::ActorSummary {
    summary_of(server, v1::ActorRole::Declarant, id, at_least).await.unwrap()
}

/// An actor's summary at a watermark or later.
pub async fn summary_of(
    server: &Server,
    role: v1::ActorRole,
    id: &str,
    at_least: u64,
) -> Result<v1::ActorSummary, tonic::Status> {
    let request = v1::GetActorSummaryRequest {
        actor: Some(v1::Actor { role: role.into(), id: id.into() }),
        period: None,
        at_least_watermark: at_least,
    };
    let response = server.compliance().await.get_actor_summary(request).await?;
    Ok(response.into_inner().summary.unwrap())
}

/// All summaries of a role, without their watermarks, ordered by actor.
pub async fn summaries(
    server: &Server,
    role: v1::ActorRole,
    at_least: u64,
) -> Vec<v1::ActorSummary> {
    let mut client = server.compliance().await;
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListActorSummariesRequest {
            role: role.into(),
            period: None,
            at_least_watermark: at_least,
            page_size: 7,
            page_token,
            order: v1::ActorOrder::Id.into(),
        };
        let page = client.list_actor_summaries(request).await.unwrap().into_inner();
        all.extend(page.summaries.into_iter().map(|s| v1::ActorSummary { watermark: 0, ..s }));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}
