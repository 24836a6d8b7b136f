//! Writes a run: under another name first, and named only when all of it is on the device.

use std::path::Path;

use super::filter::{Filters, bits_for};
use super::page::{
    BATCHES_PER_PAGE, Bytes, ENTRIES_PER_PAGE, Header, ITEMS_AT, LOADED_PER_PAGE, ORDINALS_MAX,
    Page, seal, write_batch, write_entry, write_rare,
};
use super::read::Run;
use super::{Entry, PAGE, PREPARING_SUFFIX, Rares, RunError, Source, io};
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
        let of_part = source.entries(bits, part)?;
        entries += of_part.len() as u64;
        filters.push(of_part.iter().map(|entry| entry.key))?;
    }
    let batches = source.batches().try_fold(0, |count, batch| batch.map(|_| count + 1))?;
    let batch_pages = u64::div_ceil(batches, BATCHES_PER_PAGE as u64);
    let rare_pages = RarePages::of(source).try_fold(0, |count, page| page.map(|_| count + 1))?;
    let entry_pages = entries.div_ceil(ENTRIES_PER_PAGE as u64);
    let fences = 8 * (entry_pages + batch_pages + rare_pages);
    let loaded_bytes = fences + filters.bytes() + covers.carried.len() as u64;
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
        rare_pages: pages(rare_pages),
        loaded_pages: pages(loaded_pages),
        loaded_bytes,
        carried_bytes: u32::try_from(covers.carried.len()).unwrap_or(u32::MAX),
        filter_bits: bits,
        forgotten: covers.forgotten,
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
    let written = write_all(&mut out, &header, source, &filters, &preparing);
    let named_now = written.and_then(|()| {
        file.sync_data().map_err(io("syncing", &preparing))?;
        disk.rename(&preparing, &named).map_err(io("naming", &preparing))
    });
    if let Err(error) = named_now {
        // What is left of it would keep a full disk full.
        let _ = disk.remove(&preparing);
        return Err(error);
    }
    disk.sync_dir(dir).map_err(io("syncing", dir))?;
    // Or there would be twice as much of them.
    drop((file, filters));
    Run::open(disk, &named, identity)
}

fn write_all(
    out: &mut Out<'_>,
    header: &Header,
    source: &dyn Source,
    filters: &Filters,
    path: &Path,
) -> Result<(), RunError> {
    let write = |written: std::io::Result<()>| written.map_err(io("writing", path));
    write(out.add(&header.page()))?;
    let fences = write_items(out, source, header.filter_bits, path)?;
    let mut page = Vec::with_capacity(LOADED_PER_PAGE);
    let mut put = |mut bytes: &[u8]| {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(LOADED_PER_PAGE - page.len()));
            page.extend_from_slice(now);
            bytes = later;
            if page.len() == LOADED_PER_PAGE {
                out.add_items(4, &page)?;
                page.clear();
            }
        }
        Ok(())
    };
    write(fences.iter().try_for_each(|fence| put(&fence.to_le_bytes())))?;
    write(filters.write(&mut put))?;
    write(put(&source.covers().carried))?;
    if !page.is_empty() {
        write(out.add_items(4, &page))?;
    }
    write(out.flush())
}

/// Writes entries, batches and rare parts; the fences of their pages, in this order.
fn write_items(
    out: &mut Out<'_>,
    source: &dyn Source,
    bits: u32,
    path: &Path,
) -> Result<Vec<u64>, RunError> {
    let first = source.covers().first_ordinal;
    let mut fences = Vec::new();
    let mut page: Vec<Entry> = Vec::with_capacity(ENTRIES_PER_PAGE);
    for part in 0..1_u64 << bits {
        let mut entries = source.entries(bits, part)?;
        entries.sort_unstable_by_key(Entry::order);
        for entry in entries {
            page.push(entry);
            if page.len() == ENTRIES_PER_PAGE {
                add_entries(out, first, &mut page, &mut fences).map_err(io("writing", path))?;
            }
        }
    }
    if !page.is_empty() {
        add_entries(out, first, &mut page, &mut fences).map_err(io("writing", path))?;
    }
    let mut batches = source.batches().peekable();
    while batches.peek().is_some() {
        let mut bytes = Bytes::default();
        let mut count = 0;
        for batch in batches.by_ref().take(BATCHES_PER_PAGE) {
            let batch = batch?;
            if count == 0 {
                fences.push(batch.placing.first_ordinal.0);
            }
            write_batch(&batch, &mut bytes);
            count += 1;
        }
        out.add_counted(count, &bytes).map_err(io("writing", path))?;
    }
    for page in RarePages::of(source) {
        let (ordinal, count, bytes) = page?;
        fences.push(ordinal.0 - first.0);
        out.add_counted(count, &bytes).map_err(io("writing", path))?;
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

/// The rare parts page by page: first ordinal, how many, bytes.
struct RarePages<'a> {
    all: Rares<'a>,
    /// The next one, which did not fit.
    next: Option<(Ordinal, Bytes)>,
    first: Ordinal,
}

impl<'a> RarePages<'a> {
    fn of(source: &'a dyn Source) -> Self {
        Self { all: source.rares(), next: None, first: source.covers().first_ordinal }
    }

    fn take(&mut self) -> Result<Option<(Ordinal, Bytes)>, RunError> {
        if let Some(next) = self.next.take() {
            return Ok(Some(next));
        }
        let Some(rare) = self.all.next() else { return Ok(None) };
        let (ordinal, fallback) = rare?;
        let mut bytes = Bytes::default();
        write_rare(ordinal, &fallback, self.first, &mut bytes);
        Ok(Some((ordinal, bytes)))
    }

    fn page(&mut self) -> Result<Option<(Ordinal, usize, Bytes)>, RunError> {
        let Some((first, mut bytes)) = self.take()? else { return Ok(None) };
        let mut count = 1;
        while let Some((ordinal, one)) = self.take()? {
            if bytes.0.len() + one.0.len() > PAGE_BYTES - ITEMS_AT {
                self.next = Some((ordinal, one));
                break;
            }
            bytes.put(&one.0);
            count += 1;
        }
        Ok(Some((first, count, bytes)))
    }
}

impl Iterator for RarePages<'_> {
    type Item = Result<(Ordinal, usize, Bytes), RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.page().transpose()
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
