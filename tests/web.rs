//! The analysts' page over plain HTTP: its figures are those of the gRPC service, for the same readers, under
//! the same names in the audit log; and nobody else's page gets at them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "web/books.rs"]
mod books;
mod common;
#[path = "web/findings.rs"]
mod findings;

use std::io::{Read, Write};
use std::path::Path;

use common::{
    CLOCK, HANGS_AFTER, SETTINGS, Server, Start, batch, declaration, folder, lodge, summary,
    waag_ok, with_value,
};
use serde_json::Value;
use waag::proto::v1;

const OWN: &str = "NL810000003";

fn start(data: &Path, more: &str) -> Server {
    let settings = format!("{SETTINGS}\n{more}\n[web]\nlisten = \"127.0.0.1:0\"\n");
    Start { settings: &settings, ..Start::at(data, CLOCK) }.run()
}

/// Where the page is.
fn address(server: &Server) -> String {
    let url = server.told("page url=");
    url.trim_matches('"').strip_prefix("http://").unwrap().trim_end_matches('/').to_owned()
}

/// Status line and headers, and the body.
fn send(address: &str, request: &str) -> (String, String) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANGS_AFTER)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn get(address: &str, path: &str, headers: &str) -> (String, String) {
    send(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n"))
}

/// What an endpoint tells.
fn json(address: &str, path: &str) -> Value {
    let (head, body) = get(address, path, "");
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}\n{body}");
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(&body).unwrap()
}

/// A message as whoever reads it gets it: serde_json reads some numbers a last digit off.
fn told<T: serde::Serialize>(message: &T) -> Value {
    serde_json::from_str(&serde_json::to_string(message).unwrap()).unwrap()
}

fn actor() -> Option<v1::Actor> {
    Some(v1::Actor { role: 1, id: OWN.into() })
}

#[tokio::test]
async fn each_figure_is_that_of_the_service() {
    let (_outer, data) = folder();
    let server = start(&data, "");
    let at = address(&server);
    let declarations = (0..40).map(|n| declaration(&format!("L{n}"))).collect();
    lodge(&server, batch("1", declarations)).await;
    let mut other = batch("2", vec![with_value("A", 15_001), declaration("B")]);
    other.declarant = "NL810000004".into();
    let mark = lodge(&server, other).await.watermark;

    let expected = summary(&server, OWN, mark).await;
    let found = json(&at, &format!("/api/actor?role=declarant&id={OWN}"));
    assert_eq!(found["summary"], told(&expected));
    assert_eq!(expected.accepted, 40);

    let mut client = server.compliance().await;
    let request = v1::ListActorSummariesRequest { role: 1, ..Default::default() };
    let mut expected = client.list_actor_summaries(request).await.unwrap().into_inner();
    for summary in &mut expected.summaries {
        summary.reasons.clear();
        summary.value_histogram.clear();
    }
    let found = json(&at, "/api/actors?role=declarant");
    assert_eq!((expected.summaries.len(), found), (2, told(&expected)));
    let first = json(&at, "/api/actors?role=declarant&page_size=1&order=id");
    let token = first["nextPageToken"].as_str().unwrap();
    let next = json(&at, &format!("/api/actors?page_size=1&order=id&page_token={token}"));
    assert_eq!(next["summaries"][0]["actor"]["id"], "NL810000004");

    let request = v1::GetIndicatorHistoryRequest {
        actor: Some(v1::Actor { role: 1, id: "NL810000004".into() }),
        indicators: vec!["rejection_rate".into()],
        peers: true,
        ..Default::default()
    };
    let expected = client.get_indicator_history(request).await.unwrap().into_inner();
    let path = "/api/history?id=nl810000004&indicator=rejection_rate&peers=true";
    assert_eq!(json(&at, path), told(&expected));
    let found = expected;
    assert_eq!((found.days.len(), found.days[0].day.as_str()), (1, "2026-11-05"));
    assert_eq!((found.days[0].indicators[0].value, found.days[0].peers[0].peers), (0.5, 1));
    assert_eq!(found.days[0].peers[0].median, Some(0.0));

    let request = v1::ListIndicatorsRequest {};
    let expected = client.list_indicators(request).await.unwrap().into_inner();
    let found: v1::ListIndicatorsResponse =
        serde_json::from_value(json(&at, "/api/indicators")).unwrap();
    assert_eq!(found, expected);
    assert!(found.indicators.iter().any(|it| it.name == "threshold_bunching"));
    let request = v1::ListReasonsRequest::default();
    let expected = server.lodgement().await.list_reasons(request).await.unwrap().into_inner();
    let found: v1::ListReasonsResponse = serde_json::from_value(json(&at, "/api/reasons")).unwrap();
    assert_eq!(found, expected);

    let system = json(&at, "/api/system");
    assert_eq!(system["declared"]["accepted"], 41);
    assert_eq!(
        (&system["declared"]["rejected"], &system["declared"]["watermark"]),
        (&1.into(), &mark.into())
    );
    assert_eq!(
        (&system["batches"]["answered"], &system["isRecovering"]),
        (&2.into(), &false.into())
    );
    let session = json(&at, "/api/session");
    assert_eq!(
        (&session["needsToken"], &session["newestDay"]),
        (&false.into(), &"2026-11-05".into())
    );

    // On the command line.
    let (url, name) = (server.url(), "rejection_rate");
    let args = ["summary", "--from", &url, "--actor", "NL810000004", "--history", name];
    let args: Vec<String> = args.map(str::to_owned).into();
    let run = |json: bool| {
        let mut args = args.clone();
        args.extend(json.then(|| "--json".to_owned()));
        tokio::task::spawn_blocking(move || {
            waag_ok(&args.iter().map(String::as_str).collect::<Vec<_>>())
        })
    };
    let text = run(false).await.unwrap();
    assert!(text.contains("2026-11-05  50.00 %") && text.contains("1 / 2"), "{text}");
    let told: v1::GetIndicatorHistoryResponse =
        serde_json::from_str(&run(true).await.unwrap()).unwrap();
    assert_eq!(told.days[0].peers[0].median, Some(0.0));
}

/// That a question is answered with `status`, in words that hold what is `told`.
fn assert_refused(at: &str, path: &str, status: u16, told: &str) {
    let (head, body) = get(at, path, "");
    assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}\n{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(body["message"].as_str().unwrap().contains(told), "{path}: {body}");
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_told() {
    let (_outer, data) = folder();
    let server = start(&data, "");
    let at = address(&server);
    for (path, status, told) in [
        ("/api/actor?id=NL999999999", 404, "names declarant NL999999999"),
        ("/api/actor?id=?", 400, "an EORI has"),
        ("/api/actors?role=platform", 400, "role is"),
        ("/api/actors?page_size=many", 400, "page_size is"),
        ("/api/actors?order=value", 400, "order is"),
        ("/api/actors?first_day=tomorrow", 400, "2026-11-22"),
        ("/api/history?id=NL810000003&indicator=luck", 400, "is none of rejection_rate"),
        (
            "/api/history?id=NL810000003&first_day=2026-01-01&last_day=2026-11-05&peers=true",
            400,
            "the bound with peers is 100",
        ),
        ("/api/history?id=NL810000003&first_day=2025-01-01&last_day=2026-11-05", 400, "is 400"),
        ("/api/nothing", 404, "nothing at"),
        ("/api/actor?id=%ff", 400, "no UTF-8"),
    ] {
        assert_refused(&at, path, status, told);
    }
    let request = v1::GetIndicatorHistoryRequest { actor: actor(), ..Default::default() };
    let unknown = server.compliance().await.get_indicator_history(request).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn the_page_keeps_to_itself() {
    let (_outer, data) = folder();
    let server = start(&data, "");
    let at = address(&server);
    for path in ["/", "/page.js", "/page.css", "/scales.svg", "/api/session", "/none"] {
        let (head, _) = get(&at, path, "");
        assert!(
            head.contains("content-security-policy: default-src 'self'; object-src 'none'"),
            "{head}"
        );
        assert!(!head.contains("-inline") && !head.contains("-eval"), "{head}");
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path}: {head}");
        }
        assert!(!head.contains("set-cookie") && !head.contains("access-control-allow"), "{head}");
    }
    let (head, page) = get(&at, "/", "");
    assert!(head.starts_with("HTTP/1.1 200") && page.contains("<main"), "{head}");
    let (head, _) = get(&at, "/none", "");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");

    // Another's name that leads here.
    for path in ["/", "/api/actors"] {
        let (head, body) = send(&at, &format!("GET {path} HTTP/1.1\r\nhost: evil.example\r\n\r\n"));
        assert!(head.starts_with("HTTP/1.1 421") && body.contains("hosts"), "{head}\n{body}");
        let (head, _) = send(&at, &format!("GET {path} HTTP/1.1\r\n\r\n"));
        assert!(head.starts_with("HTTP/1.1 421"), "{head}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        let request =
            format!("{method} /api/actors HTTP/1.1\r\nhost: {at}\r\ncontent-length: 0\r\n\r\n");
        let (head, _) = send(&at, &request);
        assert!(head.starts_with("HTTP/1.1 405"), "{method}: {head}");
    }
}

#[tokio::test]
async fn names_in_the_settings_are_answered() {
    let (_outer, data) = folder();
    let settings =
        format!("{SETTINGS}\n[web]\nlisten = \"127.0.0.1:0\"\nhosts = [\"waag.example\"]\n");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let at = address(&server);
    let (head, _) = send(&at, "GET / HTTP/1.1\r\nhost: waag.example\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[test]
fn beyond_this_machine_it_takes_tls_and_identity() {
    let (_outer, data) = folder();
    let settings = format!("{SETTINGS}\n[web]\nlisten = \"0.0.0.0:0\"\n");
    let log = Start { settings: &settings, ..Start::at(&data, CLOCK) }.try_run().err().unwrap();
    assert!(log.contains("web is 0.0.0.0:0: without TLS and identity"), "{log}");
    assert!(!data.exists(), "nothing was made");
}

const CLIENTS: &str = r#"
[[client]]
name = "inspector"
roles = ["analyst"]

[[client]]
name = "platform"
roles = ["declarant"]
eoris = ["NL810000003"]

[[client]]
name = "keeper"
roles = ["operator"]
"#;

/// Writes [`CLIENTS`] into the folder; the setting that names them, and a token of the inspector, the platform and
/// the keeper each.
fn tokens(outer: &Path, data: &Path) -> (String, [String; 3]) {
    let clients = outer.join("clients.toml");
    std::fs::write(&clients, CLIENTS).unwrap();
    let (setting, config) = (format!("clients = {clients:?}"), outer.join("token.toml"));
    std::fs::write(&config, &setting).unwrap();
    let (data, config) = (data.display().to_string(), config.display().to_string());
    let token =
        |client| waag_ok(&["token", "add", client, "--config", &config, "--data-dir", &data]);
    (setting, ["inspector", "platform", "keeper"].map(|client| token(client).trim().to_owned()))
}

/// Whoever shows the token, or none, gets these statuses of the paths.
fn assert_statuses(at: &str, token: Option<&String>, paths: &[&str], expected: &[u16]) {
    assert_eq!(paths.len(), expected.len());
    let header = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    for (path, status) in paths.iter().zip(expected) {
        let (head, body) = get(at, path, header.as_deref().unwrap_or_default());
        let is_so = head.starts_with(&format!("HTTP/1.1 {status}"));
        assert!(is_so, "{path} with {token:?}: {head}\n{body}");
    }
}

#[tokio::test]
async fn with_identity_on_an_analyst_shows_a_token_and_every_read_is_recorded() {
    let (outer, data) = folder();
    let (clients, [inspector, platform, keeper]) = tokens(outer.path(), &data);
    let server = start(&data, &clients);
    let at = address(&server);
    let lodged = {
        let mut request = tonic::Request::new(batch("1", vec![declaration("A")]));
        let bearer = format!("Bearer {platform}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        server.lodgement().await.submit_batch(request).await.unwrap().into_inner()
    };
    let mark = lodged.watermark;

    // The page itself holds no figure.
    let (head, _) = get(&at, "/", "");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let one = format!("/api/actor?id={OWN}&at_least_watermark={mark}");
    let history = format!("/api/history?id={OWN}");
    let peers = format!("{history}&peers=true");
    let paths = [
        one.as_str(),
        "/api/actors",
        &history,
        &peers,
        "/api/system",
        "/api/session",
        "/api/indicators",
    ];
    for path in paths {
        let (head, body) = get(&at, path, "");
        assert!(head.starts_with("HTTP/1.1 401"), "{path}: {head}");
        assert!(head.contains("www-authenticate: Bearer"), "{head}");
        assert!(!body.contains("\"accepted\""), "{body}");
    }
    let wrong = format!(
        "{}{}",
        &inspector[..inspector.len() - 1],
        if inspector.ends_with('0') { '1' } else { '0' }
    );
    for (token, expected) in [
        (&wrong, [401; 7]),
        (&inspector, [200; 7]),
        (&platform, [200, 403, 200, 403, 403, 200, 200]),
        (&keeper, [403, 403, 403, 403, 200, 200, 200]),
    ] {
        assert_statuses(&at, Some(token), &paths, &expected);
    }
    assert_eq!(server.stop().await, 0);

    let log = std::fs::read_dir(data.join("audit")).unwrap();
    let log: String =
        log.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let entries: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let recorded = |who: &str, action: &str, target: &str, is_denied: bool| {
        let of = entries.iter().filter(|entry| {
            entry["who"] == who
                && entry["action"] == action
                && entry["target"].as_str().unwrap_or("") == target
        });
        of.filter(|entry| entry.get("denied").is_some() == is_denied).count()
    };
    let (one, all) = (format!("declarant {OWN}"), "declarant every one");
    let (by_day, with_peers) = (format!("{one}, by day"), format!("{one}, by day, with its peers"));
    for (who, target, is_denied, times) in [
        ("inspector", one.as_str(), false, 1),
        ("inspector", all, false, 1),
        ("inspector", &by_day, false, 1),
        ("inspector", &with_peers, false, 1),
        ("platform", &one, false, 1),
        ("platform", all, true, 1),
        ("platform", &with_peers, true, 1),
        ("keeper", &one, true, 1),
    ] {
        assert_eq!(
            recorded(who, "read summary", target, is_denied),
            times,
            "{who} {target}\n{log}"
        );
    }
    assert_eq!(recorded("platform", "read system", "", true), 1);
    assert_eq!(recorded("inspector", "read system", "", false), 0, "it tells of no actor");
    assert!(recorded("unknown", "call", "", true) >= 7, "{log}");
    let from = entries.iter().find(|entry| entry["who"] == "inspector").unwrap();
    assert!(from["from"].as_str().unwrap().starts_with("127.0.0.1:"), "{from}");
}

#[tokio::test]
async fn where_the_server_has_tls_so_has_the_page() {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (outer, data) = folder();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [certificate, key] = ["server.pem", "server.key"].map(|name| outer.path().join(name));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let settings = format!(
        "{SETTINGS}\n[web]\nlisten = \"127.0.0.1:0\"\n[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"
    );
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let url = server.told("page url=");
    let at = url.trim_matches('"').strip_prefix("https://").unwrap().trim_end_matches('/');

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pair.cert.pem().as_bytes()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    // As a browser offers them.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let request = "GET /api/session HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("needsToken"), "{answer}");
}
