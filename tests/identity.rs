//! Over mutual TLS each role tries everything, allowed or not. What it was refused and what it read is in the
//! audit log. Certificates, clients and tokens change while the server runs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};

use common::{
    CLOCK, HANGS_AFTER, SETTINGS, Server, Start, batch, declaration, folder, waag, waag_ok,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use tokio_stream::iter;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use waag::proto::v1::compliance_client::ComplianceClient;
use waag::proto::v1::lodgement_client::LodgementClient;
use waag::proto::v1::operation_client::OperationClient;
use waag::proto::v1::submit_batches_response::Result as Item;
use waag::proto::v1::{self, get_declaration_request::Key};

const OWN: &str = "NL810000003";
const OTHER: &str = "NL810000004";

/// An authority, and what it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn signs(&self, name: &str, hosts: &[&str]) -> Pair {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "Test");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

/// A server with TLS and clients, and all files it reads.
struct Secured {
    _outer: tempfile::TempDir,
    data: PathBuf,
    files: PathBuf,
    authority: Authority,
    settings: String,
}

const CLIENTS: &str = r#"
[[client]]
name = "own"
roles = ["declarant"]
eoris = ["NL810000003"]
certificates = [{ CN = "own", O = "Test" }]

[[client]]
name = "other"
roles = ["declarant"]
eoris = ["NL810000004"]
certificates = [{ CN = "other", O = "Test" }]

[[client]]
name = "analyst"
roles = ["analyst"]
certificates = [{ CN = "analyst", O = "Test" }]

[[client]]
name = "supervisor"
roles = ["supervisor"]

[[client]]
name = "operator"
roles = ["operator"]
certificates = [{ CN = "operator", O = "Test" }]
"#;

impl Secured {
    fn new(further: &str) -> Self {
        let (outer, data) = folder();
        let files = outer.path().join("files");
        std::fs::create_dir(&files).unwrap();
        let authority = Authority::new("authority");
        let settings = format!(
            "{SETTINGS}\nclients = {clients:?}\n[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n\
             client_authorities = {authorities:?}\n{further}\n",
            clients = files.join("clients.toml"),
            certificate = files.join("server.pem"),
            key = files.join("server.key"),
            authorities = files.join("authorities.pem"),
        );
        let secured = Self { _outer: outer, data, files, authority, settings };
        secured.write("clients.toml", CLIENTS);
        secured.write("authorities.pem", &secured.authority.pem);
        secured.serve_as(&secured.authority.signs("server", &["127.0.0.1", "localhost"]));
        secured
    }

    /// As an editor does it: another file in its place.
    fn write(&self, name: &str, text: &str) {
        let new = self.files.join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.files.join(name)).unwrap();
    }

    fn serve_as(&self, pair: &Pair) {
        self.write("server.key", &pair.key);
        self.write("server.pem", &pair.certificate);
    }

    fn start(&self) -> Server {
        Start { settings: &self.settings, ..Start::at(&self.data, CLOCK) }.run()
    }

    /// Where the settings are once a server was started.
    fn config(&self) -> PathBuf {
        self.data.with_extension("toml")
    }

    fn token(&self, client: &str) -> String {
        let config = self.config();
        std::fs::write(&config, &self.settings).unwrap();
        let args =
            ["token", "add", client, "--config", text(&config), "--data-dir", text(&self.data)];
        waag_ok(&args).trim().to_owned()
    }

    fn client(&self, server: &Server, name: &str) -> Client {
        let pair = self.authority.signs(name, &[]);
        Client::of(server, &self.authority.pem, Some(&pair), None)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Puts a token into each call.
#[derive(Clone)]
struct Bearer(Option<String>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// How somebody connects.
struct Client {
    url: String,
    tls: ClientTlsConfig,
    token: Bearer,
}

/// What came of a call: OK, or why not.
type Came = Result<(), (Code, String)>;

fn came<T>(result: Result<T, Status>) -> Came {
    result.map(drop).map_err(|status| (status.code(), status.message().to_owned()))
}

impl Client {
    fn of(server: &Server, authority: &str, pair: Option<&Pair>, token: Option<&str>) -> Self {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        if let Some(pair) = pair {
            tls = tls.identity(Identity::from_pem(&pair.certificate, &pair.key));
        }
        let url = format!("https://{}", server.address);
        Self { url, tls, token: Bearer(token.map(Into::into)) }
    }

    async fn try_channel(&self) -> Result<Channel, tonic::transport::Error> {
        Channel::from_shared(self.url.clone())
            .unwrap()
            .tls_config(self.tls.clone())?
            .connect()
            .await
    }

    async fn channel(&self) -> InterceptedService<Channel, Bearer> {
        InterceptedService::new(self.try_channel().await.unwrap(), self.token.clone())
    }

    async fn submit(&self, declarant: &str, lrn: &str) -> Result<v1::SubmitBatchResponse, Status> {
        let mut client = LodgementClient::new(self.channel().await);
        client.submit_batch(of(declarant, lrn)).await.map(tonic::Response::into_inner)
    }

    async fn get(&self, key: Key) -> Came {
        let request = v1::GetDeclarationRequest { key: Some(key) };
        came(LodgementClient::new(self.channel().await).get_declaration(request).await)
    }

    async fn reference(&self, declarant: &str, lrn: &str) -> Came {
        let (declarant, lrn) = (declarant.into(), lrn.into());
        self.get(Key::LocalReference(v1::LocalReference { declarant, lrn })).await
    }

    async fn summary(&self, role: v1::ActorRole, id: &str) -> Came {
        let actor = Some(v1::Actor { role: role.into(), id: id.into() });
        let request = v1::GetActorSummaryRequest { actor, ..Default::default() };
        came(ComplianceClient::new(self.channel().await).get_actor_summary(request).await)
    }

    async fn list(&self) -> Came {
        let role = v1::ActorRole::Declarant.into();
        let request = v1::ListActorSummariesRequest { role, ..Default::default() };
        came(ComplianceClient::new(self.channel().await).list_actor_summaries(request).await)
    }

    async fn reconciliations(&self, declarant: &str) -> Came {
        let declarant = declarant.to_owned();
        let request = v1::ListReconciliationsRequest { declarant, ..Default::default() };
        came(ComplianceClient::new(self.channel().await).list_reconciliations(request).await)
    }

    async fn watch(&self, ids: &[&str]) -> Came {
        let actor_ids = ids.iter().map(|&id| id.to_owned()).collect();
        let role = v1::ActorRole::Declarant.into();
        let request = v1::WatchActorSummariesRequest { role, actor_ids, ..Default::default() };
        let mut client = ComplianceClient::new(self.channel().await);
        let mut watch = client
            .watch_actor_summaries(request)
            .await
            .map_err(|it| (it.code(), it.to_string()))?
            .into_inner();
        came(watch.message().await)
    }

    async fn operation(&self) -> OperationClient<InterceptedService<Channel, Bearer>> {
        OperationClient::new(self.channel().await)
    }

    async fn status(&self) -> Came {
        let mut client = self.operation().await;
        came(client.get_server_status(v1::GetServerStatusRequest {}).await)
    }

    async fn reload(&self) -> Came {
        came(self.operation().await.reload_rules(v1::ReloadRulesRequest {}).await)
    }

    async fn drain(&self) -> Came {
        came(self.operation().await.drain(v1::DrainRequest {}).await)
    }

    async fn reasons(&self) -> Came {
        let request = v1::ListReasonsRequest::default();
        came(LodgementClient::new(self.channel().await).list_reasons(request).await)
    }

    async fn reflection(&self) -> Came {
        let message_request = Some(MessageRequest::ListServices(String::new()));
        let request = ServerReflectionRequest { host: String::new(), message_request };
        let mut client = ServerReflectionClient::new(self.channel().await);
        let mut answers = client
            .server_reflection_info(iter([request]))
            .await
            .map_err(|it| (it.code(), it.to_string()))?
            .into_inner();
        came(answers.message().await)
    }

    async fn health(&self) -> Came {
        let request = HealthCheckRequest { service: String::new() };
        came(HealthClient::new(self.channel().await).check(request).await)
    }
}

fn of(declarant: &str, lrn: &str) -> v1::SubmitBatchRequest {
    let declarant = declarant.into();
    v1::SubmitBatchRequest { declarant, ..batch(lrn, vec![declaration(lrn)]) }
}

/// The code, OK included.
fn code(came: &Came) -> Code {
    came.as_ref().map_or_else(|(code, _)| *code, |()| Code::Ok)
}

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
    note("status", client.status().await);
    note("reload", client.reload().await);
    note("reasons", client.reasons().await);
    note("reflection", client.reflection().await);
    note("health", client.health().await);
    codes
}

/// All of these are as they are expected: `.` for OK, `x` for PERMISSION_DENIED, `?` for NOT_FOUND, `u` for
/// UNAUTHENTICATED.
fn assert_codes(who: &str, codes: &[(&str, Code)], expected: &str) {
    let expected: Vec<char> = expected.chars().filter(|c| !c.is_whitespace()).collect();
    assert_eq!(codes.len(), expected.len(), "{who}");
    for ((what, code), expected) in codes.iter().zip(expected) {
        let expected = match expected {
            '.' => Code::Ok,
            'x' => Code::PermissionDenied,
            '?' => Code::NotFound,
            'u' => Code::Unauthenticated,
            other => panic!("{other}"),
        };
        assert_eq!(*code, expected, "{who}: {what}");
    }
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
    //                                            lodge refer. MRN summary list watch rec. op. rest
    assert_codes(
        "declarant",
        &everything(&own, "A", mrns).await,
        ".xx .xx .? .xxx x .xx .x xx ...",
    );
    assert_codes(
        "analyst",
        &everything(&analyst, "B", mrns).await,
        "xxx xxx xx ..?? . ... .. .x ...",
    );
    assert_codes(
        "supervisor",
        &everything(&supervisor, "C", mrns).await,
        "xxx ... .. xxxx x xxx xx xx ...",
    );
    assert_codes(
        "operator",
        &everything(&operator, "D", mrns).await,
        "xxx xxx xx xxxx x xxx xx .. ...",
    );
    let nobody = "uuu uuu uu uuuu u uuu uu uu uu.";
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

/// Tries all calls on agreements; `A1` is with another declarant, `A2` with an own one.
async fn agreements(client: &Client) -> Vec<(&'static str, Code)> {
    let calls = ComplianceClient::new(client.channel().await);
    let mut codes = Vec::new();
    let actor =
        |id: &str| Some(v1::Actor { role: v1::ActorRole::Declarant.into(), id: id.to_owned() });
    for (what, actor) in [("all", None), ("own", actor(OWN)), ("other", actor(OTHER))] {
        let request = v1::ListAgreementsRequest { actor, ..Default::default() };
        codes.push((what, code(&came(calls.clone().list_agreements(request).await))));
    }
    for (what, id) in [("review own", "A2"), ("review other", "A1"), ("review none", "A9")] {
        let request = v1::ReviewAgreementRequest { id: id.into(), ..Default::default() };
        codes.push((what, code(&came(calls.clone().review_agreement(request).await))));
    }
    // There is none: whoever may withdraw is told so.
    let request = v1::WithdrawAgreementRequest {
        id: "A9".into(),
        replaces_version: 1,
        reason: String::new(),
    };
    codes.push(("withdraw", code(&came(calls.clone().withdraw_agreement(request).await))));
    codes
}

fn agreed(id: &str) -> v1::RecordAgreementRequest {
    let terms = v1::AgreementTerms {
        actor: Some(v1::Actor { role: v1::ActorRole::Declarant.into(), id: id.into() }),
        indicator: "rejection_rate".into(),
        direction: v1::AgreementDirection::LowerIsBetter.into(),
        baseline: Some(v1::AgreementBaseline {
            numerator: 87,
            denominator: 1_200,
            period: Some(v1::Period {
                first_day: "2026-10-01".into(),
                last_day: "2026-10-31".into(),
            }),
            ..Default::default()
        }),
        target: 0.01,
        start_day: "2026-11-01".into(),
        deadline_day: "2027-05-01".into(),
        ..Default::default()
    };
    v1::RecordAgreementRequest { terms: Some(terms), ..Default::default() }
}

#[tokio::test]
async fn agreements_are_for_those_whom_they_concern() {
    let secured = Secured::new("");
    let supervisor = secured.token("supervisor");
    let server = secured.start();
    let client = |name| secured.client(&server, name);
    let supervisor = Client::of(&server, &secured.authority.pem, None, Some(&supervisor));
    for who in [&client("own"), &client("operator"), &supervisor] {
        let mut calls = ComplianceClient::new(who.channel().await);
        let refused = came(calls.record_agreement(agreed(OWN)).await);
        assert_eq!(code(&refused), Code::PermissionDenied);
    }
    for (id, is_now) in [(OTHER, "A1"), (OWN, "A2")] {
        let mut calls = ComplianceClient::new(client("analyst").channel().await);
        let found = calls.record_agreement(agreed(id)).await.unwrap().into_inner();
        let found = found.agreement.unwrap();
        assert_eq!((&found.id[..], &found.newest.unwrap().recorded_by[..]), (is_now, "analyst"));
    }
    //                                                     list review withdraw
    assert_codes("own", &agreements(&client("own")).await, "x.x .?? x");
    assert_codes("other", &agreements(&client("other")).await, "xx. ?.? x");
    assert_codes("analyst", &agreements(&client("analyst")).await, "... ..? ?");
    assert_codes("supervisor", &agreements(&supervisor).await, "... ..? x");
    assert_codes("operator", &agreements(&client("operator")).await, "xxx ??? x");
    let log = waag_ok(&["audit", "--data-dir", text(&secured.data), "--json"]);
    let has = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["\"analyst\"", "record agreement", OTHER, "a new one"]), "{log}");
    assert!(has(&["\"own\"", "read agreement", "A2 with declarant NL810000003"]), "{log}");
    assert!(
        has(&["\"own\"", "read agreement", "A1 with declarant NL810000004", "denied"]),
        "{log}"
    );
    assert!(has(&["\"operator\"", "record agreement", "denied"]), "{log}");
}

/// Tries all calls on risk profiles and the register; there is `P1`, and no `P9`.
async fn profiles(client: &Client) -> Vec<(&'static str, Code)> {
    let calls = ComplianceClient::new(client.channel().await);
    let mut codes = Vec::new();
    for (what, id) in [("list", ""), ("show", "P1"), ("show none", "P9")] {
        let request = v1::ListProfilesRequest { id: id.into(), ..Default::default() };
        codes.push((what, code(&came(calls.clone().list_profiles(request).await))));
    }
    for (what, id) in [("hits", "P1"), ("hits of none", "P9")] {
        let request = v1::ListProfileHitsRequest { id: id.into(), ..Default::default() };
        codes.push((what, code(&came(calls.clone().list_profile_hits(request).await))));
    }
    let request = v1::TryProfileRequest { conditions: Some(of_other()), ..Default::default() };
    codes.push(("try", code(&came(calls.clone().try_profile(request).await))));
    let id = "P9".to_owned();
    let request = v1::WithdrawProfileRequest { id, replaces_version: 1, ..Default::default() };
    codes.push(("withdraw", code(&came(calls.clone().withdraw_profile(request).await))));
    let request = v1::ListAlgorithmsRequest {};
    codes.push(("register", code(&came(calls.clone().list_algorithms(request).await))));
    codes
}

fn of_other() -> v1::ProfileConditions {
    v1::ProfileConditions { declarants: vec![OTHER.into()], ..Default::default() }
}

#[tokio::test]
async fn risk_profiles_are_for_analysts_and_the_register_for_all() {
    let secured = Secured::new("");
    let supervisor = secured.token("supervisor");
    let server = secured.start();
    let client = |name| secured.client(&server, name);
    let supervisor = Client::of(&server, &secured.authority.pem, None, Some(&supervisor));
    let terms = v1::ProfileTerms {
        name: "borrowed".into(),
        purpose: "to see".into(),
        owner: "team".into(),
        conditions: Some(of_other()),
        ..Default::default()
    };
    let recorded = v1::RecordProfileRequest { terms: Some(terms), ..Default::default() };
    for who in [&client("own"), &client("operator"), &supervisor] {
        let mut calls = ComplianceClient::new(who.channel().await);
        let refused = came(calls.record_profile(recorded.clone()).await);
        assert_eq!(code(&refused), Code::PermissionDenied);
    }
    let mut calls = ComplianceClient::new(client("analyst").channel().await);
    let found = calls.record_profile(recorded).await.unwrap().into_inner().profile.unwrap();
    assert_eq!((&found.id[..], &found.newest.unwrap().recorded_by[..]), ("P1", "analyst"));
    //                                                       list hits try withdraw register
    assert_codes("own", &profiles(&client("own")).await, "xxx xx x x .");
    assert_codes("other", &profiles(&client("other")).await, "xxx xx x x .");
    assert_codes("analyst", &profiles(&client("analyst")).await, "..? .? . ? .");
    assert_codes("supervisor", &profiles(&supervisor).await, "..? .? . x .");
    assert_codes("operator", &profiles(&client("operator")).await, "xxx xx x x .");
    let stranger = client("stranger");
    assert_codes("a stranger", &profiles(&stranger).await, "uuu uu u u u");
    let log = waag_ok(&["audit", "--data-dir", text(&secured.data), "--json"]);
    let has = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["\"analyst\"", "record profile", "borrowed", "a new one"]), "{log}");
    // Whose declarations were looked at stands there.
    assert!(has(&["\"analyst\"", "read profile hits", "P1 from", OTHER]), "{log}");
    assert!(has(&["\"supervisor\"", "try profile", OTHER]), "{log}");
    assert!(has(&["\"operator\"", "read profile hits", "denied"]), "{log}");
    assert!(has(&["\"operator\"", "record profile", "denied"]), "{log}");
}

/// Tries all calls on samples; there is `S1`, and no `S9`.
async fn samples(client: &Client) -> Vec<(&'static str, Code)> {
    let calls = ComplianceClient::new(client.channel().await);
    let mut codes = Vec::new();
    for (what, id) in [("list", ""), ("show none", "S9")] {
        let request = v1::ListPlansRequest { id: id.into(), ..Default::default() };
        codes.push((what, code(&came(calls.clone().list_plans(request).await))));
    }
    for (what, id) in [("selected", "S1"), ("selected of none", "S9")] {
        let request = v1::ListSelectedRequest { id: id.into(), ..Default::default() };
        codes.push((what, code(&came(calls.clone().list_selected(request).await))));
    }
    let request = v1::EstimatePlanRequest { id: "S1".into(), ..Default::default() };
    codes.push(("estimate", code(&came(calls.clone().estimate_plan(request).await))));
    let (declarant, lrn) = (OTHER.into(), "L1".into());
    let outcome = v1::ControlOutcome { declarant, lrn, goods_item: 1, ..Default::default() };
    let request = v1::RecordOutcomeRequest { id: "S1".into(), outcome: Some(outcome) };
    codes.push(("outcome", code(&came(calls.clone().record_outcome(request).await))));
    codes
}

#[tokio::test]
async fn samples_are_for_analysts_and_supervisors_read_them() {
    let secured = Secured::new("");
    let supervisor = secured.token("supervisor");
    let server = secured.start();
    let client = |name| secured.client(&server, name);
    let supervisor = Client::of(&server, &secured.authority.pem, None, Some(&supervisor));
    let fixed = v1::FixedSample { size: 9, ..Default::default() };
    let terms = v1::SamplingTerms {
        name: "December".into(),
        purpose: "to see".into(),
        owner: "team".into(),
        first_day: "2026-12-01".into(),
        last_day: "2026-12-31".into(),
        conditions: Some(of_other()),
        method: Some(v1::sampling_terms::Method::Fixed(fixed)),
    };
    let recorded = v1::RecordPlanRequest { terms: Some(terms) };
    for who in [&client("own"), &client("operator"), &supervisor] {
        let mut calls = ComplianceClient::new(who.channel().await);
        let refused = came(calls.record_plan(recorded.clone()).await);
        assert_eq!(code(&refused), Code::PermissionDenied);
    }
    let mut calls = ComplianceClient::new(client("analyst").channel().await);
    let found = calls.record_plan(recorded).await.unwrap().into_inner().plan.unwrap();
    assert_eq!((&found.id[..], &found.recorded_by[..]), ("S1", "analyst"));
    //                                                      list selected estimate outcome
    assert_codes("own", &samples(&client("own")).await, "xx xx x x");
    assert_codes("other", &samples(&client("other")).await, "xx xx x x");
    assert_codes("analyst", &samples(&client("analyst")).await, ".? .? . .");
    assert_codes("supervisor", &samples(&supervisor).await, ".? .? . x");
    assert_codes("operator", &samples(&client("operator")).await, "xx xx x x");
    assert_codes("a stranger", &samples(&client("stranger")).await, "uu uu u u");
    let log = waag_ok(&["audit", "--data-dir", text(&secured.data), "--json"]);
    let has = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["\"analyst\"", "record sampling plan", "December"]), "{log}");
    assert!(has(&["\"analyst\"", "record outcome", "S1", OTHER, "L1"]), "{log}");
    // Whose declarations were looked at stands there.
    assert!(has(&["\"supervisor\"", "read sample", "S1", OTHER]), "{log}");
    assert!(has(&["\"operator\"", "read sample", "denied"]), "{log}");
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
    has("server", "start", "settings", false);
    has("own", "read declaration", "NL810000003/FIRST", false);
    has("own", "read declaration", "NL810000004/FIRST", true);
    has("own", "read declaration", mrns[1], true);
    has("supervisor", "read declaration", "NL810000004/FIRST", false);
    has("supervisor", "read declaration", &format!("{} of NL810000004", mrns[1]), false);
    has("analyst", "read summary", "NL810000004", false);
    has("analyst", "read reconciliations", "NL810000004", false);
    has("own", "read reconciliations", "NL810000004", true);
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
