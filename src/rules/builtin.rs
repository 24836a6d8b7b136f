//! The files compiled into the program, and the folder that may replace some of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::error::{LawError, Problems};
use super::lists::is_known;
use super::rule_set::{self, FOLDER};
use super::table::Files;

macro_rules! built_in {
    ($($name:literal,)+) => {
        const FILES: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("data/", $name)))),+];
    };
}

built_in! {
    "codes.csv",
    "company_words.csv",
    "countries.csv",
    "currencies.csv",
    "document_types.csv",
    "file_extensions.csv",
    "hs_keywords.csv",
    "ioss_countries.csv",
    "ioss_denied.csv",
    "member_states.csv",
    "nomenclature.csv",
    "presenters.csv",
    "procedures.csv",
    "rates.csv",
    "reasons.csv",
    "restrictions.csv",
    "sanctioned_countries.csv",
    "sanctioned_regions.csv",
    "sanctions_detour_countries.csv",
    "sanctions_goods.csv",
    "special_territories.csv",
    "stop_words.csv",
    "rulesets/2021-07-01.toml",
    "rulesets/2026-07-01.toml",
    "rulesets/2026-11-01.toml",
}

/// How many of the files are tables.
pub(super) const TABLES: usize = FILES.len() - 3;

/// What the folder says about itself; no rule.
pub(super) const README: (&str, &[u8]) = ("README.md", include_bytes!("data/README.md"));

/// A file of a rules folder may be this large: a deny list of a million numbers fits.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The built-in files.
pub(super) fn files() -> Files {
    FILES.iter().map(|(name, bytes)| ((*name).to_owned(), Arc::from(*bytes))).collect()
}

/// The rule and reference files in `folder`. Files whose names begin with a dot, and README.md,
/// are passed over; any other name that is not known is a problem, so that a misspelt one does
/// not go unused.
///
/// # Errors
/// A name that is not known, a file too large, or what could not be read.
pub(super) fn read_folder(folder: &Path) -> Result<Files, LawError> {
    let mut files = Files::new();
    let mut problems = Problems::default();
    read_into(folder, "", &mut files, &mut problems)?;
    problems.into_result()?;
    Ok(files)
}

fn read_into(
    folder: &Path,
    prefix: &str,
    files: &mut Files,
    problems: &mut Problems,
) -> Result<(), LawError> {
    for entry in fs::read_dir(folder).map_err(LawError::at(folder))? {
        let entry = entry.map_err(LawError::at(folder))?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_name().to_string_lossy().starts_with('.') || name == README.0 {
            continue;
        }
        let about = fs::metadata(&path).map_err(LawError::at(&path))?;
        if about.is_dir() && prefix.is_empty() && format!("{name}/") == FOLDER {
            read_into(&path, FOLDER, files, problems)?;
        } else if about.is_dir() || !is_known(&name) {
            let bound = format!(
                "no file or folder of this name is known: export the built-in ones to see all \
                 names (rule sets are {FOLDER}YYYY-MM-DD.toml)"
            );
            problems.add(&name, None, "", "", bound);
        } else if name.starts_with(FOLDER) && rule_set::day_of(&name).is_none() {
            let bound = "must be named after its first day, as 2026-07-01.toml";
            problems.add(&name, None, "", "", bound);
        } else if about.len() > FILE_BYTES_MAX {
            let bound = format!("is {} bytes, may be at most {FILE_BYTES_MAX}", about.len());
            problems.add(&name, None, "", "", bound);
        } else {
            let bytes = fs::read(&path).map_err(LawError::at(&path))?;
            files.insert(name, bytes.into());
        }
    }
    Ok(())
}
