//! How fast groups become durable: `cargo bench --bench append`.
//!
//! Writes under `target/`, some gigabytes, and removes them; what is measured is that file
//! system's device. `filled_only` leaves the device out: copying and checksums.
#![allow(missing_docs)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use waag::disk::{Access, AppendFile, Disk, DiskFile, Entry, LocalDisk, PartsFile};
use waag::journal::{Journal, NoRoomCause, Options, PushError, open};

type BoxError = Box<dyn std::error::Error>;

/// A batch of 1,000 lines of 141 bytes, as it stands in a record.
const RECORD_BYTES: usize = 141_000;
const LINES: usize = 1_000;

fn main() {
    divan::main();
}

/// Pushes `records` records and commits them as one group.
fn append(journal: &mut Journal, body: &[u8], records: usize) -> Result<(), BoxError> {
    for _ in 0..records {
        let reservation = loop {
            match journal.room().reserve(body.len()) {
                Ok(reservation) => break reservation,
                Err(refused) if refused.cause == NoRoomCause::NotReady => std::thread::yield_now(),
                Err(refused) => return Err(refused.into()),
            }
        };
        let (head, rest) = body.split_at(64);
        match journal.push(1, &[head, rest], reservation) {
            Ok(_placed) => {}
            // At the end of a segment a group is closed earlier.
            Err(PushError::GroupFull(reservation)) => {
                journal.commit()?;
                journal.push(1, &[head, rest], reservation)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    journal.commit()?;
    Ok(())
}

fn measure(bencher: Bencher<'_, '_>, disk: Arc<dyn Disk>, options: &Options, records: usize) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).ok();
    let dir = folder.as_ref().map_or(PathBuf::from("none"), |folder| folder.path().join("journal"));
    let opened = open(disk, &dir, options, &mut |_| Ok(()));
    let mut journal = match opened {
        Ok((journal, _recovery)) => journal,
        Err(error) => return eprintln_and_stop(&error),
    };
    let body: Vec<u8> = (0..RECORD_BYTES).map(|at| (at % 251).to_le_bytes()[0]).collect();
    bencher
        .counter(BytesCount::new(records * RECORD_BYTES))
        .counter(ItemsCount::new(records * LINES))
        .bench_local(|| {
            if let Err(error) = append(&mut journal, &body, records) {
                eprintln_and_stop(&*error);
            }
        });
}

#[allow(clippy::print_stderr)]
fn eprintln_and_stop(error: &(dyn std::error::Error + 'static)) {
    eprintln!("{error}");
    std::process::exit(1);
}

/// Records of a group: about 512 KiB and about 1 MiB.
const GROUPS: [usize; 2] = [4, 7];

/// One segment holds a whole run, so that nothing is prepared meanwhile.
fn one_segment() -> Options {
    Options { segment_bytes: 1 << 30, ..Options::new([1; 16]) }
}

/// Into space that was allocated and never written.
#[divan::bench(args = GROUPS, sample_count = 100, sample_size = 8)]
fn allocated(bencher: Bencher<'_, '_>, records: usize) {
    measure(bencher, Arc::new(LocalDisk::new()), &one_segment(), records);
}

/// Into space that was filled with zeros before.
#[divan::bench(args = GROUPS, sample_count = 100, sample_size = 8)]
fn prefilled(bencher: Bencher<'_, '_>, records: usize) {
    let options = Options { prefill: true, ..one_segment() };
    measure(bencher, Arc::new(LocalDisk::new()), &options, records);
}

/// As a server has it: segments of 256 MiB, the next one prepared meanwhile.
#[divan::bench(args = GROUPS, sample_count = 200, sample_size = 8)]
fn rolling(bencher: Bencher<'_, '_>, records: usize) {
    measure(bencher, Arc::new(LocalDisk::new()), &Options::new([1; 16]), records);
}

/// The same with each segment filled with zeros meanwhile.
#[divan::bench(args = GROUPS, sample_count = 200, sample_size = 8)]
fn rolling_prefilled(bencher: Bencher<'_, '_>, records: usize) {
    let options = Options { prefill: true, ..Options::new([1; 16]) };
    measure(bencher, Arc::new(LocalDisk::new()), &options, records);
}

/// Where a file system refuses `O_DIRECT`.
#[divan::bench(args = GROUPS, sample_count = 50, sample_size = 8)]
fn buffered(bencher: Bencher<'_, '_>, records: usize) {
    measure(bencher, Arc::new(LocalDisk::buffered()), &one_segment(), records);
}

/// Copying and checksums alone.
#[divan::bench(args = GROUPS, sample_count = 100, sample_size = 8)]
fn filled_only(bencher: Bencher<'_, '_>, records: usize) {
    measure(bencher, Arc::new(NoDisk), &one_segment(), records);
}

/// Takes everything and keeps nothing.
#[derive(Debug)]
struct NoDisk;

impl Disk for NoDisk {
    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    fn list(&self, _dir: &Path) -> io::Result<Vec<Entry>> {
        Ok(Vec::new())
    }
    fn list_dirs(&self, _dir: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn remove_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    fn append(&self, _path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn open_parts(&self, _path: &Path) -> io::Result<Arc<dyn PartsFile>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn create(&self, _path: &Path, _bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(Self))
    }
    fn open(&self, _path: &Path, _access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(Self))
    }
    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
    fn read_small(&self, _path: &Path, _bytes_max: u64) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn write_small(&self, _path: &Path, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for NoDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }
    fn read_at(&self, _offset: u64, into: &mut [u8]) -> io::Result<()> {
        into.fill(0);
        Ok(())
    }
    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn write_durable_at(&self, _offset: u64, bytes: &[u8]) -> io::Result<()> {
        divan::black_box(bytes);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}
