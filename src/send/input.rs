//! Opens what is to be sent: a file or standard input, as it is or compressed with gzip or zstd, which is told
//! by the first bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::binary::Binary;
use super::csv_source::CsvSource;
use super::format::Format;
use super::json_lines::JsonLines;
use super::parquet_source::ParquetSource;
use super::source::Source;

/// Read from the system at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A file to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// None for standard input.
    path: Option<PathBuf>,
    format: Format,
}

/// Why a file cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("{name} cannot be read: {source}")]
    Io { name: String, source: io::Error },
    #[error(
        "{name}: its name does not tell how it is written: end it in .jsonl, .csv, .parquet or .pb (and .gz or .zst \
         behind that), or give --format"
    )]
    Format { name: String },
    #[error("{name}: {source}")]
    Header { name: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// How much of a file is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    done: Arc<AtomicU64>,
    total: Arc<AtomicU64>,
}

impl Meter {
    pub(super) fn add(&self, done: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
    }

    /// From the beginning, of so much.
    pub(super) fn restart(&self, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// What is read, and all there is, in the same unit; 0 where that is not known.
    pub(crate) fn position(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

struct Metered<R> {
    inner: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.meter.add(bytes as u64);
        Ok(bytes)
    }
}

impl Input {
    /// The file at `path`, `-` for standard input, in `format` or that of its name.
    ///
    /// # Errors
    /// Where neither tells the format.
    pub(crate) fn new(path: &Path, format: Option<Format>) -> Result<Self, InputError> {
        let is_standard_input = path.as_os_str() == "-";
        let name = || if is_standard_input { "-".into() } else { path.display().to_string() };
        let format = format
            .or_else(|| Format::of(path))
            .ok_or_else(|| InputError::Format { name: name() })?;
        Ok(Self { path: (!is_standard_input).then(|| path.to_path_buf()), format })
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => "standard input".to_owned(),
        }
    }

    /// Where its verdicts go, unless told otherwise; none for standard input.
    pub(crate) fn verdicts(&self) -> Option<PathBuf> {
        let mut path = self.path.clone()?.into_os_string();
        path.push(".verdicts.jsonl");
        Some(path.into())
    }

    /// Opens it; `meter` tells how far it is read.
    ///
    /// # Errors
    /// Where it cannot be opened, or begins as none of its format does.
    pub(super) fn open(&self, meter: &Meter) -> Result<Box<dyn Source>, InputError> {
        let io = |source| InputError::Io { name: self.name(), source };
        let header = |source| InputError::Header { name: self.name(), source };
        let (reader, is_plain) = self.bytes(meter).map_err(io)?;
        Ok(match self.format {
            Format::Json => Box::new(JsonLines::new(reader)),
            Format::Binary => Box::new(Binary::new(reader)),
            Format::Csv => Box::new(CsvSource::new(reader).map_err(|error| header(error.into()))?),
            Format::Parquet => {
                let file = match &self.path {
                    Some(path) if is_plain => File::open(path),
                    _ => whole(reader),
                };
                let meter = meter.clone();
                let source = ParquetSource::new(file.map_err(io)?, meter);
                Box::new(source.map_err(header)?)
            }
        })
    }

    /// What is in it, and whether that is as it stands there.
    fn bytes(&self, meter: &Meter) -> io::Result<(Box<dyn BufRead>, bool)> {
        let file: Box<dyn Read> = match &self.path {
            Some(path) => {
                let file = File::open(path)?;
                meter.restart(file.metadata()?.len());
                Box::new(file)
            }
            None => Box::new(io::stdin()),
        };
        let mut file =
            BufReader::with_capacity(BUFFER_BYTES, Metered { inner: file, meter: meter.clone() });
        let mut first = Vec::new();
        file.by_ref().take(4).read_to_end(&mut first)?;
        let is = |magic: &[u8]| first.starts_with(magic);
        let (is_gzip, is_zstd) = (is(&[0x1f, 0x8b]), is(&[0x28, 0xb5, 0x2f, 0xfd]));
        let file = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(first).chain(file));
        let plain: Box<dyn Read> = if is_gzip {
            Box::new(MultiGzDecoder::new(file))
        } else if is_zstd {
            Box::new(zstd::stream::read::Decoder::with_buffer(file)?)
        } else {
            return Ok((Box::new(file), true));
        };
        Ok((Box::new(BufReader::with_capacity(BUFFER_BYTES, plain)), false))
    }
}

/// All of it as a file that can be read from any place, and is gone with the process.
fn whole(mut reader: Box<dyn BufRead>) -> io::Result<File> {
    let name = format!("waag-send-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    io::copy(&mut reader, &mut file)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::send::source::Read as Given;

    #[test]
    fn what_stands_between_cells_is_found_wherever_the_lrn_is() {
        let folder = tempfile::tempdir().unwrap();
        for (name, delimiter) in [("a.csv", ";"), ("b.csv", "\t"), ("c.csv", ",")] {
            for mark in ["", "\u{feff}"] {
                let rows = [["declarant", "lrn", "hs6"], ["X", "A", "851830"]];
                let text = rows.map(|row| row.join(delimiter)).join("\r\n");
                let path = folder.path().join(name);
                std::fs::write(&path, format!("{mark}{text}")).unwrap();
                let input = Input::new(&path, None).unwrap();
                let mut source = input.open(&Meter::default()).unwrap();
                let Some(Ok(Given::Declaration(lodger, declaration))) = source.next() else {
                    unreachable!("{name}")
                };
                assert_eq!((lodger.declarant.as_str(), declaration.lrn.as_str()), ("X", "A"));
                assert_eq!(source.next(), None);
            }
        }
    }
}
