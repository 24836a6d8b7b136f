//! Writes a run: under another name first, and named only when all of it is on the device.

use std::path::Path;

use super::filter::{Filters, bits_for};
use super::page::{
    BATCHES_PER_PAGE, Bytes, ENTRIES_PER_PAGE, Header, ITEMS_AT, LOADED_PER_PAGE, ORDINALS_MAX,
    Page, seal, write_batch, write_entry, write_rare,
};
use super::read::Run;
use super::{Entry, PAGE, PREPARING_SUFFIX, RunError, Source, io};
use crate::disk::{AlignedBuffer, Disk, DiskFile, PAGE_BYTES};
use crate::id::Ordinal;

/// Pages written at once: 256 KiB.
const BUFFER_PAGES: usize = 64;

/// Writes the run of `source` into the folder `dir`, and opens it.
///
/// # Errors
/// As the disk gives them: then there is no such run, and what was written is in nobody's way.
pub(in crate::index) fn write(
    disk: &dyn Disk,
    dir: &Path,
    identity: [u8; 16],
    source: &dyn Source,
) -> Result<Run, RunError> {
    let covers = source.covers();
    if covers.end_ordinal.0 - covers.first_ordinal.0 >= ORDINALS_MAX {
        return Err(RunError::Filter { keys: 0, what: "more ordinals than a run has room for" });
    }
    let bits = bits_for(source.count());
    let parts = 0..1_u64 << bits;
    let mut filters = Filters::new(bits);
    let mut entries = 0;
    for part in parts.clone() {
        let of_part = source.entries(bits, part);
        entries += of_part.len() as u64;
        filters.push(of_part.iter().map(|entry| entry.key))?;
    }
    let (batches, batch_pages) = count_batches(source);
    let rare_pages = Rares::of(source).count();
    let entry_pages = entries.div_ceil(ENTRIES_PER_PAGE as u64);
    let mut loaded = Bytes::default();
    filters.write(&mut loaded);
    let fences = 8 * (entry_pages + batch_pages + rare_pages as u64);
    let loaded_bytes = fences + (loaded.0.len() + covers.carried.len()) as u64;
    let loaded_pages = loaded_bytes.div_ceil(LOADED_PER_PAGE as u64);
    let pages = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let header = Header {
        identity,
        first_record: covers.first_record,
        last_record: covers.last_record,
        first_ordinal: covers.first_ordinal,
        end_ordinal: covers.end_ordinal,
        position: covers.position,
        entries,
        batches,
        entry_pages: pages(entry_pages),
        batch_pages: pages(batch_pages),
        rare_pages: pages(rare_pages as u64),
        loaded_pages: pages(loaded_pages),
        loaded_bytes,
        carried_bytes: u32::try_from(covers.carried.len()).unwrap_or(u32::MAX),
        filter_bits: bits,
    };

    let name = covers.file_name();
    let preparing = dir.join(format!("{name}{PREPARING_SUFFIX}"));
    let named = dir.join(&name);
    // One that is left from an attempt before: its folder may not have been listed since.
    match disk.remove(&preparing) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io("removing", &preparing)(error));
        }
        _ => {}
    }
    let file = disk.create(&preparing, header.pages() * PAGE).map_err(io("making", &preparing))?;
    let mut out = Out::new(&*file, covers.first_record.0);
    let written = (|| {
        out.add(&header.page())?;
        let fences = write_items(&mut out, source, bits)?;
        let mut all = Bytes::default();
        fences.iter().for_each(|fence| {
            all.put(&fence.to_le_bytes());
        });
        all.put(&loaded.0).put(&covers.carried);
        for bytes in all.0.chunks(LOADED_PER_PAGE) {
            out.add_items(4, bytes)?;
        }
        out.flush()?;
        file.sync_data()
    })();
    if let Err(error) = written.and_then(|()| disk.rename(&preparing, &named)) {
        // What is left of it would keep a full disk full.
        let _ = disk.remove(&preparing);
        return Err(io("writing", &preparing)(error));
    }
    disk.sync_dir(dir).map_err(io("syncing", dir))?;
    drop(file);
    Run::open(disk, &named, identity)
}

/// Writes entries, batches and rare parts; the fences of their pages, in this order.
fn write_items(out: &mut Out<'_>, source: &dyn Source, bits: u32) -> std::io::Result<Vec<u64>> {
    let first = source.covers().first_ordinal;
    let mut fences = Vec::new();
    let mut page: Vec<Entry> = Vec::with_capacity(ENTRIES_PER_PAGE);
    for part in 0..1_u64 << bits {
        let mut entries = source.entries(bits, part);
        entries.sort_unstable_by_key(|entry| (entry.key, entry.kind));
        for entry in entries {
            page.push(entry);
            if page.len() == ENTRIES_PER_PAGE {
                add_entries(out, first, &mut page, &mut fences)?;
            }
        }
    }
    if !page.is_empty() {
        add_entries(out, first, &mut page, &mut fences)?;
    }
    let mut batches = source.batches().peekable();
    while let Some(next) = batches.peek() {
        fences.push(next.placing.first_ordinal.0);
        let mut bytes = Bytes::default();
        let mut count = 0;
        for batch in batches.by_ref().take(BATCHES_PER_PAGE) {
            write_batch(&batch, &mut bytes);
            count += 1;
        }
        out.add_counted(count, &bytes)?;
    }
    for (first, count, bytes) in Rares::of(source) {
        fences.push(first.0 - source.covers().first_ordinal.0);
        out.add_counted(count, &bytes)?;
    }
    Ok(fences)
}

fn add_entries(
    out: &mut Out<'_>,
    first: Ordinal,
    entries: &mut Vec<Entry>,
    fences: &mut Vec<u64>,
) -> std::io::Result<()> {
    fences.extend(entries.first().map(|entry| entry.key.0));
    let mut bytes = Bytes::default();
    entries.iter().for_each(|entry| write_entry(entry, first, &mut bytes));
    out.add_counted(entries.len(), &bytes)?;
    entries.clear();
    Ok(())
}

fn count_batches(source: &dyn Source) -> (u64, u64) {
    let batches = source.batches().count() as u64;
    (batches, batches.div_ceil(BATCHES_PER_PAGE as u64))
}

/// The rare parts page by page: first ordinal, how many, bytes.
struct Rares<'a> {
    all: std::iter::Peekable<Box<dyn Iterator<Item = (Ordinal, &'a super::FiledFallback)> + 'a>>,
    first: Ordinal,
}

impl<'a> Rares<'a> {
    fn of(source: &'a dyn Source) -> Self {
        Self { all: source.rares().peekable(), first: source.covers().first_ordinal }
    }
}

impl Iterator for Rares<'_> {
    type Item = (Ordinal, usize, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        let (first, _) = *self.all.peek()?;
        let (mut bytes, mut count) = (Bytes::default(), 0);
        while let Some(&(ordinal, fallback)) = self.all.peek() {
            let mut one = Bytes::default();
            write_rare(ordinal, fallback, self.first, &mut one);
            if bytes.0.len() + one.0.len() > PAGE_BYTES - ITEMS_AT {
                break;
            }
            bytes.put(&one.0);
            count += 1;
            let _ = self.all.next();
        }
        Some((first, count, bytes))
    }
}

/// Pages on their way to the file.
struct Out<'a> {
    file: &'a dyn DiskFile,
    first_record: u64,
    buffer: AlignedBuffer,
    held: usize,
    next_page: u64,
}

impl<'a> Out<'a> {
    fn new(file: &'a dyn DiskFile, first_record: u64) -> Self {
        let buffer = AlignedBuffer::new(BUFFER_PAGES);
        Self { file, first_record, buffer, held: 0, next_page: 0 }
    }

    fn add_counted(&mut self, count: usize, bytes: &Bytes) -> std::io::Result<()> {
        let mut all = Bytes::default();
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        all.put(&count.to_le_bytes()).put(&[0; 2]).put(&bytes.0);
        self.add_items(4, &all.0)
    }

    /// Adds a page with `bytes` from byte `at` on.
    fn add_items(&mut self, at: usize, bytes: &[u8]) -> std::io::Result<()> {
        let mut page = [0; PAGE_BYTES];
        page.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
        seal(&mut page, self.first_record, self.next_page);
        self.add(&page)
    }

    fn add(&mut self, page: &Page) -> std::io::Result<()> {
        if let Some(to) = self.buffer.pages_mut().get_mut(self.held) {
            *to = *page;
        }
        self.held += 1;
        self.next_page += 1;
        if self.held == BUFFER_PAGES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let start = (self.next_page - self.held as u64) * PAGE;
        let bytes = self.buffer.bytes().get(..self.held * PAGE_BYTES).unwrap_or_default();
        if !bytes.is_empty() {
            self.file.write_at(start, bytes)?;
        }
        self.held = 0;
        Ok(())
    }
}
