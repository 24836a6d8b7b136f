//! Who calls, and what they may do.
//!
//! - [`role`]: the roles, and what each may do.
//! - [`subject`]: the name in a client's certificate, as the clients file writes it.
//! - [`clients`]: the clients file, written by the operator: who there is, with which roles, for which EORIs.
//! - [`token`]: bearer tokens, and the file of their hashes, written by `waag token`.
//! - [`register`]: both files as a running server knows them, read again when they change ([`stamp`]).
//!
//! A client is known by the certificate that its connection showed, or by a token in its call; a token
//! counts where there are both, since it is the narrower statement. Without a clients file everyone may do
//! everything, and the server listens on loopback only.
//!
//! Nothing here is remembered of a client from one batch to the next but who it said it was: what it may do is
//! looked up each time, so that whoever is taken out of the files is out at once, open streams included.

pub mod clients;
pub mod register;
pub mod role;
pub mod stamp;
pub mod subject;
pub mod token;

use std::sync::Arc;

use clients::Client;
use subject::Certificate;

/// Why a call is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody known calls: UNAUTHENTICATED.
    #[error("{0}")]
    Unknown(String),
    /// Who calls may not do this: PERMISSION_DENIED.
    #[error("{0}")]
    NotAllowed(String),
    /// Too many tokens are being checked: RESOURCE_EXHAUSTED, to come back.
    #[error("{0}")]
    Busy(String),
}

/// What a caller showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A certificate, which one of the server's authorities vouches for.
    Certificate(Arc<Certificate>),
    /// The token with this id, secret included.
    Token(Box<str>),
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Certificate(certificate) => write!(f, "certificate {}", certificate.subject),
            Self::Token(id) => write!(f, "token {id}"),
        }
    }
}

/// Who calls.
#[derive(Debug, Clone)]
pub enum Who {
    /// Anyone: the server knows no clients.
    Anyone,
    /// A client of the file, and how it is known.
    Client(Arc<Client>, Shown),
}

impl Who {
    /// A name for logs.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Anyone => "anyone",
            Self::Client(client, _) => &client.name,
        }
    }
}
