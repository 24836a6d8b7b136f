//! What the spool says became of each reference, beside what the service says, and the difference.
//!
//! Rejections, acceptances, conflicts and late ones must be the same on both sides. A batch that was sent
//! again for lack of an answer may have arrived twice: the service then counts it a second time among
//! received and replayed, which changes nothing, and is shown as `arrived_again`. Where nothing was sent
//! again these are the same as well.

use std::path::Path;

use serde::Serialize;
use tonic::Status;

use super::receipt::{Key, KeyError};
use super::store::{self, StoreError};
use crate::client::Connection;
use crate::disk::{FolderLock, LocalDisk};
use crate::proto::v1::compliance_client::ComplianceClient;
use crate::proto::v1::{
    GetReconciliationResponse, ListReconciliationsRequest, Reconciliation, SpoolReconciliation,
};

/// Rows of one page.
const PAGE: u32 = 1_000;

/// Why the figures of a folder cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There is no spool.
    #[error("{dir}: no spool: say with --folder where its folder is, or with --at where it runs")]
    Missing {
        /// The folder.
        dir: std::path::PathBuf,
    },
    /// The folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is in use.
    #[error("{0}: ask the spool that runs, with --at")]
    Lock(#[from] crate::disk::LockError),
}

/// The figures of a spool that does not run; nothing is changed.
///
/// # Errors
/// Where the folder is none, in use or damaged.
pub fn of_folder(dir: &Path) -> Result<(GetReconciliationResponse, u64), FolderError> {
    if !store::journal_dir(dir).is_dir() {
        return Err(FolderError::Missing { dir: dir.to_owned() });
    }
    let _lock = FolderLock::take(dir)?;
    let key = Key::open(dir, false)?;
    let state = store::look(&LocalDisk::new(), dir, &key)?;
    let reconciliations = state.figures.rows().cloned().collect();
    let response = GetReconciliationResponse { reconciliations, watermark: state.watermark };
    Ok((response, state.unanswered.len() as u64))
}

/// What the service says of a declarant's references, at a watermark or later.
///
/// # Errors
/// As the service gives them.
pub async fn of_service(
    connection: Connection,
    declarant: &str,
    at_least_watermark: u64,
) -> Result<Vec<Reconciliation>, Status> {
    let mut client = ComplianceClient::new(connection);
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListReconciliationsRequest {
            declarant: declarant.to_owned(),
            reference: String::new(),
            period: None,
            at_least_watermark,
            page_size: PAGE,
            page_token,
        };
        let page = client.list_reconciliations(request).await?.into_inner();
        rows.extend(page.reconciliations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(rows);
        }
    }
}

/// One reference, on both sides.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct Compared {
    /// The spool's figures.
    pub spool: SpoolReconciliation,
    /// The service's; none where it knows nothing of the reference.
    pub service: Option<Reconciliation>,
    /// Service less spool; all are 0 where both say the same.
    pub difference: Difference,
    /// Declarations of batches that were sent again which arrived twice.
    pub arrived_again: u64,
    /// Received by the spool and neither answered nor refused.
    pub waiting: u64,
}

/// By how much the service's figures are above the spool's.
#[derive(Debug, Clone, Copy, Default, Serialize, PartialEq, Eq)]
pub struct Difference {
    /// Received by the service, against forwarded by the spool.
    pub received: i64,
    /// Accepted.
    pub accepted: i64,
    /// Rejected.
    pub rejected: i64,
    /// Replayed.
    pub replayed: i64,
    /// Conflicts.
    pub conflicts: i64,
    /// Late.
    pub late: i64,
}

impl Compared {
    /// Nothing is lost, doubled, or told differently, and nothing waits.
    #[must_use]
    pub fn is_reconciled(&self) -> bool {
        self.difference == Difference::default() && self.waiting == 0
    }
}

/// Puts each reference of the spool beside the service's row of it. References of the service that begin as
/// this spool's do (`own`) and of which the spool knows nothing are told as well.
#[must_use]
pub fn compare(
    spool: &[SpoolReconciliation],
    service: &[Reconciliation],
    own: &str,
) -> Vec<Compared> {
    let is_same = |left: &SpoolReconciliation, right: &Reconciliation| {
        (&left.declarant, &left.reference) == (&right.declarant, &right.reference)
    };
    let of_spool = spool.iter().filter(|row| !row.reference.is_empty());
    let known = of_spool.map(|row| {
        let theirs = service.iter().find(|theirs| is_same(row, theirs));
        compare_row(row.clone(), theirs.cloned())
    });
    let unknown = service.iter().filter(|theirs| {
        let is_own = !own.is_empty() && theirs.reference.starts_with(own);
        is_own && !spool.iter().any(|row| is_same(row, theirs))
    });
    let unknown = unknown.map(|theirs| {
        let row = SpoolReconciliation {
            declarant: theirs.declarant.clone(),
            reference: theirs.reference.clone(),
            ..SpoolReconciliation::default()
        };
        compare_row(row, Some(theirs.clone()))
    });
    known.chain(unknown).collect()
}

fn compare_row(spool: SpoolReconciliation, service: Option<Reconciliation>) -> Compared {
    let theirs = service.clone().unwrap_or_default();
    let above = if spool.sent_again > 0 { u64::MAX } else { 0 };
    let difference = Difference {
        received: outside(theirs.received, spool.forwarded, above),
        accepted: within(theirs.accepted, spool.accepted, spool.accepted_by_replay),
        rejected: within(theirs.rejected, spool.rejected, spool.rejected_by_replay),
        replayed: outside(theirs.replayed, spool.replayed, above),
        conflicts: within(theirs.conflicts, spool.conflicts, spool.conflicts_by_replay),
        late: within(theirs.late, spool.late, spool.late_by_replay),
    };
    let arrived_again =
        if spool.sent_again > 0 { theirs.received.saturating_sub(spool.forwarded) } else { 0 };
    let waiting = spool.received.saturating_sub(spool.forwarded + spool.refused);
    Compared { spool, service, difference, arrived_again, waiting }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// By how much `theirs` is off `ours`, of which `unsure` may not count.
fn within(theirs: u64, ours: u64, unsure: u64) -> i64 {
    let least = ours.saturating_sub(unsure);
    if theirs > ours { signed(theirs - ours) } else { -signed(least.saturating_sub(theirs)) }
}

/// By how much `theirs` is below `ours`, or above it by more than `above`.
fn outside(theirs: u64, ours: u64, above: u64) -> i64 {
    if theirs < ours {
        -signed(ours - theirs)
    } else {
        signed((theirs - ours).saturating_sub(above))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn ours() -> SpoolReconciliation {
        SpoolReconciliation {
            declarant: "NL810000003".into(),
            reference: "SPOOL-1f0c22ab-20261130".into(),
            received: 10,
            forwarded: 9,
            accepted: 5,
            rejected: 2,
            replayed: 1,
            conflicts: 1,
            refused: 1,
            late: 3,
            ..SpoolReconciliation::default()
        }
    }

    fn theirs() -> Reconciliation {
        Reconciliation {
            declarant: "NL810000003".into(),
            reference: "SPOOL-1f0c22ab-20261130".into(),
            received: 9,
            accepted: 5,
            rejected: 2,
            replayed: 1,
            conflicts: 1,
            late: 3,
            ..Reconciliation::default()
        }
    }

    fn compared(ours: SpoolReconciliation, theirs: &[Reconciliation]) -> Compared {
        compare(&[ours], theirs, "SPOOL-1f0c22ab-").remove(0)
    }

    #[test]
    fn the_same_figures_are_reconciled_and_each_that_differs_is_told() {
        assert!(compared(ours(), &[theirs()]).is_reconciled());
        type Change = (fn(&mut Reconciliation), fn(Difference) -> i64);
        let changes: [Change; 6] = [
            (|row| row.received += 1, |difference| difference.received),
            (|row| row.accepted += 1, |difference| difference.accepted),
            (|row| row.rejected += 1, |difference| difference.rejected),
            (|row| row.replayed += 1, |difference| difference.replayed),
            (|row| row.conflicts += 1, |difference| difference.conflicts),
            (|row| row.late += 1, |difference| difference.late),
        ];
        for (change, of) in changes {
            let mut changed = theirs();
            change(&mut changed);
            let compared = compared(ours(), &[changed]);
            assert!(!compared.is_reconciled());
            assert_eq!(of(compared.difference), 1);
        }
        let nothing = compared(ours(), &[]);
        assert_eq!((nothing.difference.received, nothing.difference.accepted), (-9, -5));
    }

    #[test]
    fn what_was_sent_again_may_have_arrived_twice_and_no_less_than_once() {
        let ours = SpoolReconciliation {
            sent_again: 3,
            accepted_by_replay: 2,
            late_by_replay: 2,
            ..ours()
        };
        let mut doubled = theirs();
        (doubled.received, doubled.replayed) = (13, 5);
        let seen = compared(ours.clone(), &[doubled.clone()]);
        assert!(seen.is_reconciled(), "{seen:?}");
        assert_eq!(seen.arrived_again, 4);
        doubled.accepted = 2;
        assert_eq!(compared(ours.clone(), &[doubled]).difference.accepted, -1);
        let mut lost = theirs();
        (lost.received, lost.replayed) = (8, 0);
        let lost = compared(ours, &[lost]).difference;
        assert_eq!((lost.received, lost.replayed), (-1, -1));
    }

    #[test]
    fn what_waits_is_not_reconciled_and_what_nobody_sent_is_told() {
        let waiting = SpoolReconciliation { received: 12, ..ours() };
        let waiting = compared(waiting, &[theirs()]);
        assert_eq!((waiting.waiting, waiting.is_reconciled()), (2, false));
        let other = Reconciliation { reference: "SPOOL-1f0c22ab-20261129".into(), ..theirs() };
        let foreign = Reconciliation { reference: "NOOD-7".into(), ..theirs() };
        let all = compare(&[ours()], &[theirs(), other, foreign], "SPOOL-1f0c22ab-");
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].difference.received, 9);
        let direct = SpoolReconciliation { reference: String::new(), ..ours() };
        assert!(compare(&[direct], &[theirs()], "").is_empty());
    }
}
