//! A run as its header tells of it, without its filters in memory: for whoever only copies it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{Place, in_order, may_begin, places};
use super::page::{BadHeader, Header, is_intact};
use super::{Covers, Folder, PAGE, RunError, SUFFIX, damaged, io};
use crate::disk::{Access, AlignedBuffer, Disk, DiskFile, PAGE_BYTES};
use crate::id::{Ordinal, Watermark};

/// Pages read at once.
const WINDOW_PAGES: u64 = 256;

/// A run that is held open: it can be read when its name is gone.
#[derive(Debug, Clone)]
pub struct Head {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    header: Header,
    /// Without what is carried.
    covers: Covers,
}

impl Folder {
    /// Opens all runs that there are, filters apart.
    ///
    /// # Errors
    /// Where one cannot be opened: it may have been merged into another meanwhile.
    pub fn heads(&self) -> Result<Vec<Head>, RunError> {
        let (disk, dir) = (self.disk(), self.dir());
        let names = disk.list(dir).map_err(io("listing", dir))?.into_iter().map(|entry| entry.name);
        names
            .filter(|name| name.ends_with(SUFFIX))
            .map(|name| Head::open(disk, &dir.join(name), self.identity()))
            .collect()
    }
}

/// Those of `heads` that follow on one another, oldest first, and have no record after `until`. None where
/// others are missing before them.
#[must_use]
pub fn in_line(mut heads: Vec<Head>, until: Watermark) -> Vec<Head> {
    heads.retain(|head| head.covers.last_record <= until);
    heads.sort_by_key(|head| in_order(&head.covers));
    let places = places(heads.iter().map(|head| &head.covers), (Watermark(0), Ordinal(0)));
    let mut places = places.into_iter();
    heads.retain(|_| places.next() == Some(Place::Whole));
    match (heads.first(), heads.last()) {
        (Some(oldest), Some(newest)) if may_begin(&oldest.covers, &newest.covers) => heads,
        _ => Vec::new(),
    }
}

impl Head {
    fn open(disk: &dyn Disk, path: &Path, identity: [u8; 16]) -> Result<Self, RunError> {
        let (file, header) = open(disk, path, identity)?;
        let covers = header.covers(Vec::new());
        Ok(Self { path: path.to_owned(), file, header, covers })
    }

    /// What it covers, without what is carried.
    #[must_use]
    pub fn covers(&self) -> &Covers {
        &self.covers
    }

    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.covers.file_name()
    }

    /// The length of its file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.header.pages() * PAGE
    }

    /// Hands over all of it in order, once every page of it is found to be what was written.
    ///
    /// # Errors
    /// Damage; I/O; those of `take` as of reading it.
    pub fn read(&self, take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> Result<(), RunError> {
        let pages = self.header.pages();
        let window = usize::try_from(WINDOW_PAGES.min(pages)).unwrap_or(usize::MAX);
        let mut buffer = AlignedBuffer::new(window);
        let mut number = 0;
        while number < pages {
            let count = usize::try_from(WINDOW_PAGES.min(pages - number)).unwrap_or(usize::MAX);
            let into = buffer.bytes_mut().get_mut(..count * PAGE_BYTES).unwrap_or_default();
            let read = self.file.read_at(number * PAGE, into);
            read.map_err(io("reading", &self.path))?;
            let read = buffer.pages().get(..count).unwrap_or_default();
            for (number, page) in (number..).zip(read) {
                if !is_intact(page, self.header.first_record.0, number) {
                    return Err(damaged(&self.path, number, "the page's check fails"));
                }
            }
            take(read.as_flattened()).map_err(io("copying", &self.path))?;
            number += count as u64;
        }
        Ok(())
    }
}

/// Opens a run and reads its header.
pub(super) fn open(
    disk: &dyn Disk,
    path: &Path,
    identity: [u8; 16],
) -> Result<(Arc<dyn DiskFile>, Header), RunError> {
    let file = disk.open(path, Access::Read).map_err(io("opening", path))?;
    let damaged = |what| damaged(path, 0, what);
    let bytes = file.len().map_err(io("asking the length of", path))?;
    if bytes < PAGE {
        return Err(damaged("the file is shorter than a header"));
    }
    let mut buffer = AlignedBuffer::new(1);
    file.read_at(0, buffer.bytes_mut()).map_err(io("reading", path))?;
    let header =
        buffer.pages().first().map_or(Err(BadHeader::Damaged("there is no header")), Header::read);
    let header = match header {
        Ok(header) => header,
        Err(BadHeader::Damaged(what)) => return Err(damaged(what)),
        Err(BadHeader::Newer(found)) => {
            return Err(RunError::NewerFormat { path: path.to_owned(), found });
        }
    };
    if header.identity != identity {
        return Err(damaged("it is the run of another data folder"));
    }
    if bytes != header.pages() * PAGE {
        return Err(damaged("the file has another length than its header says"));
    }
    Ok((file, header))
}
