//! `waag-load reads`: how many random 4 KiB reads a second the disk gives.
//!
//! A declaration that was answered long ago is found by one or two such reads, so this is what the
//! rate of replays from sealed data is held against. The reads go past the page cache, as those of
//! the index do; a file system that refuses that is told as a warning, and its figure is one of
//! memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use waag::command::Failure;
use waag::config::ByteSize;
use waag::disk::{AlignedBuffer, Disk, DiskFile, LocalDisk, PAGE_BYTES};
use waag::generate::Random;

use super::meter::per_second;
use super::report::{said, write_json};

const PAGE: u64 = PAGE_BYTES as u64;
/// Written at a time: 1 MiB.
const CHUNK_PAGES: usize = 256;

/// Measure how many random reads of 4 KiB a second the disk gives, past the page cache
///
/// Prints one JSON object.
#[derive(Debug, Args)]
pub(crate) struct ReadsArgs {
    /// A folder on the disk; the file that is read is made there, and removed
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// Length of the file
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    bytes: ByteSize,

    /// Reads under way at once, each by a thread of its own
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,

    /// For how long
    #[arg(long, value_name = "S", default_value_t = 3)]
    seconds: u64,
}

#[derive(Debug, Serialize)]
struct Measured {
    threads: u16,
    file_bytes: u64,
    reads: u64,
    reads_per_second: u64,
}

/// Measures and prints.
///
/// # Errors
/// Where the file cannot be made or read.
pub(crate) fn run(args: &ReadsArgs) -> Result<(), Failure> {
    let path = args.dir.join(format!("waag-load-reads-{}", std::process::id()));
    let measured = measure(args, &path);
    let removed = fs::remove_file(&path);
    let measured = measured.map_err(|error| said(&path, &error))?;
    removed.map_err(|error| said(&path, &error))?;
    write_json(Path::new("-"), &measured)
}

fn measure(args: &ReadsArgs, path: &Path) -> io::Result<Measured> {
    let pages = (args.bytes.0 / PAGE).max(1).next_multiple_of(CHUNK_PAGES as u64);
    let file = filled(path, pages)?;
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let threads: Vec<_> = (0..args.threads)
        .map(|thread| {
            let (file, stop) = (Arc::clone(&file), Arc::clone(&stop));
            std::thread::spawn(move || read_until(&*file, pages, thread, &stop))
        })
        .collect();
    std::thread::sleep(Duration::from_secs(args.seconds));
    stop.store(true, Ordering::Relaxed);
    let mut reads = 0;
    for thread in threads {
        reads += thread.join().map_err(|_| io::Error::other("a thread of ours panicked"))??;
    }
    Ok(Measured {
        threads: args.threads,
        file_bytes: pages * PAGE,
        reads,
        reads_per_second: per_second(reads, start.elapsed().as_secs_f64()),
    })
}

/// A file of so many pages with something on each: what was never written is not read from the disk.
fn filled(path: &Path, pages: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = LocalDisk::new().create(path, pages * PAGE)?;
    let mut chunk = AlignedBuffer::new(CHUNK_PAGES);
    let mut random = Random::keyed(&[pages]);
    for word in chunk.bytes_mut().as_chunks_mut().0 {
        *word = random.next().to_le_bytes();
    }
    for first in (0..pages).step_by(CHUNK_PAGES) {
        file.write_at(first * PAGE, chunk.bytes())?;
    }
    file.sync_data()?;
    Ok(file)
}

fn read_until(file: &dyn DiskFile, pages: u64, thread: u16, stop: &AtomicBool) -> io::Result<u64> {
    let mut random = Random::keyed(&[u64::from(thread)]);
    let mut page = AlignedBuffer::new(1);
    let mut reads = 0;
    while !stop.load(Ordering::Relaxed) {
        file.read_at(random.below(pages) * PAGE, page.bytes_mut())?;
        reads += 1;
    }
    Ok(reads)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn pages_are_read_until_told_to_stop() {
        let folder = tempfile::tempdir().unwrap();
        let args = ReadsArgs {
            dir: folder.path().to_owned(),
            bytes: ByteSize(3 << 20),
            threads: 2,
            seconds: 1,
        };
        let path = folder.path().join("file");
        let measured = measure(&args, &path).unwrap();
        assert!(measured.reads > 0 && measured.reads_per_second > 0, "{measured:?}");
        assert_eq!(fs::metadata(&path).unwrap().len(), 3 << 20);
        // No page was left as it was made.
        let content = fs::read(&path).unwrap();
        assert!(content.chunks(PAGE_BYTES).all(|page| page.iter().any(|&byte| byte != 0)));
        run(&args).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
