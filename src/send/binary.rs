//! Protobuf batches, the length of each before it as a varint (as `writeDelimitedTo` of protobuf's libraries
//! writes them, and `waag generate --format binary`).

use std::io::{self, BufRead, Read as _};

use prost::Message as _;

use super::source::{Read, Source, Unreadable};
use crate::proto::v1::SubmitBatchRequest;

/// Bytes of a batch at most: four times what a service takes unless set otherwise.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// Messages being read.
pub(super) struct Binary<R> {
    reader: R,
    message: Vec<u8>,
    read: u64,
    has_ended: bool,
}

impl<R: BufRead> Binary<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, message: Vec::new(), read: 0, has_ended: false }
    }

    /// The length of the next; none at the end.
    fn length(&mut self) -> Result<Option<u64>, String> {
        // A file that is cut off within its compression says the same as one that ends, but with an error.
        let rest = loop {
            match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                rest => break rest,
            }
        };
        if rest.map_err(|error| error.to_string())?.is_empty() {
            return Ok(None);
        }
        let mut length = 0_u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0_u8];
            self.reader.read_exact(&mut byte).map_err(|error| format!("its length: {error}"))?;
            let [byte] = byte;
            length |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(Some(length));
            }
        }
        Err("its length is no varint: is this protobuf with the length of each batch before it?"
            .into())
    }

    /// Reads the next message whole; false at the end.
    fn advance(&mut self) -> Result<bool, String> {
        let Some(length) = self.length()? else { return Ok(false) };
        if length > MESSAGE_BYTES_MAX {
            return Err(format!(
                "it is to have {length} bytes, and may have {MESSAGE_BYTES_MAX}: is this protobuf with the length \
                 of each batch before it?"
            ));
        }
        self.message.clear();
        let read = self.reader.by_ref().take(length).read_to_end(&mut self.message);
        match read {
            Ok(read) if read as u64 == length => Ok(true),
            Ok(read) => Err(format!("the file ends after {read} of its {length} bytes")),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl<R: BufRead> Source for Binary<R> {
    fn next(&mut self) -> Option<Result<Read, Unreadable>> {
        if self.has_ended {
            return None;
        }
        self.read += 1;
        let unreadable =
            |place, what, is_last| Unreadable { unit: "message", place, column: 0, what, is_last };
        match self.advance() {
            Ok(true) => {}
            Ok(false) => {
                self.has_ended = true;
                return None;
            }
            Err(what) => {
                self.has_ended = true;
                return Some(Err(unreadable(self.read, what, true)));
            }
        }
        let batch = SubmitBatchRequest::decode(self.message.as_slice());
        Some(batch.map(|batch| Read::Batch(Box::new(batch))).map_err(|error| {
            unreadable(self.read, format!("no SubmitBatchRequest: {error}"), false)
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use crate::generate::write_binary;

    fn file(ids: &[&str]) -> Vec<u8> {
        let mut file = Vec::new();
        for &id in ids {
            let batch = SubmitBatchRequest { batch_id: id.into(), ..SubmitBatchRequest::default() };
            write_binary(&mut file, &batch, &mut Vec::new()).unwrap();
        }
        file
    }

    fn read(file: &[u8]) -> Vec<Result<String, Unreadable>> {
        let mut source = Binary::new(file);
        let read = std::iter::from_fn(|| source.next()).map(|read| match read {
            Ok(Read::Batch(batch)) => Ok(batch.batch_id),
            Ok(Read::Declaration(..)) => panic!("no declarations"),
            Err(unreadable) => Err(unreadable),
        });
        read.collect()
    }

    #[test]
    fn a_message_that_is_none_is_passed_over_and_a_torn_one_ends_the_file() {
        let mut bytes = file(&["a"]);
        // A tag of field 0, which there is not.
        bytes.extend([2, 0, 0]);
        bytes.extend(file(&["b"]));
        let found = read(&bytes);
        assert_eq!((&found[0], &found[2]), (&Ok("a".into()), &Ok("b".into())));
        let bad = found[1].as_ref().unwrap_err();
        assert_eq!((bad.place, bad.is_last), (2, false));
        for cut in 1..file(&["b"]).len() {
            let mut torn = file(&["a", "b"]);
            torn.truncate(torn.len() - cut);
            let found = read(&torn);
            assert!(found[1].as_ref().unwrap_err().is_last, "{found:?}");
            assert_eq!(found.len(), 2);
        }
    }

    #[test]
    fn a_compressed_file_that_is_cut_off_anywhere_does_not_end_well() {
        use std::io::{BufReader, Write as _};
        let plain = file(&["a", "b"]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        gzip.write_all(&plain).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
        let ends_well = |reader: Box<dyn io::Read>| {
            let mut source = Binary::new(BufReader::with_capacity(1, reader));
            let read: Vec<_> = std::iter::from_fn(|| source.next()).collect();
            assert!(read.iter().rev().skip(1).all(Result::is_ok));
            read.last().is_some_and(Result::is_ok)
        };
        for cut in 4..=gzip.len() {
            let cut_off = io::Cursor::new(gzip[..cut].to_vec());
            let decoder = flate2::bufread::MultiGzDecoder::new(cut_off);
            assert_eq!(ends_well(Box::new(decoder)), cut == gzip.len(), "{cut}");
        }
        for cut in 4..=zstd.len() {
            let cut_off = io::Cursor::new(zstd[..cut].to_vec());
            let decoder = zstd::stream::read::Decoder::new(cut_off).unwrap();
            assert_eq!(ends_well(Box::new(decoder)), cut == zstd.len(), "{cut}");
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_told_before_it_is_held() {
        let found = read(b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
        assert!(found[0].as_ref().unwrap_err().what.contains("67108864"), "{found:?}");
        let found = read(&[0xff; 20]);
        assert!(found[0].as_ref().unwrap_err().what.contains("varint"), "{found:?}");
        assert!(read(b"").is_empty());
    }
}
