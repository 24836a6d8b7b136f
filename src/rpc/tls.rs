//! TLS: the server's certificate and key, and the authorities whose client certificates it takes. The files
//! are read again when one of them changes; connections that are open go on with what they have.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::TlsConfig;
use crate::identity::stamp::Stamp;
use crate::identity::subject::Certificate;

/// How long a handshake may take: it holds a connection's place for nothing.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("tls.{setting} {path}: {source}")]
    Pem {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// It holds no certificate.
    #[error("tls.{setting} {path} holds no certificate: it is PEM, `-----BEGIN CERTIFICATE-----`")]
    Empty {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not go together, or one of them is of no use.
    #[error("tls.certificate {certificate} with tls.key {key}: {source}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// An authority is of no use.
    #[error("tls.client_authorities {path}: {why}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// TLS of a listener. Clones share it.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Files>);

#[derive(Debug)]
struct Files {
    config: TlsConfig,
    current: ArcSwap<ServerConfig>,
    tried: Mutex<Vec<Stamp>>,
}

impl Tls {
    /// Of these files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let tried = Mutex::new(stamps(config));
        let current = ArcSwap::from_pointee(server_config(config)?);
        Ok(Self(Arc::new(Files { config: config.clone(), current, tried })))
    }

    /// Reads the files again where one has changed; whether it did.
    ///
    /// # Errors
    /// Where they are of no use: what was there before holds on. They are tried again once one changes.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let now = stamps(&self.0.config);
        let mut tried = self.0.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if now == *tried {
            return Ok(false);
        }
        let read = server_config(&self.0.config);
        if stamps(&self.0.config) != now {
            // Being written: the next time.
            return Ok(false);
        }
        *tried = now;
        drop(tried);
        self.0.current.store(Arc::new(read?));
        Ok(true)
    }

    /// Shakes hands; what the client showed, where that is a certificate.
    ///
    /// # Errors
    /// Where the client does not speak TLS as it must, or takes too long.
    pub(super) async fn shake_hands(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<(Box<TlsStream<TcpStream>>, Option<Arc<Certificate>>)> {
        let acceptor = TlsAcceptor::from(self.0.current.load_full());
        let shaken = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await;
        let stream = shaken.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        // One without a subject of use is as good as none: there may be a token.
        let certificate = certificate.and_then(|it| Certificate::of(it).ok());
        Ok((Box::new(stream), certificate.map(Arc::new)))
    }

    /// The same for a browser, which speaks HTTP/1.1 here. Who it is, its token says.
    ///
    /// # Errors
    /// See [`Self::shake_hands`].
    pub(crate) async fn shake_hands_for_page(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        // Some pointers and short lists: small beside a handshake.
        let mut config = ServerConfig::clone(&self.0.current.load());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream);
        let shaken = tokio::time::timeout(HANDSHAKE_WITHIN, accepted).await;
        shaken.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
    }
}

fn stamps(config: &TlsConfig) -> Vec<Stamp> {
    let files = [Some(&config.certificate), Some(&config.key), config.client_authorities.as_ref()];
    files.into_iter().flatten().map(|path| Stamp::of(path)).collect()
}

fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { setting, path: path.into(), source };
    let read = CertificateDer::pem_file_iter(path).map_err(pem)?;
    let read = read.collect::<Result<Vec<_>, _>>().map_err(pem)?;
    if read.is_empty() { Err(TlsError::Empty { setting, path: path.into() }) } else { Ok(read) }
}

fn server_config(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let chain = certificates("certificate", &config.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|source| TlsError::Pem {
        setting: "key",
        path: config.key.clone(),
        source,
    })?;
    let pair = |source| TlsError::Pair {
        certificate: config.certificate.clone(),
        key: config.key.clone(),
        source,
    };
    // Named here, so that no other crate of the tree decides which one it is.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(pair)?;
    let builder = match &config.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let why = |why: String| TlsError::Authorities { path: path.clone(), why };
            let mut roots = RootCertStore::empty();
            for authority in certificates("client_authorities", path)? {
                roots.add(authority).map_err(|error| why(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            // Without a certificate a client may still have a token, or look at the server's health.
            let verifier = if config.client_certificates_required {
                verifier
            } else {
                verifier.allow_unauthenticated()
            };
            let verifier = verifier.build().map_err(|error| why(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(pair)?;
    // A session that is resumed would bring the client's certificate along unchecked, expired or not.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.alpn_protocols = vec![b"h2".to_vec()];
    Ok(server)
}
