//! What `waag rules check` and `waag rules export` do.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::builtin;
use super::error::LawError;
use super::law::{Law, is_reference, rows};
use super::rule_set::FOLDER;

/// A folder of rules that may be used, and what it comes to.
#[derive(Debug, Serialize)]
pub struct CheckedRules {
    /// Every file in use, in the order of the names.
    pub files: Vec<CheckedFile>,
    /// The rule sets, the earliest first.
    pub rule_sets: Vec<CheckedRuleSet>,
    /// The first and last month with customs rates, as `2026-11`.
    pub rates: Option<(String, String)>,
    /// Hash of the rule files, in hexadecimal.
    pub rules_hash: String,
    /// Hash of rates and nomenclature, in hexadecimal.
    pub reference_hash: String,
}

/// One file in use.
#[derive(Debug, Serialize)]
pub struct CheckedFile {
    /// Name relative to the rules folder.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Rates or nomenclature, else a rule.
    pub reference: bool,
    /// Lines, the heading not counted.
    pub rows: usize,
}

/// Where a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Compiled into the program.
    BuiltIn,
    /// From the folder, byte for byte what is compiled in.
    Same,
    /// From the folder, in place of a built-in one.
    Replaced,
    /// From the folder; there is no built-in one of that name.
    Added,
}

/// One rule set.
#[derive(Debug, Serialize)]
pub struct CheckedRuleSet {
    /// Its name.
    pub name: String,
    /// First day.
    pub from: String,
    /// Last day; `None` until further notice.
    pub to: Option<String>,
}

/// Checks the files that `folder` and the built-in ones make together.
///
/// # Errors
/// Every problem, with file, line, field, value and bound.
pub fn check(folder: &Path) -> Result<CheckedRules, LawError> {
    let own = builtin::read_folder(folder)?;
    let built_in = builtin::files();
    let law = Law::load(Some(folder))?;
    let hex = |hash: [u8; 32]| super::shelf::hex(&hash);
    let files = law.files().iter().map(|(name, bytes)| CheckedFile {
        name: name.clone(),
        origin: match (own.get(name), built_in.get(name)) {
            (None, _) => Origin::BuiltIn,
            (Some(_), None) => Origin::Added,
            (Some(own), Some(built_in)) if own == built_in => Origin::Same,
            (Some(_), Some(_)) => Origin::Replaced,
        },
        reference: is_reference(name),
        rows: rows(bytes).saturating_sub(usize::from(!name.starts_with(FOLDER))),
    });
    let rule_sets = law.rule_sets().iter().map(|set| CheckedRuleSet {
        name: set.name.clone(),
        from: set.from.to_string(),
        to: (set.to.0 < u16::MAX).then(|| set.to.to_string()),
    });
    Ok(CheckedRules {
        files: files.collect(),
        rule_sets: rule_sets.collect(),
        rates: law.months_with_rates(),
        rules_hash: hex(law.rules_hash()),
        reference_hash: hex(law.reference_hash()),
    })
}

impl fmt::Display for CheckedRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<34} {:>7}  origin", "file", "rows")?;
        for file in &self.files {
            let origin = match file.origin {
                Origin::BuiltIn => "built in",
                Origin::Same => "folder, same as built in",
                Origin::Replaced => "folder, replaces built in",
                Origin::Added => "folder, added",
            };
            writeln!(f, "{:<34} {:>7}  {origin}", file.name, file.rows)?;
        }
        writeln!(f)?;
        for set in &self.rule_sets {
            let to = set.to.as_deref().unwrap_or("further notice");
            writeln!(f, "rule set from {} until {to}: {}", set.from, set.name)?;
        }
        match &self.rates {
            Some((first, last)) => writeln!(f, "rates from {first} to {last}")?,
            None => writeln!(f, "no rates")?,
        }
        writeln!(f, "rules     {}", self.rules_hash)?;
        write!(f, "reference {}", self.reference_hash)
    }
}

/// Writes the built-in files into `folder`, made where it is not there, so that they can be read
/// and edited. Files that are there already are left alone, unless they are the same.
///
/// # Errors
/// A file of one of the names is there with other content (nothing is written then), or what could
/// not be written.
pub fn export(folder: &Path) -> Result<Vec<PathBuf>, LawError> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = builtin::files()
        .into_iter()
        .map(|(name, bytes)| (folder.join(name), bytes.to_vec()))
        .collect();
    files.push((folder.join(builtin::README.0), builtin::README.1.to_vec()));
    for (path, bytes) in &files {
        match fs::read(path) {
            Ok(held) if held != *bytes => {
                let why = "is there already, with other content; export into an empty folder";
                let source = std::io::Error::new(std::io::ErrorKind::AlreadyExists, why);
                return Err(LawError::Io { path: path.clone(), source });
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(LawError::at(path)(error)),
        }
    }
    fs::create_dir_all(folder.join(FOLDER)).map_err(LawError::at(folder.join(FOLDER)))?;
    for (path, bytes) in &files {
        fs::write(path, bytes).map_err(LawError::at(path))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

#[cfg(test)]
#[path = "tests/check.rs"]
mod tests;
