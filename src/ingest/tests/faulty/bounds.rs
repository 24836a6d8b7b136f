//! At a bound, what was answered is still told.

use super::*;
use crate::ingest::lookup::LookupError;

/// A batch of the most declarations, none of them in good order.
fn bare(number: usize) -> SubmitBatchRequest {
    let declaration = |n| Declaration { lrn: format!("B{number}-{n}"), ..Declaration::default() };
    SubmitBatchRequest {
        batch_id: format!("{number}"),
        declarant: "NL810000003".into(),
        declarations: (0..4_000).map(declaration).collect(),
        ..SubmitBatchRequest::default()
    }
}

async fn is_known(engine: &Arc<Engine>, declaration: &Declaration) -> Result<bool, LookupError> {
    let (engine, lrn) = (Arc::clone(engine), declaration.lrn.clone());
    let known = move || {
        let place = engine.lookups().enter().unwrap();
        let found = engine.lookups().ask(&place, |lookup| lookup.by_reference("NL810000003", &lrn));
        found.map(|found| found.is_some())
    };
    tokio::task::spawn_blocking(known).await.unwrap()
}

#[tokio::test]
async fn a_full_index_refuses_what_is_new_and_replays_what_was_answered() {
    let outer = tempfile::tempdir().unwrap();
    let config = config(&outer.path().join("data"));
    let mut engine = start(Arc::new(LocalDisk::new()), &config);
    let mut lodged = Vec::new();
    let (refused, refusal) = loop {
        let batch = bare(lodged.len());
        match lodge(&engine, &batch).await {
            Ok(answer) => lodged.push((batch, answer)),
            Err(refusal) => break (batch, refusal),
        }
    };
    assert_eq!(refusal.kind, RefusalKind::Exhausted, "{refusal}");
    assert!(refusal.message.contains("memory_max"), "{refusal}");
    // Only a server with other settings would take it: to come back is of no use.
    assert_eq!(refusal.retry_after_ms, 0);
    assert!(lodged.len() >= 5, "{}", lodged.len());

    for _ in 0..2 {
        for (batch, first) in &lodged {
            assert_replayed(&engine, batch, first).await;
        }
        // One new declaration among those that were answered takes as much room as if all were new.
        let mut mixed = lodged[0].0.clone();
        mixed.declarations[3_999] = refused.declarations[0].clone();
        let refusal = lodge(&engine, &mixed).await.unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Exhausted, "{refusal}");
        assert!(is_known(&engine, &lodged[0].0.declarations[0]).await.unwrap());
        assert!(!is_known(&engine, &refused.declarations[0]).await.unwrap());
        engine = restart(engine, &config);
    }
    engine.stop();
}
