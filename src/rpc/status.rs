//! Refusals as gRPC statuses, with `google.rpc` details: BadRequest names the field, RetryInfo says
//! when to come back.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::ingest::refusal::{Refusal, RefusalKind};

/// The code of a refusal.
#[must_use]
pub fn code(kind: RefusalKind) -> Code {
    match kind {
        RefusalKind::Invalid => Code::InvalidArgument,
        RefusalKind::Exhausted => Code::ResourceExhausted,
        RefusalKind::Unavailable => Code::Unavailable,
        RefusalKind::Denied => Code::PermissionDenied,
        RefusalKind::Unknown => Code::Unauthenticated,
    }
}

/// The status of a refusal.
#[must_use]
pub fn of(refusal: &Refusal) -> Status {
    let mut details = ErrorDetails::new();
    if !refusal.field.is_empty() {
        details.add_bad_request_violation(&refusal.field, &refusal.message);
    }
    if refusal.retry_after_ms > 0 {
        details.set_retry_info(Some(Duration::from_millis(refusal.retry_after_ms.into())));
    }
    Status::with_error_details(code(refusal.kind), &refusal.message, details)
}

/// INVALID_ARGUMENT for one field.
#[must_use]
pub fn invalid(field: &str, message: &str) -> Status {
    of(&Refusal::invalid(field, message))
}
