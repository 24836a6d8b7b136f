//! Clients and tokens as a running server knows them. The files are read again when they change; one that
//! cannot be read changes nothing, and is told.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::clients::{Client, Clients, ClientsError};
use super::stamp::Stamp;
use super::subject::Certificate;
use super::token::{self, Token, TokenError};
use super::{Denied, Shown, Who};
use crate::day::Day;

/// Secrets checked at once, each for some 20 ms of a processor and 19 MiB: whoever guesses keeps one
/// processor busy at most, and nobody waits whose token was checked before.
const CHECKS_MAX: usize = 1;

/// Calls that wait for that; more are told to come back.
const CHECKS_WAITING_MAX: usize = 64;

/// Of those, calls with one token: whoever sends wrong secrets under its id keeps out its own, and not others.
const CHECKS_OF_TOKEN_MAX: usize = CHECKS_WAITING_MAX / 4;

/// Why the files are not in force.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The clients file.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// The tokens file.
    #[error(transparent)]
    Tokens(#[from] TokenError),
}

impl RegisterError {
    fn is_io(&self) -> bool {
        matches!(self, Self::Clients(ClientsError::Io { .. }) | Self::Tokens(TokenError::Io { .. }))
    }
}

/// Who is known. Clones share it.
#[derive(Debug, Clone)]
pub struct Register(Option<Arc<Files>>);

#[derive(Debug)]
struct Files {
    clients: PathBuf,
    tokens: PathBuf,
    known: ArcSwap<Known>,
    /// The files that were read last, in force or not.
    tried: Mutex<[Stamp; 2]>,
    checks: Arc<Semaphore>,
    waiting: Semaphore,
    /// Places among those for the tokens that are being checked, by id.
    of_token: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// What the files held when they were read.
#[derive(Debug)]
struct Known {
    clients: Clients,
    tokens: HashMap<String, Arc<Token>>,
    /// SHA-256 of the texts of tokens whose secrets were checked, with whose they are: one for each at most.
    checked: Mutex<HashMap<[u8; 32], Arc<Token>>>,
}

impl Known {
    fn read(clients: &Path, tokens: &Path) -> Result<Self, RegisterError> {
        let clients = Clients::read(clients)?;
        let read = token::read(tokens)?;
        for token in &read {
            if clients.named(&token.client).is_none() {
                tracing::warn!(
                    token = token.id,
                    client = token.client,
                    "a token of a client that is not in the clients file: it lets nobody in"
                );
            }
        }
        let tokens = read.into_iter().map(|token| (token.id.clone(), Arc::new(token))).collect();
        Ok(Self { clients, tokens, checked: Mutex::default() })
    }

    /// Goes on after `before`: tokens that are as they were need not be checked again. What is new, each in a
    /// sentence.
    fn follow(&mut self, before: &Self) -> Vec<String> {
        let checked = before.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |token: &Arc<Token>| self.tokens.get(&token.id).is_some_and(|now| now == token);
        let kept = checked.iter().filter(|(_, token)| is_same(token));
        self.checked =
            Mutex::new(kept.map(|(digest, token)| (*digest, Arc::clone(token))).collect());
        let mut told = self.clients.changes_since(&before.clients);
        for (of, not_in, what) in [(&*self, before, "added"), (before, &*self, "revoked")] {
            let mut listed: Vec<_> =
                of.tokens.values().filter(|token| !not_in.tokens.contains_key(&token.id)).collect();
            listed.sort_unstable_by(|a, b| a.id.cmp(&b.id));
            told.extend(
                listed.iter().map(|token| format!("token {} of {} {what}", token.id, token.client)),
            );
        }
        for token in self.tokens.values() {
            if before.tokens.get(&token.id).is_some_and(|old| old != token) {
                told.push(format!("token {} of {} changed", token.id, token.client));
            }
        }
        told
    }

    fn is_checked(&self, digest: &[u8; 32]) -> bool {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).contains_key(digest)
    }

    fn client_of(&self, shown: &Shown, today: Day) -> Result<Arc<Client>, Denied> {
        let unknown = |told| Err(Denied::Unknown(told));
        let found = match shown {
            // A connection may outlast the certificate that it began with.
            Shown::Certificate(shown) if SystemTime::now() > shown.until => {
                return unknown(
                    "the certificate of this connection does not count any more: connect with a new one"
                        .into(),
                );
            }
            Shown::Certificate(shown) => self.clients.with_certificate(&shown.subject),
            Shown::Token(id) => match self.tokens.get(&**id) {
                None => return unknown(format!("token {id} is not known here, or was revoked")),
                Some(token) if token.is_expired(today) => {
                    let last = token.expires.as_deref().unwrap_or_default();
                    return unknown(format!("token {id} counted until {last}: ask for a new one"));
                }
                Some(token) => self.clients.named(&token.client),
            },
        };
        match found {
            Some(client) => Ok(Arc::clone(client)),
            None => unknown(format!("{shown} is that of no client in the clients file")),
        }
    }
}

impl Register {
    /// Knows nobody: anyone may do everything.
    #[must_use]
    pub fn open() -> Self {
        Self(None)
    }

    /// Of these files; that of the tokens may be missing.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn read(clients: PathBuf, tokens: PathBuf) -> Result<Self, RegisterError> {
        // Before they are read: what is written meanwhile is read again.
        let tried = Mutex::new([Stamp::of(&clients), Stamp::of(&tokens)]);
        let known = ArcSwap::from_pointee(Known::read(&clients, &tokens)?);
        let (checks, waiting) =
            (Arc::new(Semaphore::new(CHECKS_MAX)), Semaphore::new(CHECKS_WAITING_MAX));
        Ok(Self(Some(Arc::new(Files {
            clients,
            tokens,
            known,
            tried,
            checks,
            waiting,
            of_token: Mutex::default(),
        }))))
    }

    /// Whether anyone may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Reads the files again where one has changed; what is new then, each in a sentence.
    ///
    /// # Errors
    /// Where one cannot be read: what was known holds on. A file that is wrong is tried again once it changes, one
    /// that could not be read the next time.
    pub fn reload(&self) -> Result<Vec<String>, RegisterError> {
        let Some(files) = &self.0 else { return Ok(Vec::new()) };
        let stamps = || [Stamp::of(&files.clients), Stamp::of(&files.tokens)];
        let now = stamps();
        let mut tried = files.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if now == *tried {
            return Ok(Vec::new());
        }
        let read = Known::read(&files.clients, &files.tokens);
        // One that is being written is read the next time.
        if stamps() != now {
            return Ok(Vec::new());
        }
        if !read.as_ref().is_err_and(RegisterError::is_io) {
            *tried = now;
        }
        drop(tried);
        let mut read = read?;
        let told = read.follow(&files.known.load());
        files.known.store(Arc::new(read));
        Ok(told)
    }

    /// Who calls, with this certificate on the connection and this `authorization` in the call.
    ///
    /// # Errors
    /// What is missing.
    pub async fn who(
        &self,
        certificate: Option<&Arc<Certificate>>,
        authorization: Option<&[u8]>,
        today: Day,
    ) -> Result<Who, Denied> {
        let Some(files) = &self.0 else { return Ok(Who::Anyone) };
        let known = files.known.load_full();
        let shown = match (authorization, certificate) {
            (Some(authorization), _) => {
                Shown::Token(files.check(&known, authorization, today).await?)
            }
            (None, Some(certificate)) => Shown::Certificate(Arc::clone(certificate)),
            (None, None) => {
                return Err(Denied::Unknown(
                    "nobody is known without a client certificate or a token: send \
                     `authorization: Bearer waag_...` (made by `waag token add`)"
                        .into(),
                ));
            }
        };
        let client = known.client_of(&shown, today)?;
        Ok(Who::Client(client, shown))
    }

    /// The same caller as it is known now.
    ///
    /// # Errors
    /// Where it is not known any more.
    pub fn still(&self, who: &Who, today: Day) -> Result<Who, Denied> {
        match (&self.0, who) {
            (Some(files), Who::Client(_, shown)) => {
                let client = files.known.load().client_of(shown, today)?;
                Ok(Who::Client(client, shown.clone()))
            }
            (None, Who::Anyone) => Ok(Who::Anyone),
            // Neither comes from this register.
            _ => Err(Denied::Unknown("nobody is known".into())),
        }
    }
}

impl Files {
    fn of_token(&self, id: &str) -> Arc<Semaphore> {
        let mut of_token = self.of_token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = of_token.get(id) {
            return Arc::clone(places);
        }
        of_token.retain(|_, places| Arc::strong_count(places) > 1);
        let places = Arc::new(Semaphore::new(CHECKS_OF_TOKEN_MAX));
        of_token.insert(id.to_owned(), Arc::clone(&places));
        places
    }

    /// The id of the token in `authorization`, whose secret is right.
    async fn check(
        &self,
        known: &Arc<Known>,
        authorization: &[u8],
        today: Day,
    ) -> Result<Box<str>, Denied> {
        let no_token = || {
            Denied::Unknown(
                "authorization holds no token of this server: it is `Bearer waag_`, 16 hexadecimal \
                 digits, `_`, and 64 of them"
                    .into(),
            )
        };
        let text = std::str::from_utf8(authorization).map_err(|_| no_token())?;
        let (scheme, text) = text.split_once(' ').ok_or_else(no_token)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(no_token());
        }
        let (id, secret) = token::parts(text.trim()).ok_or_else(no_token)?;
        let wrong = || Denied::Unknown(format!("token {id} is not known here, or was revoked"));
        let token = known.tokens.get(id).ok_or_else(wrong)?;
        if token.is_expired(today) {
            let last = token.expires.as_deref().unwrap_or_default();
            return Err(Denied::Unknown(format!(
                "token {id} counted until {last}: ask for a new one"
            )));
        }
        let digest: [u8; 32] = Sha256::digest(text.trim()).into();
        if known.is_checked(&digest) {
            return Ok(id.into());
        }
        let busy = || Denied::Busy("too many tokens are being checked: come back later".into());
        let of_token = self.of_token(id);
        let _of_token = of_token.try_acquire().map_err(|_| busy())?;
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        // Kept by the thread, whether the caller stays or not.
        let turn = Arc::clone(&self.checks).acquire_owned().await.map_err(|_| busy())?;
        // Of many calls with the same token the first has it checked for all.
        if known.is_checked(&digest) {
            return Ok(id.into());
        }
        let (its, secret) = (Arc::clone(token), secret.to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            its.is_secret(&secret)
        });
        // The same words as for an id that is not known. Ids are no secret.
        if !checked.await.unwrap_or(false) {
            return Err(wrong());
        }
        known
            .checked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, Arc::clone(token));
        Ok(id.into())
    }
}

#[cfg(test)]
#[path = "register_tests.rs"]
mod tests;
