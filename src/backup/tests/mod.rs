//! Backups of data folders at rest, and what becomes of them when they are damaged or cut off.
//! `ingest::tests::sealing` takes them while everything goes on, and `tests/backup.rs` of a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod refused;
mod restoring;

use std::path::Path;
use std::sync::Arc;

use super::manifest::{self, Contents};
use super::moment::Source;
use super::restore::Stored;
use super::target::Target;
use super::{BackupError, RestoreError, take};
use crate::audit::Event;
use crate::audit::log::append;
use crate::day::Day;
use crate::disk::Disk;
use crate::identity::token::{self, Token};
use crate::ingest::tests::{config, lodge, start};

const DAY: &str = "2026-11-05";

/// A data folder in which something was lodged, with a token and an audit log, and no server that uses it.
async fn lodged(data: &Path) {
    let engine = start(&config(data), &format!("{DAY}T12:00"));
    lodge(&engine, DAY).await;
    engine.stop();
    let (token, _) = Token::make("risk-desk", Day::parse(DAY).unwrap(), None).unwrap();
    let add = |tokens: &mut Vec<Token>| -> Result<(), token::TokenError> {
        tokens.push(token);
        Ok(())
    };
    token::change(&token::path_in(data), add).unwrap();
    for number in 0..5 {
        append(data, Event::of_server("test", number.to_string())).unwrap();
    }
}

/// Takes a backup of journal, archive and what outlives dropped days, on disks of the caller's.
pub(crate) fn back_up(
    (disk, root, identity): (Arc<dyn Disk>, &Path, [u8; 16]),
    (to, folder): (Arc<dyn Disk>, &Path),
) -> Result<Contents, BackupError> {
    let source = Source { disk, root: root.to_owned(), identity };
    let mut target = Target::new(to, folder);
    target.folder(Path::new(""))?;
    let taken = take::take(&source, &mut target, &mut |_| {})?;
    target.sync()?;
    let contents = Contents {
        backup_format: manifest::FORMAT,
        waag: String::new(),
        records: taken.records.0,
        sealed_records: taken.sealed.0,
        dropped_through: taken.dropped_through.map(|day| day.to_string()),
        audit_head: None,
        files: target.entries(),
    };
    contents
        .clone()
        .write(&**target.disk(), folder)
        .map_err(super::error::io("writing", folder))?;
    Ok(contents)
}

/// The backup in `folder`, checked; restored to `data` on another disk.
pub(crate) fn restore(
    (from, folder): (&dyn Disk, &Path),
    to: Option<(Arc<dyn Disk>, &Path)>,
) -> Result<Contents, RestoreError> {
    let contents = Contents::read(from, folder)?;
    let backup = Stored { disk: from, folder, contents: &contents };
    backup.check(&mut |_| {})?;
    if let Some((disk, data)) = to {
        let mut target = Target::new(disk, data);
        target.folder(Path::new(""))?;
        backup.write(&mut target, &mut |_| {})?;
        backup.place(&mut target)?;
    }
    Ok(contents)
}
