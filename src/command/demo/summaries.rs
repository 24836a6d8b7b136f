//! Holds the server's summaries against what its answers add up to.

use std::collections::HashMap;

use tonic::transport::Channel;

use super::DriveError;
use super::check::{Mismatches, Tally};
use crate::proto::v1::compliance_client::ComplianceClient;
use crate::proto::v1::{ActorOrder, ActorRole, ActorSummary, ListActorSummariesRequest};

/// The contract's bound.
const PAGE: u32 = 1_000;

/// All declarants' summaries over all days, by EORI.
///
/// # Errors
/// A call that fails.
pub async fn read(
    channel: Channel,
    at_least_watermark: u64,
) -> Result<HashMap<String, ActorSummary>, DriveError> {
    let mut client = ComplianceClient::new(channel);
    let mut all = HashMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListActorSummariesRequest {
            role: ActorRole::Declarant.into(),
            period: None,
            at_least_watermark,
            page_size: PAGE,
            page_token,
            order: ActorOrder::Id.into(),
        };
        let page = client
            .list_actor_summaries(request)
            .await
            .map_err(|status| DriveError::call("ListActorSummaries", status))?
            .into_inner();
        for summary in page.summaries {
            let id = summary.actor.as_ref().map(|actor| actor.id.clone()).unwrap_or_default();
            all.insert(id, summary);
        }
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        page_token = page.next_page_token;
    }
}

/// The figures of a summary that answers add up to, by name.
fn figures(summary: &ActorSummary) -> [(&'static str, u64); 8] {
    [
        ("accepted", summary.accepted),
        ("rejected", summary.rejected),
        ("replayed", summary.replayed),
        ("conflicts", summary.conflicts),
        ("accepted_lines", summary.accepted_lines),
        ("intrinsic_value_eur_cents", summary.intrinsic_value_eur_cents),
        ("gross_mass_mg", summary.gross_mass_mg),
        ("duty_eur_cents", summary.duty_eur_cents),
    ]
}

/// Notes each figure of the declarant `id` whose growth since `before` is not what `tally` says.
pub fn compare(
    id: &str,
    before: Option<&ActorSummary>,
    after: Option<&ActorSummary>,
    tally: &Tally,
    mismatches: &mut Mismatches,
) {
    let none = ActorSummary::default();
    let after = after.unwrap_or(&none);
    let counted = [
        tally.accepted,
        tally.rejected,
        tally.replayed,
        tally.conflicts,
        tally.accepted_lines,
        tally.value_eur_cents,
        tally.gross_mass_mg,
        tally.duty_eur_cents,
    ];
    for (((name, then), (_, now)), counted) in
        figures(before.unwrap_or(&none)).into_iter().zip(figures(after)).zip(counted)
    {
        let grown = now.wrapping_sub(then);
        if grown != counted {
            mismatches.add(|| {
                format!("summary of {id}: {name} grew by {grown}, but the answers say {counted}")
            });
        }
    }
    let histogram: u64 = after.value_histogram.iter().sum();
    if histogram != after.accepted {
        let accepted = after.accepted;
        mismatches.add(|| {
            format!("summary of {id}: {histogram} values in the histogram of {accepted} accepted")
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_summary_must_grow_by_what_was_answered() {
        let before = ActorSummary { accepted: 5, value_histogram: vec![5], ..Default::default() };
        let after = ActorSummary {
            accepted: 8,
            rejected: 1,
            value_histogram: vec![8],
            ..Default::default()
        };
        let tally = Tally { accepted: 3, rejected: 1, ..Tally::default() };
        let found = |before: Option<&ActorSummary>, after: Option<&ActorSummary>, tally: &Tally| {
            let mut mismatches = Mismatches::default();
            compare("NL1", before, after, tally, &mut mismatches);
            mismatches.count
        };
        assert_eq!(found(Some(&before), Some(&after), &tally), 0);
        assert_eq!(found(None, Some(&after), &tally), 1);
        assert_eq!(found(None, None, &tally), 2);
        assert_eq!(found(Some(&before), Some(&after), &Tally::default()), 2);
        let holed = ActorSummary { value_histogram: vec![7], ..after.clone() };
        assert_eq!(found(Some(&before), Some(&holed), &tally), 1);
    }
}
