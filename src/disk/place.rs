//! Where a folder lies, whatever links lead there.

use std::io;
use std::path::Path;

/// Whether `folder`, which need not be there yet, is the folder `other` or lies in it.
pub(crate) fn lies_in(folder: &Path, other: &Path) -> io::Result<bool> {
    let whole = std::path::absolute(folder)?;
    // As much of it as there is: a link may lead anywhere.
    let above = whole.ancestors().find(|above| above.exists()).unwrap_or(&whole);
    Ok(std::fs::canonicalize(above)?.starts_with(std::fs::canonicalize(other)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_lies_where_links_and_dots_lead() {
        let outer = tempfile::tempdir().unwrap();
        let (data, other) = (outer.path().join("data"), outer.path().join("other"));
        std::fs::create_dir_all(data.join("deep")).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(data.join("deep"), outer.path().join("link")).unwrap();
        let inside = ["data", "data/new", "data/deep/new/er", "other/../data", "link", "link/new"];
        for folder in inside {
            assert!(lies_in(&outer.path().join(folder), &data).unwrap(), "{folder}");
        }
        for folder in ["other", "data2", "new/data", "data/../other"] {
            assert!(!lies_in(&outer.path().join(folder), &data).unwrap(), "{folder}");
        }
        assert!(lies_in(&other, &outer.path().join("missing")).is_err());
    }
}
