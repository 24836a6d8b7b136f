//! A server that knows its clients, over mutual TLS, and whoever calls it.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

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
use waag::proto::v1::{self, get_declaration_request::Key};

use crate::common::{CLOCK, SETTINGS, Server, Start, batch, declaration, folder, waag_ok};

pub const OWN: &str = "NL810000003";
pub const OTHER: &str = "NL810000004";

/// An authority, and what it signs.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub fn signs(&self, name: &str, hosts: &[&str]) -> Pair {
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
pub struct Secured {
    _outer: tempfile::TempDir,
    pub data: PathBuf,
    pub files: PathBuf,
    pub authority: Authority,
    pub settings: String,
}

pub const CLIENTS: &str = r#"
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
    pub fn new(further: &str) -> Self {
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
    pub fn write(&self, name: &str, text: &str) {
        let new = self.files.join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.files.join(name)).unwrap();
    }

    pub fn serve_as(&self, pair: &Pair) {
        self.write("server.key", &pair.key);
        self.write("server.pem", &pair.certificate);
    }

    pub fn start(&self) -> Server {
        Start { settings: &self.settings, ..Start::at(&self.data, CLOCK) }.run()
    }

    /// Where the settings are once a server was started.
    pub fn config(&self) -> PathBuf {
        self.data.with_extension("toml")
    }

    pub fn token(&self, client: &str) -> String {
        let config = self.config();
        std::fs::write(&config, &self.settings).unwrap();
        let args =
            ["token", "add", client, "--config", text(&config), "--data-dir", text(&self.data)];
        waag_ok(&args).trim().to_owned()
    }

    pub fn client(&self, server: &Server, name: &str) -> Client {
        let pair = self.authority.signs(name, &[]);
        Client::of(server, &self.authority.pem, Some(&pair), None)
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Puts a token into each call.
#[derive(Clone)]
pub struct Bearer(Option<String>);

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
pub struct Client {
    url: String,
    tls: ClientTlsConfig,
    token: Bearer,
}

/// What came of a call: OK, or why not.
pub type Came = Result<(), (Code, String)>;

pub fn came<T>(result: Result<T, Status>) -> Came {
    result.map(drop).map_err(|status| (status.code(), status.message().to_owned()))
}

impl Client {
    pub fn of(server: &Server, authority: &str, pair: Option<&Pair>, token: Option<&str>) -> Self {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        if let Some(pair) = pair {
            tls = tls.identity(Identity::from_pem(&pair.certificate, &pair.key));
        }
        let url = format!("https://{}", server.address);
        Self { url, tls, token: Bearer(token.map(Into::into)) }
    }

    pub async fn try_channel(&self) -> Result<Channel, tonic::transport::Error> {
        Channel::from_shared(self.url.clone())
            .unwrap()
            .tls_config(self.tls.clone())?
            .connect()
            .await
    }

    pub async fn channel(&self) -> InterceptedService<Channel, Bearer> {
        InterceptedService::new(self.try_channel().await.unwrap(), self.token.clone())
    }

    pub async fn submit(
        &self,
        declarant: &str,
        lrn: &str,
    ) -> Result<v1::SubmitBatchResponse, Status> {
        let mut client = LodgementClient::new(self.channel().await);
        client.submit_batch(of(declarant, lrn)).await.map(tonic::Response::into_inner)
    }

    pub async fn get(&self, key: Key) -> Came {
        let request = v1::GetDeclarationRequest { key: Some(key) };
        came(LodgementClient::new(self.channel().await).get_declaration(request).await)
    }

    pub async fn reference(&self, declarant: &str, lrn: &str) -> Came {
        let (declarant, lrn) = (declarant.into(), lrn.into());
        self.get(Key::LocalReference(v1::LocalReference { declarant, lrn })).await
    }

    pub async fn summary(&self, role: v1::ActorRole, id: &str) -> Came {
        let actor = Some(v1::Actor { role: role.into(), id: id.into() });
        let request = v1::GetActorSummaryRequest { actor, ..Default::default() };
        came(ComplianceClient::new(self.channel().await).get_actor_summary(request).await)
    }

    pub async fn list(&self) -> Came {
        let role = v1::ActorRole::Declarant.into();
        let request = v1::ListActorSummariesRequest { role, ..Default::default() };
        came(ComplianceClient::new(self.channel().await).list_actor_summaries(request).await)
    }

    pub async fn reconciliations(&self, declarant: &str) -> Came {
        let declarant = declarant.to_owned();
        let request = v1::ListReconciliationsRequest { declarant, ..Default::default() };
        came(ComplianceClient::new(self.channel().await).list_reconciliations(request).await)
    }

    pub async fn findings(&self, role: v1::ActorRole, id: &str) -> Came {
        let actor = Some(v1::Actor { role: role.into(), id: id.into() });
        let request = v1::ListFindingsRequest { actor, ..Default::default() };
        came(ComplianceClient::new(self.channel().await).list_findings(request).await)
    }

    pub async fn watch(&self, ids: &[&str]) -> Came {
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

    pub async fn operation(&self) -> OperationClient<InterceptedService<Channel, Bearer>> {
        OperationClient::new(self.channel().await)
    }

    pub async fn status(&self) -> Came {
        let mut client = self.operation().await;
        came(client.get_server_status(v1::GetServerStatusRequest {}).await)
    }

    pub async fn reload(&self) -> Came {
        came(self.operation().await.reload_rules(v1::ReloadRulesRequest {}).await)
    }

    pub async fn drain(&self) -> Came {
        came(self.operation().await.drain(v1::DrainRequest {}).await)
    }

    pub async fn reasons(&self) -> Came {
        let request = v1::ListReasonsRequest::default();
        came(LodgementClient::new(self.channel().await).list_reasons(request).await)
    }

    pub async fn reflection(&self) -> Came {
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

    pub async fn health(&self) -> Came {
        let request = HealthCheckRequest { service: String::new() };
        came(HealthClient::new(self.channel().await).check(request).await)
    }
}

pub fn of(declarant: &str, lrn: &str) -> v1::SubmitBatchRequest {
    let declarant = declarant.into();
    v1::SubmitBatchRequest { declarant, ..batch(lrn, vec![declaration(lrn)]) }
}

/// The code, OK included.
pub fn code(came: &Came) -> Code {
    came.as_ref().map_or_else(|(code, _)| *code, |()| Code::Ok)
}

/// All of these are as they are expected: `.` for OK, `x` for PERMISSION_DENIED, `?` for NOT_FOUND, `u` for
/// UNAUTHENTICATED.
pub fn assert_codes(who: &str, codes: &[(&str, Code)], expected: &str) {
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
