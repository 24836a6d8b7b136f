//! A service over gRPC.

use std::time::Duration;

use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::service::{Refusal, Service, Told, Trouble};
use crate::client::{ConnectError, Connection, Server};
use crate::proto::v1;
use crate::proto::v1::compliance_client::ComplianceClient;
use crate::proto::v1::lodgement_client::LodgementClient;
use crate::proto::v1::submit_batches_response::Result as Item;

/// Longer than this no call is waited for.
const CALL_MAX: Duration = Duration::from_secs(60);
/// The contract's own bound is 4 MiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// So often a batch is sent again where the service says when to come back,
const ATTEMPTS_MAX: usize = 10;
/// and no longer than this is waited for it each time.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A connection to it.
pub(super) struct Grpc {
    lodgement: LodgementClient<Connection>,
    compliance: ComplianceClient<Connection>,
}

impl Grpc {
    pub(super) async fn connect(server: &Server) -> Result<Self, ConnectError> {
        let connection = server.clone().with_call_max(CALL_MAX).connect().await?;
        let lodgement = LodgementClient::new(connection.clone());
        Ok(Self {
            lodgement: lodgement.max_decoding_message_size(ANSWER_BYTES_MAX),
            compliance: ComplianceClient::new(connection),
        })
    }
}

/// As `INVALID_ARGUMENT`.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for character in format!("{code:?}").chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_uppercase());
    }
    name
}

fn told(status: &Status) -> String {
    format!("{}: {}", code_name(status.code()), status.message())
}

fn trouble(status: &Status) -> Trouble {
    let told = told(status);
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
            Trouble::Gone(format!("the service says {told}"))
        }
        Code::Unauthenticated => Trouble::Gone(format!(
            "the service does not know who calls ({told}): say so with --token-file, or with --certificate and \
             --key"
        )),
        Code::PermissionDenied => {
            Trouble::NotForUs(format!("the service does not allow it: {told}"))
        }
        Code::Unimplemented => Trouble::NotForUs(format!("the service does not have it: {told}")),
        // What the transport itself has to say has a source, and no code of its own.
        Code::Unknown if std::error::Error::source(status).is_some() => Trouble::Gone(told),
        _ => Trouble::Odd(told),
    }
}

/// After how long to come back, where the service says so.
fn wait(status: &Status) -> Option<Duration> {
    let wait = status.get_details_retry_info()?.retry_delay?;
    Some(wait.min(WAIT_MAX))
}

impl Service for Grpc {
    async fn submit(&mut self, batch: v1::SubmitBatchRequest) -> Result<Told, Trouble> {
        for attempt in 1.. {
            let status = match self.lodgement.submit_batch(batch.clone()).await {
                Ok(answer) => return Ok(Told::Answer(answer.into_inner())),
                Err(status) => status,
            };
            match wait(&status).filter(|_| attempt < ATTEMPTS_MAX) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return refused(&status),
            }
        }
        Err(Trouble::Gone("no answer".to_owned()))
    }

    async fn stream(&mut self, batches: Vec<v1::SubmitBatchRequest>) -> Result<Vec<Told>, Trouble> {
        let sent = batches.len();
        let answers = self.lodgement.submit_batches(tokio_stream::iter(batches)).await;
        let mut answers = answers.map_err(|status| trouble(&status))?.into_inner();
        let mut told = Vec::new();
        // One more than were sent is one too many already.
        while told.len() <= sent {
            match answers.next().await {
                None => break,
                Some(Err(status)) => return Err(trouble(&status)),
                Some(Ok(item)) => told.push(match item.result {
                    Some(Item::Answer(answer)) => Told::Answer(answer),
                    Some(Item::Refusal(refusal)) => Told::Refusal(Refusal {
                        code: code_name(Code::from_i32(refusal.code)),
                        field: refusal.field,
                        message: refusal.message,
                        batch_id: Some(refusal.batch_id),
                    }),
                    None => return Err(Trouble::Odd("an answer with nothing in it".to_owned())),
                }),
            }
        }
        Ok(told)
    }

    async fn look_up(
        &mut self,
        key: v1::get_declaration_request::Key,
    ) -> Result<Option<v1::GetDeclarationResponse>, Trouble> {
        let request = v1::GetDeclarationRequest { key: Some(key) };
        match self.lodgement.get_declaration(request).await {
            Ok(found) => Ok(Some(found.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(trouble(&status)),
        }
    }

    async fn reasons(&mut self, on: String) -> Result<Vec<v1::Reason>, Trouble> {
        let listed = self.lodgement.list_reasons(v1::ListReasonsRequest { on }).await;
        Ok(listed.map_err(|status| trouble(&status))?.into_inner().reasons)
    }

    async fn summary(
        &mut self,
        declarant: &str,
        watermark: u64,
    ) -> Result<v1::ActorSummary, Trouble> {
        let role = v1::ActorRole::Declarant.into();
        let request = v1::GetActorSummaryRequest {
            actor: Some(v1::Actor { role, id: declarant.to_owned() }),
            period: None,
            at_least_watermark: watermark,
        };
        let response = self.compliance.get_actor_summary(request).await;
        let response = response.map_err(|status| trouble(&status))?.into_inner();
        response.summary.ok_or_else(|| Trouble::Odd("an answer without a summary".to_owned()))
    }
}

/// A batch that is not taken is told as such; what else went wrong is trouble.
fn refused(status: &Status) -> Result<Told, Trouble> {
    let code = status.code();
    if !matches!(
        code,
        Code::InvalidArgument
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::OutOfRange
    ) {
        return Err(trouble(status));
    }
    let violations = status.get_details_bad_request().map(|request| request.field_violations);
    let first = violations.into_iter().flatten().next();
    Ok(Told::Refusal(Refusal {
        code: code_name(code),
        field: first.map(|violation| violation.field).unwrap_or_default(),
        message: status.message().to_owned(),
        batch_id: None,
    }))
}
