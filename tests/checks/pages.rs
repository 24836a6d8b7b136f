//! Files made of pages of 4 KiB as a short input that can be changed byte by byte: only the bytes of a
//! page up to its last zeros are in it.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | marks: what is done to the files before they are read |
//! | then for each page: 2 | how many bytes of it follow, little endian; 0xFFFF ends a file |
//! | | these bytes; the rest of the page is zeros |

use std::path::Path;

use waag::disk::{Disk, PAGE_BYTES, SimulatedDisk};

/// A page.
pub(crate) type Page = [u8; PAGE_BYTES];

const FILE_ENDS: u16 = u16::MAX;
/// So many pages at most, of all files.
const PAGES_MAX: usize = 256;

/// The marks and the files of an input.
pub(crate) fn unpack(input: &[u8]) -> (u8, Vec<Vec<Page>>) {
    let Some((marks, mut rest)) = input.split_first() else { return (0, Vec::new()) };
    let mut files = vec![Vec::new()];
    for _ in 0..PAGES_MAX {
        let Some((length, after)) = rest.split_first_chunk() else { break };
        let length = u16::from_le_bytes(*length);
        rest = after;
        if length == FILE_ENDS {
            files.push(Vec::new());
            continue;
        }
        let (bytes, after) = rest.split_at(usize::from(length).min(PAGE_BYTES).min(rest.len()));
        rest = after;
        let mut page = [0; PAGE_BYTES];
        page[..bytes.len()].copy_from_slice(bytes);
        files.last_mut().expect("one at least").push(page);
    }
    files.retain(|file| !file.is_empty());
    (*marks, files)
}

/// The input for these files, of which each must be made of whole pages; pages of zeros at the end of a
/// file are kept.
pub(crate) fn pack(marks: u8, files: &[Vec<u8>]) -> Vec<u8> {
    let mut input = vec![marks];
    for (number, file) in files.iter().enumerate() {
        if number > 0 {
            input.extend(FILE_ENDS.to_le_bytes());
        }
        assert!(file.len().is_multiple_of(PAGE_BYTES), "whole pages");
        for page in file.chunks(PAGE_BYTES) {
            let length = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            input.extend((length as u16).to_le_bytes());
            input.extend(&page[..length]);
        }
    }
    input
}

/// Puts a file on the disk, with its last `cut` bytes missing.
pub(crate) fn put(disk: &SimulatedDisk, path: &Path, pages: &[Page], cut: usize) {
    let bytes = pages.concat();
    disk.write_small(path, &bytes[..bytes.len().saturating_sub(cut)]).unwrap();
}

pub(crate) fn u32_at(page: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(page[at..at + 4].try_into().unwrap())
}

pub(crate) fn u64_at(page: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(page[at..at + 8].try_into().unwrap())
}

pub(crate) fn put_u32(page: &mut [u8], at: usize, value: u32) {
    page[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
