//! How commands that talk to a server reach it: TLS, and who they are.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::client::{ConnectError, Credentials, Server};

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
pub enum ConnectArgsError {
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
    /// The server cannot be reached, or not in this way.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl ConnectArgs {
    /// The server at `url`, as the flags say.
    ///
    /// # Errors
    /// Where a file cannot be read, or flags and address do not go together.
    pub fn server(&self, url: &str) -> Result<Server, ConnectArgsError> {
        let read =
            |flag, path: &Option<PathBuf>| path.as_deref().map(|path| read(flag, path)).transpose();
        let token = read("token-file", &self.token_file)?;
        let identity = read("certificate", &self.certificate)?.zip(read("key", &self.key)?);
        let credentials = Credentials {
            authority_pem: read("authority", &self.authority)?,
            identity_pem: identity,
            token: token.map(|token| String::from_utf8_lossy(&token).into_owned()),
        };
        Server::new(url, &credentials).map_err(|error| match (error, &self.token_file) {
            (ConnectError::Token, Some(path)) => ConnectArgsError::Token { path: path.clone() },
            (error, _) => error.into(),
        })
    }
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, ConnectArgsError> {
    std::fs::read(path).map_err(|source| ConnectArgsError::File { flag, path: path.into(), source })
}
