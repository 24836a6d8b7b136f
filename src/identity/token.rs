//! Bearer tokens, and the file that keeps what is known of them.
//!
//! A token is `waag_`, an id of 16 hexadecimal digits, `_`, and a secret of 64 (256 random bits). It is shown
//! once, when `waag token add` makes it; kept is an argon2id hash of the secret, under the id. The file is
//! `identity/tokens.toml` in the data folder, readable by its owner only, and is written whole: a new one beside
//! it, synced, then renamed over it, then the folder synced.
//!
//! ```toml
//! [[token]]
//! id = "5b1e0c7a9d3f2e18"
//! client = "lotusbay"
//! hash = "$argon2id$v=19$m=19456,t=2,p=1$..."
//! made = "2026-11-29"
//! expires = "2027-11-29"                   # the last day on which it counts; left out: none
//! ```

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Argon2, Params};
use serde::{Deserialize, Serialize};

use crate::day::Day;
use crate::disk::plain;

/// What every token begins with, so that a scan for secrets finds one that got out.
pub const PREFIX: &str = "waag_";

const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// The folder in the data folder.
pub const FOLDER: &str = "identity";
/// The file in it.
pub const NAME: &str = "tokens.toml";
/// Bytes of the file at most: some ten thousand tokens.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is known by; no secret.
    pub id: String,
    /// Whose it is, by name.
    pub client: String,
    /// argon2id of the secret, as a PHC string.
    hash: String,
    /// The day on which it was made, as 2026-11-29.
    pub made: String,
    /// The last day on which it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// What is wrong with tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is longer than it may be.
    #[error(
        "{path} has more than {FILE_BYTES_MAX} bytes, the most it may have: revoke some tokens"
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is no TOML of tokens.
    #[error("{path}: {source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A token in it cannot be as it is.
    #[error("{path}: token {id:?}: {why}")]
    Token {
        /// The file.
        path: PathBuf,
        /// Which one.
        id: String,
        /// What is wrong.
        why: String,
    },
    /// The system gives no random numbers, or argon2 fails.
    #[error("no token can be made: {0}")]
    Make(String),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Token>,
}

/// Where the tokens of a data folder are.
#[must_use]
pub fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(FOLDER).join(NAME)
}

/// The tokens in the file at `path`; none where there is none.
///
/// # Errors
/// See [`TokenError`].
pub fn read(path: &Path) -> Result<Vec<Token>, TokenError> {
    let io = |source| TokenError::Io { path: path.into(), source };
    let text = match std::fs::metadata(path) {
        Ok(found) if found.len() > FILE_BYTES_MAX => {
            return Err(TokenError::TooLong { path: path.into() });
        }
        Ok(_) => std::fs::read_to_string(path).map_err(io)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let file: File = toml::from_str(&text)
        .map_err(|source| TokenError::Toml { path: path.into(), source: Box::new(source) })?;
    for token in &file.token {
        let days = std::iter::once(&token.made).chain(&token.expires);
        let why = if let Some(day) = days.into_iter().find(|day| Day::parse(day).is_none()) {
            Some(format!("{day:?} is no day written as 2026-11-29"))
        } else {
            check_hash(&token.hash).err().map(|why| format!("its hash: {why}"))
        };
        if let Some(why) = why {
            return Err(TokenError::Token { path: path.into(), id: token.id.clone(), why });
        }
    }
    Ok(file.token)
}

/// Whether `hash` is one that takes no more memory and time than those which are made here: whoever may write the
/// file could have a call take all memory there is.
fn check_hash(hash: &str) -> Result<(), String> {
    let hash = PasswordHash::new(hash).map_err(|error| error.to_string())?;
    let params = Params::try_from(&hash).map_err(|error| error.to_string())?;
    for (name, value, most) in [
        ("m", params.m_cost(), Params::DEFAULT_M_COST),
        ("t", params.t_cost(), Params::DEFAULT_T_COST),
        ("p", params.p_cost(), Params::DEFAULT_P_COST),
    ] {
        if value > most {
            return Err(format!(
                "{name} is {value}; the bound is {most}, which waag token add writes"
            ));
        }
    }
    Ok(())
}

/// Changes the tokens in the file at `path`: one process at a time, or one would undo what another did.
///
/// # Errors
/// See [`TokenError`], and what `change` says.
pub fn change<T, E: From<TokenError>>(
    path: &Path,
    change: impl FnOnce(&mut Vec<Token>) -> Result<T, E>,
) -> Result<T, E> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let lock = folder.join("lock");
    let locked = make_folder(folder).and_then(|()| {
        let options = &mut std::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = plain::call(|| options.open(&lock))?;
        plain::own_as_parent(&lock)?;
        file.lock()?;
        Ok(file)
    });
    let _locked = locked.map_err(|source| TokenError::Io { path: lock, source })?;
    let mut tokens = read(path)?;
    let changed = change(&mut tokens)?;
    write(path, &tokens)?;
    Ok(changed)
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    plain::call(|| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder))?;
    plain::own_as_parent(folder)
}

/// Writes the file anew, durably.
///
/// # Errors
/// As the system gives them.
pub(super) fn write(path: &Path, tokens: &[Token]) -> Result<(), TokenError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| TokenError::Io { path, source }
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder).map_err(io(folder))?;
    let file = File { token: tokens.to_vec() };
    let text = toml::to_string(&file).map_err(|error| TokenError::Make(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(TokenError::TooLong { path: path.into() });
    }
    let new = path.with_extension("toml.new");
    let mut options = std::fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = plain::call(|| options.open(&new)).map_err(io(&new))?;
    let written =
        plain::write_all(&mut out, text.as_bytes()).and_then(|()| plain::own_as_parent(&new));
    written.and_then(|()| plain::call(|| out.sync_all())).map_err(io(&new))?;
    plain::call(|| std::fs::rename(&new, path)).map_err(io(path))?;
    plain::sync_folder(folder).map_err(io(folder))
}

impl Token {
    /// A new token of `client`, and its text, which is nowhere else.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn make(
        client: &str,
        made: Day,
        expires: Option<Day>,
    ) -> Result<(Self, String), TokenError> {
        let random = |bytes: &mut [u8]| {
            getrandom::fill(bytes).map_err(|error| TokenError::Make(error.to_string()))
        };
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        random(&mut id)?;
        random(&mut secret)?;
        let (id, secret) = (hexadecimal(&id), hexadecimal(&secret));
        let hash = Argon2::default()
            .hash_password(secret.as_bytes())
            .map_err(|error| TokenError::Make(error.to_string()))?
            .to_string();
        let text = format!("{PREFIX}{id}_{secret}");
        let expires = expires.map(|day| day.to_string());
        let token = Self { id, client: client.into(), hash, made: made.to_string(), expires };
        Ok((token, text))
    }

    /// Whether this is its secret. Takes some 20 ms and 19 MiB: that is what argon2 is for.
    #[must_use]
    pub fn is_secret(&self, secret: &str) -> bool {
        let Ok(hash) = PasswordHash::new(&self.hash) else { return false };
        Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok()
    }

    /// Whether it counts no more.
    #[must_use]
    pub fn is_expired(&self, today: Day) -> bool {
        self.expires.as_deref().is_some_and(|last| Day::parse(last).is_none_or(|last| last < today))
    }
}

/// Id and secret of a token's text; none where it is no token.
#[must_use]
pub fn parts(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let is_hexadecimal = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_token = id.len() == 2 * ID_BYTES && secret.len() == 2 * SECRET_BYTES;
    (is_token && is_hexadecimal(id) && is_hexadecimal(secret)).then_some((id, secret))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A String takes all.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_hash_that_would_take_more_than_those_made_here_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        let (token, _) = Token::make("lotusbay", Day::parse("2026-11-29").unwrap(), None).unwrap();
        write(&path, std::slice::from_ref(&token)).unwrap();
        assert_eq!(read(&path).unwrap(), std::slice::from_ref(&token));
        for (from, to, told) in [
            ("m=19456", "m=4294967295", "m is 4294967295; the bound is 19456"),
            ("m=19456", "m=19457", "m is 19457; the bound is 19456"),
            ("t=2", "t=3", "t is 3; the bound is 2"),
            ("p=1", "p=2", "p is 2; the bound is 1"),
        ] {
            let hash = token.hash.replace(from, to);
            assert_ne!(hash, token.hash);
            write(&path, &[Token { hash, ..token.clone() }]).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(told) && error.contains(&token.id), "{error}");
        }
    }

    #[test]
    fn a_token_is_known_by_its_secret_alone_until_it_expires() {
        let day = |text| Day::parse(text).unwrap();
        let (token, text) =
            Token::make("lotusbay", day("2026-11-29"), Some(day("2026-12-31"))).unwrap();
        let (id, secret) = parts(&text).unwrap();
        assert_eq!(id, token.id);
        assert!(token.is_secret(secret));
        let (_, other) = Token::make("lotusbay", day("2026-11-29"), None).unwrap();
        assert!(!token.is_secret(parts(&other).unwrap().1));
        assert!(!token.hash.contains(secret) && token.hash.starts_with("$argon2id$"));
        assert!(!token.is_expired(day("2026-12-31")));
        assert!(token.is_expired(day("2027-01-01")));
        for wrong in [
            "",
            "waag_",
            "waag_12_34",
            &text[1..],
            &text[..text.len() - 1],
            &text.replace('_', "-"),
        ] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_call_that_fails_is_told_by_name_and_every_token_stays() {
        use crate::disk::plain::faults::at_each_call;
        let made = Day::parse("2026-11-29").unwrap();
        let tokens: Vec<_> = (0..2).map(|_| Token::make("a", made, None).unwrap().0).collect();
        let add = |path: &Path, token: &Token| {
            change(path, |tokens| {
                tokens.push(token.clone());
                Ok::<_, TokenError>(())
            })
        };
        for had in [0, 1] {
            let failed = at_each_call(|fault| {
                let folder = tempfile::tempdir().unwrap();
                let path = path_in(folder.path());
                for token in &tokens[..had] {
                    add(&path, token).unwrap();
                }
                let (added, was_met) = fault.during(|| add(&path, &tokens[had]));
                assert_eq!(added.is_err(), was_met);
                if let Err(error) = added {
                    let told = error.to_string();
                    assert!(told.contains(path.parent().unwrap().to_str().unwrap()), "{told}");
                    // Those that were there, and the new one where all but its name was durable.
                    let now = read(&path).unwrap();
                    assert!(now == tokens[..had] || now == tokens[..=had], "{now:?}");
                    write(&path, &tokens[..had]).unwrap();
                    add(&path, &tokens[had]).unwrap();
                }
                assert_eq!(read(&path).unwrap(), tokens[..=had]);
            });
            // Without one the folder is made as well.
            assert_eq!(failed, if had == 0 { 14 } else { 12 });
        }
    }

    #[test]
    fn the_file_is_written_whole_and_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        assert_eq!(read(&path).unwrap(), []);
        let made = Day::parse("2026-11-29").unwrap();
        let tokens: Vec<_> = (0..3).map(|_| Token::make("a", made, None).unwrap().0).collect();
        write(&path, &tokens).unwrap();
        write(&path, &tokens[1..]).unwrap();
        assert_eq!(read(&path).unwrap(), &tokens[1..]);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(
            &path,
            "[[token]]\nid = \"1\"\nclient = \"a\"\nhash = \"x\"\nmade = \"2026-11-29\"\n",
        )
        .unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("token \"1\": its hash"));
    }
}
