//! The calls with which stores change files outside the seam of [`super::Disk`]: small ones, that are replaced
//! as a whole or appended to. Each goes through here, so that a test can have any of them fail.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Makes a call that changes a file or a name, or makes a change durable.
pub(crate) fn call<T>(make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    #[cfg(test)]
    faults::meet()?;
    make()
}

/// Writes all of `bytes`.
pub(crate) fn write_all(file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    #[cfg(test)]
    if let Err(error) = faults::meet() {
        // As a full disk does it: a part is written.
        file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
        return Err(error);
    }
    file.write_all(bytes)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    call(|| File::open(folder)?.sync_all())
}

/// Gives what was made to the owner of the folder it is in: whoever makes it need not be the user as whom the
/// server runs.
pub(crate) fn own_as_parent(path: &Path) -> io::Result<()> {
    let parent = std::fs::metadata(path.parent().unwrap_or(Path::new(".")))?;
    let own = std::fs::metadata(path)?;
    if (own.uid(), own.gid()) == (parent.uid(), parent.gid()) {
        return Ok(());
    }
    call(|| std::os::unix::fs::chown(path, Some(parent.uid()), Some(parent.gid())))
}

/// Has the calls of this thread fail, one at a time.
#[cfg(test)]
pub(crate) mod faults {
    use std::cell::Cell;
    use std::io;

    use rustix::io::Errno;

    thread_local! {
        /// Calls until one fails, and how.
        static NEXT: Cell<Option<(u64, Errno)>> = const { Cell::new(None) };
    }

    pub(super) fn meet() -> io::Result<()> {
        match NEXT.get() {
            Some((0, errno)) => {
                NEXT.set(None);
                Err(errno.into())
            }
            Some((left, errno)) => {
                NEXT.set(Some((left - 1, errno)));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// One call that fails.
    #[derive(Debug)]
    pub(crate) struct Fault {
        call: u64,
        errno: Errno,
        was_met: Cell<bool>,
    }

    impl Fault {
        /// Does something of which that call is to fail; what came of it, and whether it did.
        pub(crate) fn during<T>(&self, act: impl FnOnce() -> T) -> (T, bool) {
            NEXT.set(Some((self.call, self.errno)));
            let done = act();
            let was_met = NEXT.take().is_none();
            self.was_met.set(was_met);
            (done, was_met)
        }
    }

    /// Runs with each call in turn failing, with EIO and with ENOSPC, until there are no more calls; how many
    /// failed.
    #[allow(clippy::panic)]
    pub(crate) fn at_each_call(mut run: impl FnMut(&Fault)) -> u64 {
        let mut failed = 0;
        for errno in [Errno::IO, Errno::NOSPC] {
            for call in 0.. {
                let fault = Fault { call, errno, was_met: Cell::new(false) };
                run(&fault);
                if !fault.was_met.get() {
                    break;
                }
                failed += 1;
                assert!(call < 10_000, "it never ends");
            }
        }
        failed
    }
}
