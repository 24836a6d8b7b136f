//! SIGHUP reads the rules again, whenever it comes: also before the server listens.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use common::{CLOCK, Start, batch, declaration, folder, reasons};
use waag::proto::v1::{Outcome, Severity};

#[tokio::test]
async fn a_hangup_during_recovery_reloads_the_rules_once_the_server_listens() {
    let (outer, data) = folder();
    let rules = outer.path().join("rules");
    common::waag_ok(&["rules", "export", rules.to_str().unwrap()]);
    let server = Start { rules: Some(&rules), ..Start::at(&data, CLOCK) }.run();
    let lodged = batch("b", vec![declaration("L1")]);
    let answer = server.lodgement().await.submit_batch(lodged.clone()).await.unwrap().into_inner();
    assert_eq!(answer.verdicts[0].outcome(), Outcome::Accepted);
    server.kill();

    // Recovery judges the batch again, under the law that was kept: a pipe in the place of one of
    // its files holds the server there for as long as nobody writes to it.
    let mut kept = std::fs::read_dir(data.join("rules")).unwrap().map(|kept| kept.unwrap().path());
    let is_list =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("rules-");
    let list = kept.find(is_list).unwrap();
    let aside = outer.path().join("aside");
    std::fs::rename(&list, &aside).unwrap();
    assert!(Command::new("mkfifo").arg(&list).status().unwrap().success());
    let starting = Start { rules: Some(&rules), ..Start::at(&data, CLOCK) }.spawn();
    // Opens once the server has opened it to read.
    let mut pipe = OpenOptions::new().write(true).open(&list).unwrap();
    // Headphones become restricted, after the server has read its rules.
    let restrictions = rules.join("restrictions.csv");
    let content = std::fs::read_to_string(&restrictions).unwrap();
    let row = content.lines().find(|line| line.starts_with("9301")).unwrap();
    let row = row.replacen("9301", "851830", 1);
    std::fs::write(&restrictions, format!("{content}{row}\n")).unwrap();
    starting.signal("-HUP");
    // It is read once more later, as the file that it was.
    let content = std::fs::read(&aside).unwrap();
    std::fs::rename(&aside, &list).unwrap();
    pipe.write_all(&content).unwrap();
    drop(pipe);

    let server = starting.listening().unwrap_or_else(|log| panic!("it did not start:\n{log}"));
    server.wait_for_log("rules are in force");
    let request = batch("b", vec![declaration("L2"), declaration("L1")]);
    let answer = server.lodgement().await.submit_batch(request).await.unwrap().into_inner();
    assert_eq!(reasons(&answer.verdicts[0], Severity::Reject), ["GOODS_RESTRICTED"]);
    assert_eq!(answer.verdicts[1].replay_of(), Outcome::Accepted);
    assert_eq!(server.stop().await, 0);
}
