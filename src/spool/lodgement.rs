//! `waag.v1.Lodgement` for clients that know no spool: a batch is durable in the spool first, then the
//! service's answer is waited for.
//!
//! Where it does not come in time the call ends with UNAVAILABLE, RetryInfo and, as `waag-receipt-bin` in the
//! metadata, the receipt: the batch is on its way. Sent again it is known by its content, and gets the answer
//! once that is there.

use std::pin::Pin;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::service::{
    STREAM_IN_FLIGHT_MAX, SpoolService, batch_refusal, later, lodge_status, patience,
};
use super::store::LodgeError;
use crate::proto::server::lodgement_server::Lodgement;
use crate::proto::v1::lodgement_client::LodgementClient;
use crate::proto::v1::submit_batches_response::Result as Item;
use crate::proto::v1::{self, verdict_set};
use crate::rpc::codec::{AnswerBytes, RequestBytes};

/// Where the receipt stands.
const RECEIPT: &str = "waag-receipt-bin";
/// When it is worth asking again.
const AGAIN_MS: u32 = 2_000;
/// A call waits no longer, whatever its deadline.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// What came of a batch within the call.
enum Outcome {
    Answer(u64, v1::SubmitBatchResponse),
    Refused(v1::BatchRefusal),
    Kept(v1::Receipt),
}

/// The service, over that of the spool.
#[derive(Debug, Clone)]
pub(super) struct LodgementService(pub(super) SpoolService);

impl LodgementService {
    async fn submit(
        &self,
        message: bytes::Bytes,
        wait: Duration,
    ) -> Result<Result<Outcome, Status>, LodgeError> {
        let service = &self.0;
        let is_up = service.reach.is_up();
        let receipt = service.store.lodge(message, is_up).await?;
        // A service that is not there answers nobody; what it answered before is at hand.
        let wait = if is_up { wait } else { Duration::ZERO };
        let set = match service.answered(receipt.number, wait).await {
            Ok(set) => set,
            Err(status) => return Ok(Err(status)),
        };
        Ok(Ok(match set.and_then(|set| set.result) {
            Some(verdict_set::Result::Answer(answer)) => Outcome::Answer(receipt.number, answer),
            Some(verdict_set::Result::Refusal(refusal)) => Outcome::Refused(refusal),
            None => Outcome::Kept(receipt),
        }))
    }

    async fn item(self, message: bytes::Bytes) -> Result<AnswerBytes, Status> {
        let result = match self.submit(message.clone(), WAIT_MAX).await {
            Ok(outcome) => match outcome? {
                Outcome::Answer(number, answer) => {
                    self.0.store.given(number).await;
                    Item::Answer(answer)
                }
                Outcome::Refused(refusal) => Item::Refusal(refusal),
                Outcome::Kept(receipt) => Item::Refusal(v1::BatchRefusal {
                    batch_id: receipt.batch_id.clone(),
                    code: Code::Unavailable.into(),
                    message: kept(&receipt),
                    field: String::new(),
                    retry_after_ms: AGAIN_MS,
                }),
            },
            Err(error) => Item::Refusal(batch_refusal(&message, &error)),
        };
        let response = v1::SubmitBatchesResponse { result: Some(result) };
        Ok(AnswerBytes::refusal(response.encode_to_vec().into()))
    }

    /// The service's own answer to a call that is about nothing here.
    fn client(&self) -> Result<LodgementClient<crate::client::Connection>, Status> {
        let connection = self.0.reach.connection();
        let connection = connection.ok_or_else(|| {
            later(Code::Unavailable, "the service behind the spool is not reachable", AGAIN_MS)
        })?;
        Ok(LodgementClient::new(connection))
    }
}

fn kept(receipt: &v1::Receipt) -> String {
    format!(
        "the service has not answered; the spool keeps the batch and forwards it (receipt {}): send it again \
         for its verdicts",
        receipt.number
    )
}

fn kept_status(receipt: &v1::Receipt) -> Status {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(Duration::from_millis(AGAIN_MS.into())));
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(RECEIPT, MetadataValue::from_bytes(&receipt.encode_to_vec()));
    let message = kept(receipt);
    Status::with_error_details_and_metadata(Code::Unavailable, message, details, metadata)
}

fn refused_status(refusal: v1::BatchRefusal) -> Status {
    let mut details = ErrorDetails::new();
    if !refusal.field.is_empty() {
        details.add_bad_request_violation(refusal.field, refusal.message.clone());
    }
    Status::with_error_details(Code::from(refusal.code), refusal.message, details)
}

type Pending = Pin<Box<dyn Future<Output = Result<AnswerBytes, Status>> + Send>>;

#[tonic::async_trait]
impl Lodgement for LodgementService {
    async fn submit_batch(
        &self,
        request: Request<RequestBytes>,
    ) -> Result<Response<AnswerBytes>, Status> {
        let wait = patience(&request, WAIT_MAX);
        let submitted = self.submit(request.into_inner().0, wait).await;
        match submitted.map_err(|error| lodge_status(&error))?? {
            Outcome::Answer(number, answer) => {
                self.0.store.given(number).await;
                Ok(Response::new(AnswerBytes::refusal(answer.encode_to_vec().into())))
            }
            Outcome::Refused(refusal) => Err(refused_status(refusal)),
            Outcome::Kept(receipt) => Err(kept_status(&receipt)),
        }
    }

    type SubmitBatchesStream = Pin<Box<dyn Stream<Item = Result<AnswerBytes, Status>> + Send>>;

    async fn submit_batches(
        &self,
        request: Request<Streaming<RequestBytes>>,
    ) -> Result<Response<Self::SubmitBatchesStream>, Status> {
        let (sender, pending) = mpsc::channel::<Pending>(STREAM_IN_FLIGHT_MAX);
        let (service, mut requests) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            let mut stopping = service.0.stopping.clone();
            loop {
                let message = tokio::select! {
                    _ = stopping.wait_for(|is_stopping| *is_stopping) => {
                        Err(later(Code::Unavailable, "the spool is stopping", AGAIN_MS))
                    }
                    message = requests.message() => message,
                };
                let pending: Pending = match message {
                    Ok(Some(RequestBytes(message))) => {
                        let begun = tokio::spawn(service.clone().item(message));
                        Box::pin(async move {
                            begun.await.map_err(|error| Status::internal(error.to_string()))?
                        })
                    }
                    Ok(None) => return,
                    Err(status) => {
                        let _ = sender.send(Box::pin(std::future::ready(Err(status)))).await;
                        return;
                    }
                };
                if sender.send(pending).await.is_err() {
                    return;
                }
            }
        });
        let answers = ReceiverStream::new(pending).then(|pending: Pending| pending);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_declaration(
        &self,
        request: Request<v1::GetDeclarationRequest>,
    ) -> Result<Response<v1::GetDeclarationResponse>, Status> {
        self.client()?.get_declaration(request.into_inner()).await
    }

    async fn list_reasons(
        &self,
        request: Request<v1::ListReasonsRequest>,
    ) -> Result<Response<v1::ListReasonsResponse>, Status> {
        self.client()?.list_reasons(request.into_inner()).await
    }
}
