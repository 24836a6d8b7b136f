//! Over mutual TLS each role tries everything, allowed or not. What it was refused and what it read is in the
//! audit log. Certificates, clients and tokens change while the server runs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;
#[path = "common/secured.rs"]
mod secured;

use common::{CLOCK, HANGS_AFTER, Start, declaration, folder, waag, waag_ok};
use secured::{
    Authority, CLIENTS, Came, Client, OTHER, OWN, Secured, assert_codes, came, code, of, text,
};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use waag::audit::Hash;
use waag::proto::v1::lodgement_client::LodgementClient;
use waag::proto::v1::submit_batches_response::Result as Item;
use waag::proto::v1::{self, get_declaration_request::Key};

/// What one may do, of all that there is.
async fn everything(client: &Client, lrn: &str, mrns: [&str; 2]) -> Vec<(&'static str, Code)> {
    use v1::ActorRole::{Declarant, IossHolder, Representative};
    let mut codes = Vec::new();
    let mut note = |what, came: Came| codes.push((what, code(&came)));
    note("lodge own", came(client.submit(OWN, lrn).await));
    note("lodge other", came(client.submit(OTHER, lrn).await));
    // Written otherwise it is the same declarant.
    note("lodge other, in lower case", came(client.submit(" nl810000004", lrn).await));
    note("reference own", client.reference(OWN, "FIRST").await);
    note("reference other", client.reference(OTHER, "FIRST").await);
    note("reference other, in lower case", client.reference("nl810000004 ", "FIRST").await);
    note("MRN own", client.get(Key::Mrn(mrns[0].into())).await);
    note("MRN other", client.get(Key::Mrn(mrns[1].into())).await);
    note("summary own", client.summary(Declarant, OWN).await);
    note("summary other", client.summary(Declarant, OTHER).await);
    note("summary representative", client.summary(Representative, OTHER).await);
    note("summary IOSS", client.summary(IossHolder, "IM0400000011").await);
    note("list", client.list().await);
    note("watch own", client.watch(&[OWN]).await);
    note("watch both", client.watch(&[OWN, OTHER]).await);
    note("watch all", client.watch(&[]).await);
    note("reconciliations own", client.reconciliations(OWN).await);
    note("reconciliations other", client.reconciliations(OTHER).await);
    note("findings own", client.findings(Declarant, OWN).await);
    note("findings other", client.findings(Declarant, OTHER).await);
    note("findings representative, own", client.findings(Representative, OWN).await);
    note("findings representative, other", client.findings(Representative, OTHER).await);
    note("findings IOSS", client.findings(IossHolder, "IM0400000011").await);
    note("findings of all", client.findings(Declarant, "").await);
    note("status", client.status().await);
    note("reload", client.reload().await);
    note("reasons", client.reasons().await);
    note("reflection", client.reflection().await);
    note("health", client.health().await);
    codes
}

#[tokio::test]
async fn each_role_does_what_it_may_and_nothing_else() {
    let secured = Secured::new("");
    let supervisor = secured.token("supervisor");
    let server = secured.start();
    let own = secured.client(&server, "own");
    let other = secured.client(&server, "other");
    let mut mrns = Vec::new();
    for (client, declarant) in [(&own, OWN), (&other, OTHER)] {
        let answer = client.submit(declarant, "FIRST").await.unwrap();
        assert_eq!(answer.verdicts[0].outcome(), v1::Outcome::Accepted);
        mrns.push(answer.verdicts[0].mrn.clone());
    }
    let mrns = [mrns[0].as_str(), mrns[1].as_str()];
    let with_token = |token| Client::of(&server, &secured.authority.pem, None, Some(token));
    let analyst = secured.client(&server, "analyst");
    let operator = secured.client(&server, "operator");
    let supervisor = with_token(&supervisor);
    //                                            lodge refer. MRN summary list watch rec. findings op. rest
    assert_codes(
        "declarant",
        &everything(&own, "A", mrns).await,
        ".xx .xx .? .xxx x .xx .x .x.xxx xx ...",
    );
    assert_codes(
        "analyst",
        &everything(&analyst, "B", mrns).await,
        "xxx xxx xx ..?? . ... .. ...... .x ...",
    );
    assert_codes(
        "supervisor",
        &everything(&supervisor, "C", mrns).await,
        "xxx ... .. xxxx x xxx xx xxxxxx xx ...",
    );
    assert_codes(
        "operator",
        &everything(&operator, "D", mrns).await,
        "xxx xxx xx xxxx x xxx xx xxxxxx .. ...",
    );
    let nobody = "uuu uuu uu uuuu u uuu uu uuuuuu uu uu.";
    let stranger = secured.client(&server, "stranger");
    assert_codes("a stranger", &everything(&stranger, "E", mrns).await, nobody);
    let anonymous = Client::of(&server, &secured.authority.pem, None, None);
    assert_codes("nobody", &everything(&anonymous, "F", mrns).await, nobody);
    let guessed = format!("waag_{}_{}", "0".repeat(16), "0".repeat(64));
    assert_codes("a guess", &everything(&with_token(&guessed), "G", mrns).await, nobody);
    // A wrong token does not fall back to the certificate.
    let pair = secured.authority.signs("own", &[]);
    let both = Client::of(&server, &secured.authority.pem, Some(&pair), Some(&guessed));
    assert_codes("certificate and wrong token", &everything(&both, "H", mrns).await, nobody);

    // What is missing is said, and whether another's declaration is there is not.
    let (_, told) = came(own.submit(OTHER, "A").await).unwrap_err();
    assert!(told.contains("role declarant for NL810000004") && told.contains("\"own\""), "{told}");
    let (_, told) = own.get(Key::Mrn(mrns[1].into())).await.unwrap_err();
    // As of one that was never lodged.
    assert_eq!(told, format!("no declaration was lodged as {:?}", mrns[1]));
    // A certificate of an authority that the server does not know: no connection at all, or no call.
    let forged = Authority::new("authority").signs("own", &[]);
    let forged = Client::of(&server, &secured.authority.pem, Some(&forged), None);
    if let Ok(channel) = forged.try_channel().await {
        let request = HealthCheckRequest { service: String::new() };
        assert!(HealthClient::new(channel).check(request).await.is_err());
    }
    assert_audited(&secured, mrns);
}

#[tokio::test]
async fn an_operator_reloads_and_drains_and_nobody_else() {
    let secured = Secured::new("");
    let rules = secured.files.join("rules");
    waag_ok(&["rules", "export", text(&rules)]);
    let start = Start { settings: &secured.settings, ..Start::at(&secured.data, CLOCK) };
    let server = Start { rules: Some(&rules), ..start }.run();
    let client = |name| secured.client(&server, name);
    let (own, analyst, operator) = (client("own"), client("analyst"), client("operator"));

    // Headphones become restricted, by files that are whole only at the second attempt.
    let restrictions = rules.join("restrictions.csv");
    let content = std::fs::read_to_string(&restrictions).unwrap();
    let row = content.lines().find(|line| line.starts_with("9301")).unwrap();
    let row = row.replacen("9301", "851830", 1);
    std::fs::write(&restrictions, format!("{content}half a row")).unwrap();
    let (wrong, told) = operator.reload().await.unwrap_err();
    assert_eq!(wrong, Code::FailedPrecondition);
    assert!(told.contains("restrictions.csv"), "{told}");
    let answer = own.submit(OWN, "FIRST").await.unwrap();
    assert_eq!(answer.verdicts[0].outcome(), v1::Outcome::Accepted);
    std::fs::write(&restrictions, format!("{content}{row}\n")).unwrap();
    let mut calls = operator.operation().await;
    let before = calls.get_server_status(v1::GetServerStatusRequest {}).await.unwrap().into_inner();
    let after = calls.reload_rules(v1::ReloadRulesRequest {}).await.unwrap().into_inner();
    assert_eq!((before.law, after.law), (0, 1));
    assert_ne!(before.rule_set, after.rule_set);
    let now = calls.get_server_status(v1::GetServerStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((now.law, now.rule_set), (after.law, after.rule_set));
    assert!(now.is_lodging && now.is_reading && now.disk_free_bytes > Some(0));
    let answer = own.submit(OWN, "SECOND").await.unwrap();
    assert_eq!(common::reasons(&answer.verdicts[0], v1::Severity::Reject), ["GOODS_RESTRICTED"]);

    for who in [&own, &analyst] {
        assert_eq!(code(&who.drain().await), Code::PermissionDenied);
    }
    operator.drain().await.unwrap();
    let (ended, log) = server.ended().await;
    assert_eq!(ended, 0, "{log}");
    let log = waag_ok(&["audit", "--data-dir", text(&secured.data), "--json"]);
    for part in ["reload rules", "not reloaded", "law 1 is in force", "\"drain\""] {
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[tokio::test]
async fn where_no_clients_are_known_there_is_no_operator() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let told = waag_ok(&["operate", "status", "--from", &server.url()]);
    assert!(told.contains("lodging     yes"), "{told}");
    for (order, signal) in [("reload", "SIGHUP"), ("drain", "SIGTERM")] {
        let output = waag(&["operate", order, "--from", &server.url()]);
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(signal) && told.contains("clients"), "{told}");
    }
    assert_eq!(server.stop().await, 0);
}

/// Everything that was read and refused stands in the audit log, with whom.
fn assert_audited(secured: &Secured, mrns: [&str; 2]) {
    let data = text(&secured.data);
    let log = waag_ok(&["audit", "--data-dir", data, "--json"]);
    let entries: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |who: &str, action: &str, target: &str, is_denied: bool| {
        let is = |entry: &&serde_json::Value| {
            entry["who"] == who
                && entry["action"] == action
                && entry["target"].as_str().is_some_and(|text| text.contains(target))
                && entry["denied"].is_string() == is_denied
        };
        assert!(
            entries.iter().any(|entry| is(&entry)),
            "{who} {action} {target} {is_denied}:\n{log}"
        );
    };
    let clients = Hash::of(&std::fs::read(secured.files.join("clients.toml")).unwrap());
    has("server", "start", &format!("clients {clients}"), false);
    has("own", "read declaration", "NL810000003/FIRST", false);
    has("own", "read declaration", "NL810000004/FIRST", true);
    has("own", "read declaration", mrns[1], true);
    has("supervisor", "read declaration", "NL810000004/FIRST", false);
    has("supervisor", "read declaration", &format!("{} of NL810000004", mrns[1]), false);
    has("analyst", "read summary", "NL810000004", false);
    has("analyst", "read reconciliations", "NL810000004", false);
    has("own", "read reconciliations", "NL810000004", true);
    has("own", "read findings", "declarant NL810000003", false);
    has("own", "read findings", "declarant NL810000004", true);
    has("analyst", "read findings", "declarant every one", false);
    has("supervisor", "read findings", "declarant every one", true);
    has("analyst", "watch summaries", "every one", false);
    has("analyst", "lodge", "NL810000003", true);
    has("operator", "read summary", "NL810000003", true);
    let shown = entries.iter().find(|entry| entry["who"] == "own").unwrap();
    assert_eq!(shown["shown"], "certificate { CN = \"own\", O = \"Test\" }");
    assert!(shown["from"].as_str().unwrap().starts_with("127.0.0.1:"), "{shown}");
    let head = waag_ok(&["audit", "--data-dir", data, "--head"]);
    waag_ok(&["audit", "--data-dir", data, "--head", "--expect", head.trim()]);
    let wrong = format!("1:{}", "0".repeat(64));
    let output = waag(&["audit", "--data-dir", data, "--head", "--expect", &wrong]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("was written anew"));
}

#[tokio::test]
async fn a_stream_goes_on_after_a_batch_for_another_and_ends_when_its_token_is_revoked() {
    let secured = Secured::new("");
    let token = secured.token("own");
    let server = secured.start();
    let client = Client::of(&server, &secured.authority.pem, None, Some(&token));
    let (requests, receiver) = tokio::sync::mpsc::channel(1);
    let batches = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut lodgement = LodgementClient::new(client.channel().await);
    let mut answers = lodgement.submit_batches(batches).await.unwrap().into_inner();
    let mut answer = async |declarant, lrn: &str| {
        requests.send(of(declarant, lrn)).await.unwrap();
        tokio::time::timeout(HANGS_AFTER, answers.message()).await.unwrap()
    };
    let refused = answer(OTHER, "A").await.unwrap().unwrap().result.unwrap();
    let Item::Refusal(refusal) = refused else { panic!("{refused:?}") };
    assert_eq!((refusal.code, refusal.retry_after_ms), (Code::PermissionDenied as i32, 0));
    let accepted = answer(OWN, "A").await.unwrap().unwrap().result.unwrap();
    assert!(matches!(accepted, Item::Answer(_)), "{accepted:?}");
    let id = token.split('_').nth(1).unwrap();
    let (config, data) = (secured.config(), text(&secured.data).to_owned());
    waag_ok(&["token", "revoke", id, "--config", text(&config), "--data-dir", &data]);
    server.wait_for_log("of own revoked");
    assert_eq!(answer(OWN, "B").await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(code(&came(client.submit(OWN, "C").await)), Code::Unauthenticated);
    let listed =
        waag_ok(&["token", "list", "--config", text(&config), "--data-dir", &data, "--json"]);
    assert_eq!(listed.trim(), r#"{"tokens":[]}"#);
}

#[tokio::test]
async fn certificates_and_clients_change_without_a_restart() {
    let secured = Secured::new("client_certificates_required = true");
    let server = secured.start();
    let before = secured.client(&server, "own");
    let open = before.channel().await;
    // Without a certificate there is no connection here, token or not.
    let bare = Client::of(&server, &secured.authority.pem, None, None);
    if let Ok(channel) = bare.try_channel().await {
        let request = HealthCheckRequest { service: String::new() };
        assert!(HealthClient::new(channel).check(request).await.is_err());
    }
    let next = Authority::new("next");
    secured.serve_as(&next.signs("server", &["127.0.0.1"]));
    server.wait_for_log("what=\"certificates\"");
    assert!(before.try_channel().await.is_err(), "it still shows the old certificate");
    let pair = secured.authority.signs("own", &[]);
    let after = Client::of(&server, &next.pem, Some(&pair), None);
    assert_eq!(code(&came(after.submit(OWN, "A").await)), Code::Ok);
    // A connection that is open goes on.
    assert!(LodgementClient::new(open).submit_batch(of(OWN, "B")).await.is_ok());
    // A file of no use changes nothing.
    secured.write("server.pem", "no certificate");
    secured.write("clients.toml", "no clients");
    server.wait_for_log("not in force");
    assert_eq!(code(&came(after.submit(OWN, "C").await)), Code::Ok);
    secured.write(
        "clients.toml",
        &CLIENTS.replace(
            "name = \"own\"\nroles = [\"declarant\"]\neoris = [\"NL810000003\"]",
            "name = \"own\"\nroles = [\"analyst\"]",
        ),
    );
    server.wait_for_log("what=\"5 clients");
    assert_eq!(code(&came(after.submit(OWN, "D").await)), Code::PermissionDenied);
    assert_eq!(code(&after.list().await), Code::Ok);
}

#[tokio::test]
async fn the_command_line_reads_a_summary_with_certificate_or_token() {
    let secured = Secured::new("");
    let token = secured.token("analyst");
    // Whoever is elsewhere is let in where there are TLS and clients.
    let server = Start {
        settings: &secured.settings,
        listen: "0.0.0.0:0",
        ..Start::at(&secured.data, CLOCK)
    };
    let log = server.try_run().err().unwrap();
    assert!(log.contains("--clock is for tests"), "{log}");
    let server = secured.start();
    secured.client(&server, "own").submit(OWN, "A").await.unwrap();
    let pair = secured.authority.signs("own", &[]);
    secured.write("own.pem", &pair.certificate);
    secured.write("own.key", &pair.key);
    secured.write("token", &format!("{token}\n"));
    secured.write("empty", "\n");
    let file = |name: &str| secured.files.join(name).to_str().unwrap().to_owned();
    let url = format!("https://{}", server.address);
    let summary = |args: &[&str]| {
        let mut all = vec!["summary", "--from", &url, "--at-least-watermark", "3"];
        all.extend(args);
        let output = waag(&all);
        let (out, log) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
        (output.status.success(), format!("{}{}", out.unwrap(), log.unwrap()))
    };
    let (authority, with_token) = (file("authorities.pem"), file("token"));
    let (certificate, key) = (file("own.pem"), file("own.key"));
    let own = ["--authority", &authority, "--certificate", &certificate, "--key", &key];
    let analyst = ["--authority", &authority, "--token-file", &with_token];
    let shows = |(is_ok, told): (bool, String), expected: bool, text: &str| {
        assert!(is_ok == expected && told.contains(text), "{told}");
    };
    shows(summary(&[&own[..], &["--actor", OWN]].concat()), true, OWN);
    shows(summary(&own), false, "needs role analyst");
    shows(summary(&analyst), true, OWN);
    shows(summary(&["--authority", &authority]), false, "nobody is known");
    let empty = file("empty");
    shows(summary(&["--authority", &authority, "--token-file", &empty]), false, "holds no token");
    let missing = file("missing");
    shows(summary(&["--authority", &missing]), false, "--authority");
}

#[test]
fn cases_of_law_are_played_with_a_token_or_a_certificate_and_none_for_another_declarant() {
    let secured = Secured::new("");
    let token = secured.token("own");
    let server = secured.start();
    let pair = secured.authority.signs("own", &[]);
    secured.write("own.pem", &pair.certificate);
    secured.write("own.key", &pair.key);
    secured.write("token", &format!("{token}\n"));
    let file = |name: &str| secured.files.join(name).to_str().unwrap().to_owned();
    let url = format!("https://{}", server.address);
    let (authority, with_token) = (file("authorities.pem"), file("token"));
    let (certificate, key) = (file("own.pem"), file("own.key"));
    let play = |more: &[&str]| {
        let all =
            ["conformity", "--against", &url, "--on", "2026-11-05", "--authority", &authority];
        let output = waag(&[&all[..], more].concat());
        let (out, log) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
        (output.status.code().unwrap(), out.unwrap(), log.unwrap())
    };
    let by_certificate = ["--certificate", &certificate, "--key", &key];
    for caller in [&["--token-file", &with_token][..], &by_certificate] {
        let (code, out, log) = play(caller);
        assert_eq!(code, 0, "{out}{log}");
        // Those of other declarants are told, and why.
        let told = out.lines().find(|line| line.contains("header/eori-xi")).unwrap();
        assert!(
            told.starts_with("not played: the service does not allow it: PERMISSION_DENIED"),
            "{told}"
        );
        assert!(!told.contains("header/eori-nl"), "{told}");
    }
    for (caller, told) in [
        (&[][..], "the service does not know who calls (UNAUTHENTICATED"),
        (&["--declarant", OTHER, "--token-file", &with_token], "does not let NL810000004 lodge"),
        (&["--token-file", &file("missing")], "--token-file"),
        (&["--token-file", &authority], "holds no token"),
    ] {
        let (code, out, log) = play(caller);
        assert!(code == 2 && out.is_empty() && log.contains(told), "{code} {out} {log}");
    }
}

#[test]
fn a_file_is_sent_with_certificate_or_token_and_for_no_other_declarant() {
    let secured = Secured::new("");
    let token = secured.token("own");
    let server = secured.start();
    let pair = secured.authority.signs("own", &[]);
    secured.write("own.pem", &pair.certificate);
    secured.write("own.key", &pair.key);
    secured.write("token", &token);
    let file = |name: &str| secured.files.join(name).to_str().unwrap().to_owned();
    let url = format!("https://{}", server.address);
    let orders = file("orders.jsonl");
    std::fs::write(&orders, serde_json::to_string(&declaration("A")).unwrap()).unwrap();
    let authority = file("authorities.pem");
    let send = |declarant: &str, args: &[&str]| {
        let mut all = vec!["send", &orders, "--to", &url, "--declarant", declarant, "--anew"];
        all.extend(["--authority", &authority]);
        all.extend(args);
        let output = waag(&all);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (certificate, key, token) = (file("own.pem"), file("own.key"), file("token"));
    for args in [&["--certificate", &certificate, "--key", &key][..], &["--token-file", &token]] {
        let (code, log) = send(OWN, args);
        assert_eq!(code, Some(0), "{log}");
        let (code, log) = send(OTHER, args);
        assert!(code == Some(5) && log.contains(OTHER), "{code:?}: {log}");
    }
    let (code, log) = send(OWN, &[]);
    assert!(code == Some(5) && log.contains("nobody is known"), "{code:?}: {log}");
}
