//! What the server takes: its memory from `/proc`, its data folder on disk.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Resident memory of a process, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident: u64,
    /// The most there ever was, as the kernel has kept it.
    pub(crate) peak: u64,
}

/// # Errors
/// Where there is no such process.
pub(crate) fn memory(process: u32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    Ok(Memory { resident: field(&status, "VmRSS:"), peak: field(&status, "VmHWM:") })
}

/// A field of `/proc/N/status` that is given in kB; 0 where it is not there.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|rest| rest.trim().strip_suffix("kB"));
    kilobytes.and_then(|number| number.trim().parse::<u64>().ok()).map_or(0, |kb| kb * 1024)
}

/// Bytes on disk of each folder of a data folder; files beside them stand under `files`. What is
/// removed meanwhile counts as nothing.
pub(crate) fn disk(data: &Path) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = if is_folder {
            entry.file_name().to_string_lossy().into_owned()
        } else {
            "files".to_owned()
        };
        *kinds.entry(name).or_default() += size(&entry.path());
    }
    kinds
}

/// What the file system has given out for it, which counts neither holes nor what is behind the end.
fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let own = metadata.blocks() * 512;
    if !metadata.is_dir() {
        return own;
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    own + entries.map(|entry| size(&entry.path())).sum::<u64>()
}

/// Bytes that may still be written where `path` is.
///
/// # Errors
/// What the system said.
pub(crate) fn disk_free(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail * found.f_frsize)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn memory_of_this_process() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.resident > 1 << 20 && memory.peak >= memory.resident, "{memory:?}");
        assert_eq!(field("VmPeak:\t 12 kB\nVmRSS:\t  34 kB\n", "VmRSS:"), 34 * 1024);
        assert_eq!(field("VmPeak:\t 12 kB\n", "VmRSS:"), 0);
    }

    #[test]
    fn each_folder_is_counted_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir_all(path.join("archive/day")).unwrap();
        fs::write(path.join("archive/day/one"), vec![1; 100_000]).unwrap();
        fs::write(path.join("lock"), b"x").unwrap();
        let found = disk(path);
        assert!((100_000..150_000).contains(&found["archive"]), "{found:?}");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["archive", "files"]);
        assert!(disk_free(path).unwrap() > 0);
    }
}
