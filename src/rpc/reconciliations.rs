//! What is asked and answered of fallback lodgements by reference, as messages.

use bumpalo::Bump;
use tonic::Status;

use super::compliance::{actor_id, invalid, page_size, period, shortened};
use super::reads::assert_reading;
use crate::proto::v1;
use crate::summary::{
    ActorId, FallbackReference, Reconciliation, Reconciliations, ReconciliationsQuery, Role, late,
    read_reference_token, write_reference_token,
};
use crate::wire::normalise::normalise_text;

/// What is asked, without the rest of the message, which may be much longer: it may have to wait.
pub(super) fn query(
    request: v1::ListReconciliationsRequest,
) -> Result<ReconciliationsQuery, Status> {
    let mut query = ReconciliationsQuery {
        declarant: actor_id("declarant", Role::Declarant, &request.declarant)?,
        reference: reference(&request.reference)?,
        period: period(&request.period.unwrap_or_default())?,
        after: None,
        page_size: page_size(request.page_size)?,
    };
    if !request.page_token.is_empty() {
        let after = read_reference_token(&request.page_token, &query);
        query.after = Some(after.map_err(|reason| invalid("page_token", reason))?);
    }
    Ok(query)
}

/// Taken as declarations' references are: trimmed, with one space where there are several.
fn reference(text: &str) -> Result<Option<String>, Status> {
    let arena = Bump::new();
    let normal = normalise_text(text, &arena);
    if text.is_empty() {
        return Ok(None);
    }
    let reference = FallbackReference::parse(normal).ok_or_else(|| {
        let form = "a reference has 1 to 35 characters, none of them a control character";
        invalid("reference", format!("is \"{}\"; {form}", shortened(text)))
    })?;
    Ok(Some(reference.as_str().to_owned()))
}

/// The answer without its watermark. Takes some µs for each, so it is for the thread of a read.
pub(super) fn message(
    page: &Reconciliations,
    query: &ReconciliationsQuery,
) -> v1::ListReconciliationsResponse {
    assert_reading();
    let next = page.next.as_ref().map(|after| write_reference_token(query, after));
    v1::ListReconciliationsResponse {
        reconciliations: page.of.iter().map(|of| reconciliation(&query.declarant, of)).collect(),
        next_page_token: next.unwrap_or_default(),
        watermark: 0,
    }
}

fn reconciliation(declarant: &ActorId, of: &Reconciliation) -> v1::Reconciliation {
    let c = &of.counters;
    v1::Reconciliation {
        declarant: declarant.to_string(),
        reference: of.reference.clone(),
        received: c.received(),
        accepted: c.accepted,
        rejected: c.rejected,
        replayed: c.replayed,
        conflicts: c.conflicts,
        late: late(&c.delays),
        accepted_lines: c.accepted_lines,
        intrinsic_value_eur_cents: c.intrinsic_value,
        delay_histogram: c.delays.to_vec(),
    }
}
