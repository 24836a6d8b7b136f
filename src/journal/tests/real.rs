//! The same on the real file system, direct and buffered, with segments prepared in the
//! background.

use super::*;
use crate::disk::LocalDisk;

fn folders() -> Vec<tempfile::TempDir> {
    let mut folders = vec![tempfile::tempdir().unwrap()];
    // A file system in memory, where there is one.
    folders.extend(tempfile::tempdir_in("/dev/shm"));
    folders
}

/// As the server does it: where the next segment is not ready yet, come back soon.
fn push_waiting(journal: &mut Journal, kind: u8, body: &[u8]) -> Placed {
    let reservation = loop {
        match journal.room().reserve(body.len()) {
            Ok(reservation) => break reservation,
            Err(refused) => assert_eq!(refused.cause, NoRoomCause::NotReady),
        }
        std::thread::yield_now();
    };
    match journal.push(kind, &[body], reservation) {
        Ok(placed) => placed,
        Err(PushError::GroupFull(reservation)) => {
            journal.commit().unwrap();
            journal.push(kind, &[body], reservation).unwrap()
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn records_come_back_after_a_restart_on_a_real_disk() {
    for folder in folders() {
        for (name, disk, prefill) in [
            ("direct", LocalDisk::new(), false),
            ("prefilled", LocalDisk::new(), true),
            ("buffered", LocalDisk::buffered(), false),
        ] {
            let disk: Arc<dyn Disk> = Arc::new(disk);
            let dir = folder.path().join(name).join("journal");
            let options = Options {
                segment_bytes: 64 * 4_096,
                prefill,
                segments_ahead: 2,
                prepare_in_background: true,
                ..options()
            };
            let mut chance = Chance(5);
            let mut model = Model::new();
            let mut places = Vec::new();
            for round in 0..3 {
                let (mut journal, recovery, found) =
                    open_with(Arc::clone(&disk), &dir, &options).unwrap();
                assert_eq!(found, model);
                assert_eq!((recovery.ended_clean, recovery.torn), (round > 1, None));
                for _ in 0..60 {
                    let body = body(&mut chance);
                    places.push(push_waiting(&mut journal, 1, &body).position);
                    model.push((1, body));
                }
                if round == 0 {
                    // A process that is killed has no end mark.
                    journal.commit().unwrap();
                } else {
                    let reader = journal.reader();
                    journal.end().unwrap();
                    for ((_, body), position) in model.iter().zip(&places).step_by(7) {
                        assert_eq!(&reader.read(*position).unwrap().body, body);
                    }
                    let left = disk.list(&dir).unwrap();
                    assert!(left.iter().all(|entry| entry.name.ends_with(".segment")), "{left:?}");
                }
            }
            let verified = verify(&*disk, &dir, None, &mut |_| Ok(())).unwrap();
            assert_eq!(verified.records, 180);
            assert!(verified.segments >= 3 && verified.ended_clean, "{verified:?}");
        }
    }
}

#[test]
fn a_flipped_bit_in_a_real_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk::new());
    let (mut journal, _, _) = open_with(Arc::clone(&disk), folder.path(), &options()).unwrap();
    push(&mut journal, 1, &[1; 5_000]).unwrap();
    journal.end().unwrap();
    let path = frame::segment_path(folder.path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4_096 + 2_000] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    match open_with(disk, folder.path(), &options()) {
        Err(JournalError::Damaged(damage)) => {
            assert_eq!((damage.path, damage.offset), (path, 4_096))
        }
        other => panic!("{:?}", other.map(|(_, recovery, _)| recovery)),
    }
}
