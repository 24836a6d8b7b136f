//! The cases of customs law, through `waag judge` and through the server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{Start, cases, folder, reasons, waag};
use serde_json::Value;
use waag::proto::v1::{self, Severity, SubmitBatchRequest, SubmitBatchResponse};

fn names(value: &Value) -> Vec<String> {
    let mut names: Vec<String> =
        value.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// Holds an answer against what the case expects.
fn check(case: &Value, answer: &SubmitBatchResponse, how: &str) {
    let expected = case["expect"].as_array().unwrap();
    let name = format!("{how}: {}", case["case"]);
    assert_eq!(answer.verdicts.len(), expected.len(), "{name}");
    for (verdict, expected) in answer.verdicts.iter().zip(expected) {
        let text = serde_json::to_string_pretty(verdict).unwrap();
        assert_eq!(verdict.outcome().as_str_name(), expected["outcome"], "{name}\n{text}");
        if let Some(of) = expected.get("replay_of") {
            assert_eq!(verdict.replay_of().as_str_name(), of, "{name}\n{text}");
        }
        let (rejects, flags) =
            (reasons(verdict, Severity::Reject), reasons(verdict, Severity::Flag));
        if let Some(reject) = expected.get("reject") {
            assert_eq!(rejects, names(reject), "{name}\n{text}");
        }
        if let Some(has) = expected.get("reject_has") {
            assert_eq!(verdict.findings[0].reason, has.as_str().unwrap(), "{name}\n{text}");
            assert!(rejects.contains(&has.as_str().unwrap().to_owned()), "{name}\n{text}");
        }
        // A case lists the flags that must be there; others may be, unless it forbids them.
        for flag in expected.get("flags").map(names).unwrap_or_default() {
            assert!(flags.contains(&flag), "{name}: no {flag}\n{text}");
        }
        for flag in expected.get("no_flags").map(names).unwrap_or_default() {
            assert!(!flags.contains(&flag), "{name}: {flag}\n{text}");
        }
        for finding in &verdict.findings {
            let whole = [&finding.message, &finding.legal_basis, &finding.data_element];
            assert!(whole.iter().all(|part| !part.is_empty()), "{name}\n{text}");
        }
    }
}

#[test]
fn every_case_through_judge() {
    let outer = tempfile::tempdir().unwrap();
    for case in cases() {
        let file = outer.path().join("batch.json");
        std::fs::write(&file, serde_json::to_string_pretty(&case["request"]).unwrap()).unwrap();
        let (file, on) = (file.to_str().unwrap(), case["on"].as_str().unwrap());
        let output = waag(&["judge", "--on", on, "--json", file]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(text.lines().count(), 1);
        let answer: SubmitBatchResponse = serde_json::from_str(&text).unwrap();
        assert!(answer.verdicts.iter().all(|verdict| verdict.mrn.is_empty()));
        assert_eq!(answer.batch_id, "case");
        check(&case, &answer, "judge");
    }
}

#[tokio::test]
async fn every_case_through_the_server() {
    for case in cases() {
        let (_outer, data) = folder();
        let clock = format!("{}T12:00", case["on"].as_str().unwrap());
        let server = Start::at(&data, &clock).run();
        let request: SubmitBatchRequest = serde_json::from_value(case["request"].clone()).unwrap();
        let mut client = server.lodgement().await;
        let answer = client.submit_batch(request.clone()).await.unwrap().into_inner();
        check(&case, &answer, "server");

        // And each is found again under its LRN, with the same verdict.
        for (declaration, verdict) in request.declarations.iter().zip(&answer.verdicts) {
            if !matches!(verdict.outcome(), v1::Outcome::Accepted | v1::Outcome::Rejected) {
                continue;
            }
            let reference = v1::LocalReference {
                declarant: request.declarant.clone(),
                lrn: declaration.lrn.clone(),
            };
            let key = Some(v1::get_declaration_request::Key::LocalReference(reference));
            let found = client.get_declaration(v1::GetDeclarationRequest { key }).await.unwrap();
            let found = found.into_inner();
            assert_eq!(found.verdict.as_ref(), Some(verdict), "{}", case["case"]);
            if verdict.outcome() == v1::Outcome::Accepted {
                let key = Some(v1::get_declaration_request::Key::Mrn(verdict.mrn.clone()));
                let request = v1::GetDeclarationRequest { key };
                let same = client.get_declaration(request).await.unwrap().into_inner();
                assert_eq!(same, found);
            }
        }
        assert_eq!(server.stop().await, 0);
    }
}
