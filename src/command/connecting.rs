//! How commands that talk to a server reach it: TLS, and who they are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

/// Flags for a server with TLS or identity.
#[derive(Debug, Clone, Default, Args)]
pub struct ConnectArgs {
    /// PEM file with the authority that vouches for the server; https needs it
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub authority: Option<PathBuf>,
    /// PEM file with the client's own certificate, for a server that knows clients by theirs
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "Connection")]
    pub certificate: Option<PathBuf>,
    /// PEM file with the key of that certificate
    #[arg(long, value_name = "FILE", requires = "certificate", help_heading = "Connection")]
    pub key: Option<PathBuf>,
    /// File with a bearer token, as `waag token add` prints it
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub token_file: Option<PathBuf>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A file cannot be read.
    #[error("--{flag} {path}: {source}")]
    File {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The token's file holds none.
    #[error("--token-file {path} holds no token: it is one line, as `waag token add` prints it")]
    Token {
        /// The file.
        path: PathBuf,
    },
    /// TLS is asked for where the address has none.
    #[error("{url} has no TLS: with --authority or --certificate the address begins with https://")]
    Plain {
        /// The address.
        url: String,
    },
    /// A token would go in clear.
    #[error(
        "{url}: with --token-file the address begins with https://, or is this machine's own: a token that goes \
         over a network in clear is anyone's"
    )]
    Clear {
        /// The address.
        url: String,
    },
    /// Not an address.
    #[error("{url}: not an address such as http://127.0.0.1:50051")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
    /// Nobody answers there, or not as they must.
    #[error("{url}: no server answers there: start one with `waag serve`, or say where it is")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        source: tonic::transport::Error,
    },
}

/// Puts the token into each call, where there is one.
#[derive(Debug, Clone, Default)]
pub struct Bearer(Option<HeaderValue>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0
            && let Ok(value) = tonic::metadata::AsciiMetadataValue::try_from(token.as_bytes())
        {
            request.metadata_mut().insert(AUTHORIZATION.as_str(), value);
        }
        Ok(request)
    }
}

impl ConnectArgs {
    /// What goes into each call.
    ///
    /// # Errors
    /// Where the token cannot be read.
    pub fn bearer(&self) -> Result<Bearer, ConnectError> {
        let Some(path) = &self.token_file else { return Ok(Bearer::default()) };
        let text = String::from_utf8_lossy(&read("token-file", path)?).trim().to_owned();
        let no_token = || ConnectError::Token { path: path.clone() };
        crate::identity::token::parts(&text).ok_or_else(no_token)?;
        let mut value = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| no_token())?;
        value.set_sensitive(true);
        Ok(Bearer(Some(value)))
    }

    /// Connects to `url`; a call may take so long.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(&self, url: &str, call_max: Duration) -> Result<Channel, ConnectError> {
        let address = |source| ConnectError::Address { url: url.to_owned(), source };
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(address)?
            .connect_timeout(Duration::from_secs(10))
            .timeout(call_max);
        let is_tls = endpoint.uri().scheme_str() == Some("https");
        if !is_tls && (self.authority.is_some() || self.certificate.is_some()) {
            return Err(ConnectError::Plain { url: url.to_owned() });
        }
        let host = endpoint.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        let is_own = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if !is_tls && !is_own && self.token_file.is_some() {
            return Err(ConnectError::Clear { url: url.to_owned() });
        }
        if is_tls {
            let mut tls = ClientTlsConfig::new();
            if let Some(path) = &self.authority {
                tls = tls.ca_certificate(Certificate::from_pem(read("authority", path)?));
            }
            if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
                let pair = (read("certificate", certificate)?, read("key", key)?);
                tls = tls.identity(Identity::from_pem(pair.0, pair.1));
            }
            endpoint = endpoint.tls_config(tls).map_err(address)?;
        }
        let connected = endpoint.connect().await;
        connected.map_err(|source| ConnectError::Connect { url: url.to_owned(), source })
    }
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, ConnectError> {
    std::fs::read(path).map_err(|source| ConnectError::File { flag, path: path.into(), source })
}
