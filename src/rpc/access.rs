//! Who is let in: the TLS files, the clients and the tokens of a listener, and the audit log, with the task
//! that reads the files again when they change.

use std::path::PathBuf;
use std::time::Duration;

use super::tls::{Tls, TlsError};
use crate::audit::log::Log;
use crate::audit::notes;
use crate::audit::{Event, Hash};
use crate::config::Config;
use crate::identity::register::{Register, RegisterError};
use crate::identity::token;

/// Between two looks at the files: whoever is taken out of them is out that soon.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Those of TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Clients or tokens.
    #[error("clients: {0}")]
    Register(#[from] RegisterError),
}

/// Who is let in.
#[derive(Debug, Clone)]
pub struct Access {
    pub(super) tls: Option<Tls>,
    pub(super) register: Register,
    data_dir: PathBuf,
    /// SHA-256 of each file, for the audit log: what changes while no server runs is seen there.
    hashes: Vec<(&'static str, Hash)>,
}

impl Access {
    /// As the settings have it.
    ///
    /// # Errors
    /// Where a file that they name is of no use.
    pub fn read(config: &Config) -> Result<Self, AccessError> {
        let tokens = token::path_in(&config.data_dir);
        let mut files = Vec::new();
        if let Some(tls) = &config.tls {
            files.push(("certificate", &tls.certificate));
            files.extend(tls.client_authorities.as_ref().map(|path| ("client_authorities", path)));
        }
        if let Some(clients) = &config.clients {
            files.extend([("clients", clients), ("tokens", &tokens)]);
        }
        // One that is missing is none, or told below.
        let hash = |(name, path)| Some((name, Hash::of(&std::fs::read::<&PathBuf>(path).ok()?)));
        let hashes = files.into_iter().filter_map(hash).collect();
        let tls = config.tls.as_ref().map(Tls::read).transpose()?;
        let register = match &config.clients {
            None => Register::open(),
            Some(clients) => Register::read(clients.clone(), tokens)?,
        };
        Ok(Self { tls, register, data_dir: config.data_dir.clone(), hashes })
    }

    /// Of each file that was read, its name and its SHA-256.
    pub(super) fn hashes(&self) -> impl Iterator<Item = String> + '_ {
        self.hashes.iter().map(|(name, hash)| format!("{name} {hash}"))
    }

    /// TLS, where the settings have it.
    #[must_use]
    pub fn tls(&self) -> Option<Tls> {
        self.tls.clone()
    }

    /// Reads the files again whenever one changes; a file of no use changes nothing, and is told. Records what
    /// others left notes of.
    pub(super) async fn keep_up(self, audit: Log) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            notes::take_up(&self.data_dir, &audit).await;
            let mut told = Vec::new();
            if let Some(tls) = &self.tls {
                match tls.reload() {
                    Ok(false) => {}
                    Ok(true) => told.push(Ok("certificates".to_owned())),
                    Err(error) => told.push(Err(format!("certificates: {error}"))),
                }
            }
            let register = self.register.clone();
            // Some ten thousand clients take a while to read.
            match tokio::task::spawn_blocking(move || register.reload()).await {
                Ok(Ok(changed)) => told.extend(changed.into_iter().map(Ok)),
                Ok(Err(error)) => told.push(Err(format!("clients: {error}"))),
                Err(_) => {}
            }
            for told in told {
                match told {
                    Ok(what) => {
                        tracing::info!(what, "read again, and in force");
                        let _ = audit.record(Event::of_server("read again", what)).await;
                    }
                    Err(why) => {
                        tracing::error!(why, "not in force: what was before holds on");
                        let denied = why;
                        let event = Event { denied, ..Event::of_server("read again", "") };
                        let _ = audit.record(event).await;
                    }
                }
            }
        }
    }
}
