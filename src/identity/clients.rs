//! The clients file: who may call, as the operator writes it.
//!
//! ```toml
//! [[client]]
//! name = "lotusbay"                       # for logs, the audit log and `waag token`
//! roles = ["declarant"]                   # declarant, analyst, supervisor, operator
//! eoris = ["NL810000003"]                 # of a declarant
//! certificates = [{ CN = "lotusbay", O = "Lotusbay Trading Ltd", C = "CN" }]   # or tokens, or both
//! ```

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::role::Role;
use super::subject::Subject;
use crate::audit::{Hash, SERVER, UNKNOWN};
use crate::id::Eori;

/// Bytes of the file at most: some ten thousand clients.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// Characters of a name at most.
const NAME_CHARACTERS_MAX: usize = 64;

/// A client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// What it is called here.
    pub name: String,
    /// What it is.
    pub roles: BTreeSet<Role>,
    /// For whom it lodges, where it is a declarant.
    pub eoris: BTreeSet<Eori>,
}

impl Client {
    /// "declarant for NL810000003 and analyst".
    #[must_use]
    pub fn roles_and_eoris(&self) -> String {
        let eoris: Vec<_> = self.eoris.iter().map(Eori::as_str).collect();
        let role = |role: &Role| match role {
            // A long list would hide the point.
            Role::Declarant if eoris.len() > 5 => format!("declarant for {} EORIs", eoris.len()),
            Role::Declarant => format!("declarant for {}", eoris.join(", ")),
            other => other.name().to_owned(),
        };
        self.roles.iter().map(role).collect::<Vec<_>>().join(" and ")
    }
}

/// Who there is.
#[derive(Debug, Default)]
pub struct Clients {
    by_name: HashMap<String, Arc<Client>>,
    by_subject: HashMap<Subject, Arc<Client>>,
    source: Hash,
}

/// What is wrong with a clients file.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is longer than it may be.
    #[error("{path} has more than {FILE_BYTES_MAX} bytes, the most it may have")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is no TOML of clients.
    #[error("{path}: {source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// There is nobody in it.
    #[error("{path} has no [[client]]: nobody could call")]
    Nobody {
        /// The file.
        path: PathBuf,
    },
    /// A client cannot be as it is.
    #[error("{path}: client {name:?}: {why}")]
    Client {
        /// The file.
        path: PathBuf,
        /// Which one.
        name: String,
        /// What is wrong.
        why: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    client: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    roles: BTreeSet<Role>,
    #[serde(default)]
    eoris: BTreeSet<Eori>,
    #[serde(default)]
    certificates: Vec<Subject>,
}

impl Clients {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// See [`ClientsError`].
    pub fn read(path: &Path) -> Result<Self, ClientsError> {
        let io = |source| ClientsError::Io { path: path.into(), source };
        if std::fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
            return Err(ClientsError::TooLong { path: path.into() });
        }
        Self::parse(&std::fs::read_to_string(path).map_err(io)?, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ClientsError> {
        let file: File = toml::from_str(text)
            .map_err(|source| ClientsError::Toml { path: path.into(), source: Box::new(source) })?;
        let mut clients = Self { source: Hash::of(text.as_bytes()), ..Self::default() };
        for entry in file.client {
            let name = entry.name.clone();
            clients.add(entry).map_err(|why| ClientsError::Client {
                path: path.into(),
                name,
                why,
            })?;
        }
        if clients.by_name.is_empty() {
            // More likely a file that is being written than a server for nobody.
            return Err(ClientsError::Nobody { path: path.into() });
        }
        Ok(clients)
    }

    fn add(&mut self, entry: Entry) -> Result<(), String> {
        let Entry { name, roles, eoris, certificates } = entry;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > NAME_CHARACTERS_MAX || !name.chars().all(is_name) {
            return Err(format!(
                "a name has 1 to {NAME_CHARACTERS_MAX} letters, digits, dots, hyphens and underscores"
            ));
        }
        if [SERVER, UNKNOWN].contains(&name.as_str()) {
            return Err("the audit log means somebody else by this name: give another".into());
        }
        if roles.is_empty() {
            return Err("roles is empty: give declarant, analyst, supervisor or operator".into());
        }
        match (roles.contains(&Role::Declarant), eoris.is_empty()) {
            (true, true) => return Err("a declarant needs eoris: for whom it lodges".into()),
            (false, false) => return Err("has eoris, which are of role declarant".into()),
            _ => {}
        }
        let client = Arc::new(Client { name: name.clone(), roles, eoris });
        for subject in certificates {
            let shown = subject.to_string();
            if let Some(other) = self.by_subject.insert(subject, Arc::clone(&client)) {
                return Err(format!(
                    "certificate {shown} is that of client {:?} already",
                    other.name
                ));
            }
        }
        if self.by_name.insert(name, client).is_some() {
            return Err("is there twice".into());
        }
        Ok(())
    }

    /// The client of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<Client>> {
        self.by_name.get(name)
    }

    /// The client whose certificate has this subject.
    #[must_use]
    pub fn with_certificate(&self, subject: &Subject) -> Option<&Arc<Client>> {
        self.by_subject.get(subject)
    }

    /// What is other than `before`, each in a sentence.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        if self.source == before.source {
            return Vec::new();
        }
        let mut told =
            vec![format!("{} clients, SHA-256 of the file {}", self.by_name.len(), self.source)];
        let mut names: Vec<_> = self.by_name.keys().chain(before.by_name.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            match (before.named(name), self.named(name)) {
                (None, Some(now)) => {
                    told.push(format!("client {name} added: {}", now.roles_and_eoris()))
                }
                (Some(_), None) => told.push(format!("client {name} removed")),
                (Some(was), Some(now)) if was != now => told.push(format!(
                    "client {name}: {}, was {}",
                    now.roles_and_eoris(),
                    was.roles_and_eoris()
                )),
                _ => {}
            }
        }
        told
    }
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;
