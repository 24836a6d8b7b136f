//! Whatever happens to the catalog or a day file is noticed, and costs a rebuild at most.

use std::fs;
use std::path::Path;

use super::*;

fn journal() -> Journal {
    (0..40).map(|n| batch(day(n / 8), u32::from(n % 5), 3, Some(u32::from(n)))).collect()
}

/// A fold with closed and open days, checkpointed.
fn kept() -> (Kept, Journal, [u8; 32]) {
    let journal = journal();
    let mut kept = Kept::with(&journal);
    assert_eq!(kept.close_before(day(4)), 3);
    kept.checkpoint();
    let digest = kept.digest();
    (kept, journal, digest)
}

/// Opens what was damaged: it starts from nothing, says why, and comes out the same.
fn assert_rebuilt(kept: &mut Kept, journal: &Journal, digest: [u8; 32], why: &str) {
    let opened = kept.reopen(&Journal::new());
    assert_eq!(opened.watermark, Watermark(0));
    let reason = opened.rebuilt_because.unwrap();
    assert!(reason.contains(why), "{reason}");
    kept.apply(journal);
    assert_eq!(kept.digest(), digest);
    // And is sound from then on.
    kept.close_before(day(4));
    let again = kept.reopen(journal);
    assert_eq!((again.watermark, again.rebuilt_because), (Watermark(40), None));
    assert_eq!(kept.digest(), digest);
    kept.fold().verify_day_files().unwrap();
}

#[test]
fn a_deleted_catalog_is_made_again() {
    let (mut kept, journal, digest) = kept();
    kept.open = None;
    fs::remove_dir_all(kept.catalog()).unwrap();
    assert_rebuilt(&mut kept, &journal, digest, "there was no catalog");
}

#[test]
fn a_catalog_of_another_data_folder_is_moved_aside() {
    let (mut kept, journal, digest) = kept();
    kept.open = None;
    let (catalog, archive) = (kept.catalog(), kept.archive());
    let options = FoldOptions::default();
    let (fold, _, opened) = Fold::open(&catalog, &archive, &options, [9; 16]).unwrap();
    assert!(opened.rebuilt_because.unwrap().contains("another data folder"));
    drop(fold);
    assert!(catalog.with_file_name("catalog.unusable-1").exists());
    assert_rebuilt(&mut kept, &journal, digest, "another data folder");
    assert!(catalog.with_file_name("catalog.unusable-2").exists());
}

#[test]
fn a_catalog_with_a_flipped_byte_is_right_or_made_again() {
    // sled's file is mostly free space and old versions, so not every byte matters: what must not
    // be is a fold that differs.
    let (mut kept, journal, digest) = kept();
    kept.open = None;
    let sound = fs::read(kept.catalog().join("db")).unwrap();
    let written: Vec<usize> = (0..sound.len()).filter(|place| sound[*place] != 0).collect();
    let mut rebuilt = 0;
    for n in 0..24 {
        let mut damaged = sound.clone();
        damaged[written[n * written.len() / 24 + 7]] ^= 0x40;
        fs::write(kept.catalog().join("db"), damaged).unwrap();
        let opened = kept.reopen(&journal);
        assert_eq!(kept.digest(), digest, "{:?}", opened.rebuilt_because);
        rebuilt += usize::from(opened.rebuilt_because.is_some());
        kept.checkpoint();
        kept.close_before(day(4));
        kept.open = None;
    }
    assert!(rebuilt > 0, "not one of 24 flipped bytes was noticed");
}

#[test]
fn a_catalog_cut_short_or_overwritten_is_made_again() {
    let cut =
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.iter().rposition(|b| *b != 0).unwrap() / 2);
    let overwrite = |bytes: &mut Vec<u8>| bytes.fill(0xa5);
    let empty = |bytes: &mut Vec<u8>| bytes.clear();
    for (name, damage) in [
        ("cut", cut as fn(&mut Vec<u8>)),
        ("overwritten", overwrite as fn(&mut Vec<u8>)),
        ("emptied", empty as fn(&mut Vec<u8>)),
    ] {
        let (mut kept, journal, digest) = kept();
        kept.open = None;
        change(&kept.catalog().join("db"), damage);
        let opened = kept.reopen(&journal);
        assert_eq!(kept.digest(), digest, "{name}");
        assert!(opened.rebuilt_because.is_some(), "{name}: {}", opened.watermark.0);
    }
}

#[test]
fn a_damaged_day_file_that_is_seen_at_start_costs_a_rebuild() {
    let footer = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    let header = |bytes: &mut Vec<u8>| bytes[20] ^= 1;
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(50);
    for damage in [footer, header, cut] as [fn(&mut Vec<u8>); 3] {
        let (mut kept, journal, digest) = kept();
        kept.open = None;
        change(&kept.day_files()[1], damage);
        // The files of a generation that the new catalog does not name are left alone until the
        // day is closed again, under the next one.
        assert_rebuilt(&mut kept, &journal, digest, "summary-1.waag");
        let names = kept.day_files();
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|name| name.ends_with("summary-2.waag")), "{names:?}");
    }
}

#[test]
fn a_missing_day_file_costs_a_rebuild() {
    let (mut kept, journal, digest) = kept();
    kept.open = None;
    fs::remove_file(&kept.day_files()[0]).unwrap();
    assert_rebuilt(&mut kept, &journal, digest, "summary-1.waag");
}

#[test]
fn a_damaged_block_of_a_day_file_is_reported_and_never_served() {
    let (mut kept, _, _) = kept();
    kept.open = None;
    let path = kept.day_files()[1].clone();
    change(&path, |bytes| bytes[60] ^= 1);
    let opened = kept.reopen(&Journal::new());
    assert_eq!(opened.watermark, Watermark(40), "blocks are not read at start");

    let only = |on| Period { first: Some(on), last: Some(on) };
    let board = kept.board().clone();
    let error = board.summary(Role::Declarant, &id_of(1), only(day(1))).unwrap_err();
    assert!(error.to_string().contains("summary-1.waag is damaged: the checksum"), "{error}");
    board.summary(Role::Declarant, &id_of(1), only(day(0))).unwrap();
    kept.fold().verify_day_files().unwrap_err();
    kept.fold().digest().unwrap_err();
    // A late record cannot be folded into it.
    kept.fold().apply(Watermark(41), &batch(day(1), 1, 1, None)).unwrap_err();

    // The rebuild that its report asks for.
    kept.open = None;
    erase_derived(&kept.catalog(), &kept.archive(), None).unwrap();
    kept.reopen(&journal());
    assert_eq!(kept.digest(), Kept::with(&journal()).digest());
}

#[test]
fn a_crash_between_writing_a_day_file_and_naming_it_counts_nothing_twice() {
    let journal = journal();
    let mut kept = Kept::with(&journal);
    kept.checkpoint();
    let digest = kept.digest();
    kept.open = None;
    let before = kept.catalog().with_file_name("before");
    copy(&kept.catalog(), &before);
    kept.reopen(&journal);
    assert_eq!(kept.close_before(day(4)), 3);
    kept.open = None;
    // The catalog's last batch never was; the files are there.
    fs::remove_dir_all(kept.catalog()).unwrap();
    fs::rename(&before, kept.catalog()).unwrap();
    let half = kept.day_files()[0].with_extension("part");
    fs::write(&half, b"half").unwrap();

    let opened = kept.reopen(&journal);
    assert_eq!((opened.watermark, opened.rebuilt_because), (Watermark(40), None));
    assert_eq!(kept.digest(), digest);
    assert_eq!(kept.close_before(day(4)), 3);
    assert_eq!(kept.digest(), digest);
    let names = kept.day_files();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| name.ends_with("summary-2.waag")), "{names:?}");
}

#[test]
fn a_reopened_day_that_was_not_checkpointed_is_still_closed() {
    let (mut kept, mut journal, digest) = kept();
    journal.push(batch(day(0), 1, 9, Some(1)));
    kept.apply(&journal);
    let later = kept.digest();
    assert_ne!(later, digest);
    // Stopped before the checkpoint: the day file counts, and the record is folded in again.
    let opened = kept.reopen(&journal);
    assert_eq!((opened.watermark, opened.rebuilt_because), (Watermark(40), None));
    assert_eq!(kept.digest(), later);
    // Stopped after it: the catalog's entries count, and the file does not.
    kept.checkpoint();
    let opened = kept.reopen(&journal);
    assert_eq!((opened.watermark, opened.rebuilt_because), (Watermark(41), None));
    assert_eq!(kept.digest(), later);
    assert_eq!(kept.close_before(day(4)), 1);
    assert_eq!(kept.digest(), later);
    assert!(kept.day_files()[0].ends_with("summary-2.waag"));
    assert_eq!(kept.day_files().len(), 3);
}

#[test]
fn a_late_batch_while_its_day_closes_is_counted_once_wherever_it_stops() {
    // Batches before the checkpoint, and after it: for an actor of that day, and for a new one.
    let late = [batch(day(0), 1, 9, Some(1)), batch(day(0), 77, 2, Some(77))];
    for late in [&late[..], &[batch(day(4), 1, 1, None)]] {
        for steps in 0..4 {
            let mut journal = journal();
            let mut kept = Kept::with(&journal);
            let begun = kept.fold().begin_checkpoint().unwrap().unwrap();
            assert!(kept.fold().begin_checkpoint().unwrap().is_none(), "one at a time");
            assert!(matches!(kept.fold().checkpoint(), Err(FoldError::UnderWay)));
            journal.extend_from_slice(late);
            kept.apply(&journal);
            let digest = Kept::with(&journal).digest();
            assert_eq!(kept.digest(), digest, "read as it is folded in");

            let mut durable = None;
            let mut written = (steps > 0).then(|| begun.write().unwrap());
            if steps > 0 {
                durable = Some(Watermark(40));
            }
            if steps > 1 {
                assert_eq!(kept.fold().checkpointed(), Watermark(0));
                kept.fold().end_checkpoint(written.take().unwrap());
                assert_eq!(kept.fold().checkpointed(), Watermark(40));
            }
            assert_eq!(kept.digest(), digest);
            if steps > 2 {
                kept.checkpoint();
                durable = Some(kept.fold().watermark());
            }
            drop(written);
            let opened = kept.reopen(&journal);
            assert_eq!(opened.watermark, durable.unwrap_or(Watermark(0)), "{steps} steps");
            assert_eq!(opened.rebuilt_because.is_none(), durable.is_some(), "{opened:?}");
            assert_eq!(kept.digest(), digest, "{steps} steps");
            kept.close_before(day(4));
            assert_eq!(kept.digest(), digest, "{steps} steps");
            assert_eq!(kept.day_files().len(), 3);
            kept.fold().verify_day_files().unwrap();
        }
    }
}

#[test]
fn a_checkpoint_in_time_is_where_it_starts_again() {
    let journal = journal();
    let mut kept = Kept::with(&journal[..25].to_vec());
    kept.checkpoint();
    kept.apply(&journal);
    let digest = kept.digest();
    let opened = kept.reopen(&Journal::new());
    assert_eq!((opened.watermark, opened.rebuilt_because), (Watermark(25), None));
    kept.apply(&journal);
    assert_eq!(kept.digest(), digest);
}

fn change(path: &Path, damage: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    damage(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Days are closed and checkpoints written while a call fails: catalog and day files, but for what sled does of
/// itself.
#[test]
fn a_call_that_fails_is_told_by_name_and_a_start_goes_on() {
    use crate::disk::plain::faults::at_each_call;
    let journal: Journal =
        (0..16).map(|n| batch(day(n / 8), u32::from(n % 5), 3, Some(u32::from(n)))).collect();
    let digest = Kept::with(&journal).digest();
    let (mut of_catalog, mut of_days) = (0, 0);
    let failed = at_each_call(|fault| {
        let mut kept = Kept::with(&journal[..12].to_vec());
        kept.checkpoint();
        kept.apply(&journal);
        let (closed, was_met) = fault.during(|| -> Result<(), FoldError> {
            kept.fold().close_days(day(2))?;
            kept.fold().checkpoint()
        });
        assert_eq!(closed.is_err(), was_met);
        if let Err(error) = closed {
            let told = error.to_string();
            assert!(told.contains(kept.folder.path().to_str().unwrap()), "{told}");
            of_catalog += usize::from(told.contains("/catalog"));
            of_days += usize::from(told.contains("/summary"));
        }
        kept.reopen(&journal);
        assert_eq!(kept.digest(), digest);
        kept.close_before(day(2));
        kept.checkpoint();
        let opened = kept.reopen(&Journal::new());
        assert_eq!((opened.watermark.0, opened.rebuilt_because), (16, None));
        assert_eq!(kept.digest(), digest);
        kept.fold().verify_day_files().unwrap();
    });
    assert!(failed > 10 && of_catalog > 0 && of_days > 0, "{failed} {of_catalog} {of_days}");
}

/// The same where the catalog is moved aside and another one made.
#[test]
fn a_call_that_fails_while_a_catalog_is_made_again_is_told_by_name() {
    use crate::disk::plain::faults::at_each_call;
    let journal: Journal = (0..4).map(|n| batch(day(0), n, 3, None)).collect();
    let digest = Kept::with(&journal).digest();
    let failed = at_each_call(|fault| {
        let mut kept = Kept::with(&journal);
        kept.checkpoint();
        kept.open = None;
        change(&kept.catalog().join("db"), |bytes| bytes.fill(0xa5));
        let (catalog, archive) = (kept.catalog(), kept.archive());
        let options = FoldOptions::default();
        let (opened, was_met) =
            fault.during(|| Fold::open(&catalog, &archive, &options, IDENTITY).map(drop));
        assert_eq!(opened.is_err(), was_met);
        if let Err(error) = opened {
            // It, or the folder it is in.
            let folder = kept.folder.path().to_str().unwrap();
            assert!(error.to_string().contains(folder), "{error}");
        }
        kept.reopen(&journal);
        assert_eq!(kept.digest(), digest);
    });
    assert!(failed > 6, "{failed}");
}
