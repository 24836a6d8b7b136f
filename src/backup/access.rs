//! Who may call, who did, and what was recorded: the hashes of tokens, and the audit log and the books, which a
//! server goes on writing.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crc32c::{crc32c, crc32c_append};

use super::CHUNK_BYTES;
use super::error::{BackupError, io};
use super::moment::Source;
use super::small::{create_private, make_private, write_private};
use super::take::patiently;
use super::target::{Target, Written};
use crate::audit;
use crate::audit::check::{self, AuditError, Head};
use crate::book::{KINDS, Kind, StoreError};
use crate::identity::token::{self, TokenError};

/// Copies the hashes of tokens, where there are any. Their file is only ever replaced as a whole.
pub(super) fn tokens(source: &Source, target: &mut Target) -> Result<(), BackupError> {
    let path = token::path_in(&source.root);
    let content = match source.disk.read_small(&path, token::FILE_BYTES_MAX) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        content => content.map_err(|error| BackupError::Read(io("reading", &path)(error)))?,
    };
    let folder = private_folder(target, token::FOLDER)?;
    let copy = folder.join(token::NAME);
    write_private(&copy, &content)?;
    token::read(&copy).map_err(|error| of_source(error, &path))?;
    let written = Written { bytes: content.len() as u64, check: crc32c(&content) };
    target.note(format!("{}/{}", token::FOLDER, token::NAME), written);
    Ok(())
}

fn of_source(error: TokenError, path: &Path) -> BackupError {
    let path = path.to_owned();
    let error = match error {
        TokenError::Io { source, .. } => TokenError::Io { path, source },
        TokenError::TooLong { .. } => TokenError::TooLong { path },
        TokenError::Toml { source, .. } => TokenError::Toml { path, source },
        TokenError::Token { id, why, .. } => TokenError::Token { path, id, why },
        error @ TokenError::Make(_) => error,
    };
    error.into()
}

/// Copies the audit log, and checks every hash of the copy. It has every entry that was on disk before; of
/// those that are written meanwhile some, each whole, and none that a power cut could still take from the log.
/// Returns where it ends.
pub(super) fn audit_log(source: &Source, target: &mut Target) -> Result<Head, BackupError> {
    // A write that failed is cut off again: what was being copied of it then fits nothing.
    patiently(|| log(source, target))
}

fn log(source: &Source, target: &mut Target) -> Result<Head, BackupError> {
    let folder = source.folder(audit::FOLDER);
    // One that comes later has nothing but what is later.
    let files = check::files(&folder)?;
    if files.is_empty() {
        return Ok(Head::default());
    }
    let copy = private_folder(target, audit::FOLDER)?;
    for (number, path) in files.iter().enumerate() {
        let name = path.file_name().unwrap_or_default();
        let written = copy_log(path, &copy.join(name), number + 1 == files.len())?;
        target.note(format!("{}/{}", audit::FOLDER, name.to_string_lossy()), written);
    }
    let of_source = |path: &Path| folder.join(path.file_name().unwrap_or_default());
    match check::read(&copy, |_, _| {}) {
        Ok((head, _)) => Ok(head),
        Err(AuditError::Io { path, source }) => Err(io("reading", &path)(source).into()),
        Err(AuditError::Damaged { path, line, why }) => {
            Err(AuditError::Damaged { path: of_source(&path), line, why }.into())
        }
    }
}

/// Copies the books, where there are any, and checks every line of each copy: those that were answered before, and
/// of those that are written meanwhile some, each whole.
pub(super) fn books(source: &Source, target: &mut Target) -> Result<(), BackupError> {
    KINDS.iter().try_for_each(|kind| patiently(|| book(kind, source, target)))
}

fn book(kind: &Kind, source: &Source, target: &mut Target) -> Result<(), BackupError> {
    let path = kind.path_in(&source.root);
    if !path.exists() {
        return Ok(());
    }
    let folder = private_folder(target, kind.folder)?;
    let copy = folder.join(kind.name);
    let written = copy_log(&path, &copy, true)?;
    target.note(format!("{}/{}", kind.folder, kind.name), written);
    (kind.check)(&copy).map(drop).map_err(|error| match error {
        StoreError::Io { path, source } => io("reading", &path)(source).into(),
        // It is the file that was copied which has to be mended.
        StoreError::Damaged { line, byte, why, .. } => {
            StoreError::Damaged { path, line, byte, why }.into()
        }
        StoreError::Newer { line, found, newest, .. } => {
            StoreError::Newer { path, line, found, newest }.into()
        }
    })
}

/// Copies a file of the log; of the newest, whole lines that are on disk.
fn copy_log(from: &Path, to: &Path, is_newest: bool) -> Result<Written, BackupError> {
    let reading = |error| BackupError::Read(io("reading", from)(error));
    let file = File::open(from).map_err(reading)?;
    let mut bytes = file.metadata().map_err(reading)?.len();
    if is_newest {
        bytes = check::whole_lines(&file, bytes).map_err(reading)?;
        // Nobody may have been answered on these as yet.
        file.sync_data().map_err(|error| BackupError::Read(io("syncing", from)(error)))?;
    }
    match std::fs::remove_file(to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io("removing", to)(error).into());
        }
        _ => {}
    }
    let mut out = create_private(to)?;
    let mut file = file.take(bytes);
    let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(bytes).unwrap_or(CHUNK_BYTES))];
    let mut written = Written { bytes: 0, check: 0 };
    while written.bytes < bytes {
        let read = match file.read(&mut chunk) {
            Ok(0) => return Err(reading(std::io::ErrorKind::UnexpectedEof.into())),
            read => read.map_err(reading)?,
        };
        let now = chunk.get(..read).unwrap_or_default();
        out.write_all(now).map_err(io("writing", to))?;
        written.bytes += now.len() as u64;
        written.check = crc32c_append(written.check, now);
    }
    out.sync_all().map_err(io("syncing", to))?;
    Ok(written)
}

fn private_folder(target: &mut Target, name: &str) -> Result<PathBuf, BackupError> {
    make_private(&target.root().join(name))?;
    Ok(target.folder(Path::new(name))?)
}
