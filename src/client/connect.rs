//! Where the service is, and who the caller is.

use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

/// Longer than this nobody waits for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A peer that is silent is asked after so long whether it is there,
const ALIVE_AFTER: Duration = Duration::from_secs(20);
/// and is gone where it does not answer that for so long.
const ALIVE_MAX: Duration = Duration::from_secs(20);
/// An answer has 4 MiB at most; a window holds a few of them.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A connection; calls over it bear the token, where there is one. Lost, it is made again with the next
/// call.
pub type Connection = InterceptedService<Channel, Bearer>;

/// By what the two sides know each other.
#[derive(Clone, Default)]
pub struct Credentials {
    /// PEM of the authority that vouches for the server.
    pub authority_pem: Option<Vec<u8>>,
    /// PEM of the caller's own certificate and of its key.
    pub identity_pem: Option<(Vec<u8>, Vec<u8>)>,
    /// A token, as `waag token add` prints it; white space around it is no part of it.
    pub token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("authority", &self.authority_pem.is_some())
            .field("identity", &self.identity_pem.is_some())
            .field("token", &self.token.is_some())
            .finish()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// What should be a token is none.
    #[error("the token is none: it is one line, as `waag token add` prints it")]
    Token,
    /// TLS is asked for where the address has none.
    #[error(
        "{url} has no TLS: with an authority or a certificate the address begins with https://"
    )]
    Plain {
        /// The address.
        url: String,
    },
    /// A token would go in clear.
    #[error(
        "{url}: with a token the address begins with https://, or is this machine's own: a token that goes \
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

impl Bearer {
    fn of(token: &str) -> Result<Self, ConnectError> {
        let token = token.trim();
        crate::identity::token::parts(token).ok_or(ConnectError::Token)?;
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ConnectError::Token)?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

/// A service, and as whom it is called.
#[derive(Debug, Clone)]
pub struct Server {
    url: String,
    endpoint: Endpoint,
    bearer: Bearer,
}

impl Server {
    /// The service at `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// Where the address is none, or does not go with the credentials.
    pub fn new(url: &str, credentials: &Credentials) -> Result<Self, ConnectError> {
        let address = |source| ConnectError::Address { url: url.to_owned(), source };
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(address)?
            .connect_timeout(CONNECT_MAX)
            .http2_keep_alive_interval(ALIVE_AFTER)
            .keep_alive_timeout(ALIVE_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .tcp_nodelay(true);
        let is_tls = endpoint.uri().scheme_str() == Some("https");
        if !is_tls && (credentials.authority_pem.is_some() || credentials.identity_pem.is_some()) {
            return Err(ConnectError::Plain { url: url.to_owned() });
        }
        let host = endpoint.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        let is_own = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if !is_tls && !is_own && credentials.token.is_some() {
            return Err(ConnectError::Clear { url: url.to_owned() });
        }
        if is_tls {
            let mut tls = ClientTlsConfig::new();
            if let Some(authority) = &credentials.authority_pem {
                tls = tls.ca_certificate(Certificate::from_pem(authority));
            }
            if let Some((certificate, key)) = &credentials.identity_pem {
                tls = tls.identity(Identity::from_pem(certificate, key));
            }
            endpoint = endpoint.tls_config(tls).map_err(address)?;
        }
        let bearer = credentials.token.as_deref().map(Bearer::of).transpose()?.unwrap_or_default();
        Ok(Self { url: url.to_owned(), endpoint, bearer })
    }

    /// A call may take so long, up to the beginning of its answer.
    #[must_use]
    pub fn with_call_max(mut self, call_max: Duration) -> Self {
        self.endpoint = self.endpoint.timeout(call_max);
        self
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Connects.
    ///
    /// # Errors
    /// Where nobody answers there, or not as they must.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let connected = self.endpoint.connect().await;
        let channel =
            connected.map_err(|source| ConnectError::Connect { url: self.url.clone(), source })?;
        Ok(InterceptedService::new(channel, self.bearer.clone()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn token() -> Option<String> {
        Some(format!("waag_{}_{}\n", "0".repeat(16), "f".repeat(64)))
    }

    #[test]
    fn what_does_not_go_with_the_address_is_refused_before_anything_is_sent() {
        let told = |url: &str, credentials: &Credentials| {
            Server::new(url, credentials).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let with_token = Credentials { token: token(), ..Credentials::default() };
        assert_eq!(told("http://127.0.0.1:1", &with_token), "");
        assert_eq!(told("http://[::1]:1", &with_token), "");
        assert!(told("http://example.org:1", &with_token).contains("anyone's"));
        let pem = Credentials { authority_pem: Some(Vec::new()), ..Credentials::default() };
        assert!(told("http://127.0.0.1:1", &pem).contains("no TLS"));
        let no_token = Credentials { token: Some("secret".into()), ..Credentials::default() };
        assert!(told("http://127.0.0.1:1", &no_token).contains("token"));
        assert!(told("a b", &Credentials::default()).contains("not an address"));
    }

    #[test]
    fn nobody_reads_a_token_in_what_is_shown() {
        let credentials = Credentials { token: token(), ..Credentials::default() };
        let server = Server::new("http://127.0.0.1:1", &credentials).unwrap();
        let shown = format!("{credentials:?} {server:?}");
        assert!(!shown.contains("ffff"), "{shown}");
    }
}
