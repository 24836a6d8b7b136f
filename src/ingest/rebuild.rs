//! `waag rebuild`: what is derived is thrown away and made again from archive and journal, which are
//! read to their end first, as `waag verify` does.

use super::data_folder::{DataFolder, Passing, has_files};
use super::engine::{StartError, folders};
use super::inspect::{Inspection, Part, check_archive, inspection, tell};
use super::kept_runs::KeptRuns;
use crate::archive::Archive;
use crate::config::Config;
use crate::insight;
use crate::mrn::Mint;
use crate::summary::{Fold, FoldError, erase_derived};

/// Throws catalog and runs away and makes them again.
///
/// # Errors
/// Where the journal cannot be read to its end, or the catalog not be written: nothing is thrown
/// away before the journal has been read.
pub fn rebuild(config: &Config) -> Result<Inspection, StartError> {
    let mut opened = DataFolder::of(config)?;
    let (catalog, archive) =
        (config.data_dir.join(folders::CATALOG), config.data_dir.join(folders::ARCHIVE));
    let identity = opened.secrets.identity();

    // Archive and journal first, into a folder of its own: damage must not cost the catalog.
    let sealed = opened.open_archive(config)?;
    let archive_part = check_archive(&sealed)?;
    let options = opened.fold_options(config, &sealed)?;
    if let Some(dropped) = options.dropped.as_ref().filter(|_| options.snapshot.is_none()) {
        let (day, why) = (dropped.day, dropped.without_snapshot.clone());
        let reason =
            "they would be thrown away; start the server once, which takes a snapshot".into();
        return Err(FoldError::Lost { reason, day, why }.into());
    }
    let outside = Passing::new()?;
    let had = has_files(&catalog);
    // A closed day that cannot be read makes what stands there unusable, as anything else would.
    let before = Fold::open(&catalog, &archive, &options, identity)
        .ok()
        .filter(|(.., kept)| kept.rebuilt_because.is_none())
        .and_then(|(fold, ..)| {
            Some((fold.watermark(), fold.digests().ok()?, fold.complete_after()))
        });
    let mark = before.map(|(watermark, ..)| watermark);
    let fold = opened.own_fold(config, &outside, &options)?;
    let runs_folder = opened.runs(&config.data_dir.join(folders::RUNS));
    let kept_runs = KeptRuns::of(&runs_folder, sealed.dropped())?;
    let mut of_kept = None;
    if sealed.dropped().is_some() {
        let (kept, own) = ((&sealed, &fold), outside.0.join("kept"));
        of_kept = Some(opened.check_kept(config, kept, &own, &kept_runs, &runs_folder)?);
    }
    let boundaries = kept_runs.boundaries();
    let own_runs = opened.runs(&outside.0.join("runs"));
    let (from, digest) = (fold.watermark(), fold.digests()?);
    let runs = (own_runs.clone(), boundaries.clone(), kept_runs.truth_in(&runs_folder)?);
    let (checked, _) = opened.recover(config, &sealed, fold, mark, runs)?;
    drop(checked.fold);
    let runs_before = kept_runs.part(&own_runs, &opened.keys())?;
    if let Some(part) = of_kept.as_ref().filter(|part| !part.is_sound) {
        // What is truth is wrong: nothing that is made of it would be right.
        return Err(StartError::Kept { what: part.found.clone() });
    }

    let named = options.snapshot.as_deref().filter(|_| options.dropped.is_some());
    erase_derived(&catalog, &archive, named)?;
    let (fold, ..) = Fold::open(&catalog, &archive, &options, identity)?;
    let truth: Vec<_> = kept_runs.truth().iter().map(|run| run.path().to_owned()).collect();
    runs_folder.clear_but(&truth)?;
    opened.laws = opened.fresh_laws(config)?;
    let runs = (runs_folder.clone(), boundaries, kept_runs.truth_in(&runs_folder)?);
    let (mut recovered, verified) = opened.recover(config, &sealed, fold, mark, runs)?;
    if mark == Some(from) && from.0 > 0 {
        recovered.digest_at_mark = Some(digest);
    }
    recovered.fold.checkpoint()?;
    if let Some(newest) = recovered.fold.newest_day() {
        recovered.fold.close_days(newest)?;
    }
    let mut parts = vec![Part::sound("journal", tell(&verified, &recovered)), archive_part];
    parts.extend(of_kept);
    parts.push(match before {
        Some((watermark, ..)) if watermark < from => Part::sound(
            "catalog",
            format!("made again from the snapshot of the first {} records", from.0),
        ),
        Some((_, digest, after))
            if recovered.digest_at_mark.is_some_and(|own| own.agrees_with(&digest)) =>
        {
            let found = if after == recovered.fold.complete_after() {
                "made again, the same bit for bit"
            } else {
                "made again, the same in what the version before had; figures by fallback reference \
                 and delays are those of all records now"
            };
            Part::sound("catalog", found)
        }
        Some((watermark, ..)) => Part::sound(
            "catalog",
            format!("made again; what stood there at watermark {} was wrong", watermark.0),
        ),
        None if had => Part::sound("catalog", "made again; what stood there was unusable"),
        None => Part::sound("catalog", "made; there was none"),
    });
    let findings = opened.remake_findings(config, &sealed)?;
    let made = runs_folder.open()?.whole.len() - truth.len();
    parts.push(if runs_before.is_sound {
        Part::sound("runs", format!("{made} made again"))
    } else {
        Part::sound("runs", format!("{made} made again; what stood there was wrong"))
    });
    parts.extend(findings);
    inspection(parts, &recovered)
}

impl DataFolder {
    /// Findings, thrown away and made again; nothing where nothing is sealed, or they are switched off.
    fn remake_findings(
        &self,
        config: &Config,
        archive: &Archive,
    ) -> Result<Option<Part>, StartError> {
        const NAME: &str = "findings";
        if !config.findings {
            return Ok(None);
        }
        let keys = insight::Keys::new(self.secrets.pseudonym());
        let mint = Mint::new(self.secrets.bijection());
        let root = config.data_dir.join(folders::INSIGHT);
        let made = insight::remake(&root, self.secrets.identity(), keys, mint, archive)?;
        if made.watermark.0 == 0 && made.had == 0 {
            return Ok(None);
        }
        let what = match (made.had, made.is_same) {
            (0, _) => "made",
            (_, true) => "made again, the same bit for bit",
            (_, false) => "made again; what stood there was wrong",
        };
        let (days, records) = (made.days, made.watermark.0);
        Ok(Some(Part::sound(NAME, format!("{what}: {days} days, of the first {records} records"))))
    }
}
