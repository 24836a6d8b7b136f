//! A proxy before a real server that answers wrongly, in one of many ways.

#![allow(unreachable_pub, reason = "a module of a test")]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::{Iter, StreamExt};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use waag::proto::v1;
use waag::proto::v1::compliance_client::ComplianceClient;
use waag::proto::v1::lodgement_client::LodgementClient;

use crate::common::Server;

/// A way of answering wrongly, or otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Threshold,
    StopWords,
    Elements,
    Severity,
    Order,
    Replays,
    ReplayMrn,
    FlagsFirst,
    Totals,
    Duty,
    Watermark,
    Conflicts,
    Mrn,
    BatchId,
    Refusals,
    StreamOrder,
    StreamEnds,
    LooseMrn,
    Reasons,
    Summary,
    // What a service is free in.
    MoreFlags,
    Texts,
    NoSummaries,
    /// It is not there when the threshold is passed.
    Gone,
}

impl Way {
    fn spoil(self, answer: &mut v1::SubmitBatchResponse) {
        let flag = || v1::Finding {
            reason: "HOUSE_RULE".into(),
            severity: v1::Severity::Flag.into(),
            data_element: "18 05 000 000".into(),
            message: "We look at these.".into(),
            legal_basis: "House rules".into(),
            goods_item_number: 1,
        };
        match self {
            Self::Order => answer.verdicts.reverse(),
            Self::Totals => answer.totals.as_mut().unwrap().accepted_lines += 1,
            Self::Watermark => answer.watermark = 7,
            Self::BatchId => answer.batch_id = "another".into(),
            _ => {}
        }
        for verdict in &mut answer.verdicts {
            let drop_reason = |verdict: &mut v1::Verdict, reason: &str| {
                let before = verdict.findings.len();
                verdict.findings.retain(|finding| finding.reason != reason);
                verdict.findings.len() < before
            };
            match self {
                Self::Threshold => {
                    let is_dropped = drop_reason(verdict, "INTRINSIC_VALUE_EXCEEDS_THRESHOLD");
                    if is_dropped {
                        verdict.outcome = v1::Outcome::Accepted.into();
                        verdict.mrn = "21NL8TDE2PO02TAER9".into();
                    }
                }
                Self::StopWords => drop(drop_reason(verdict, "DESCRIPTION_STOP_WORD")),
                Self::Elements => {
                    for finding in &mut verdict.findings {
                        finding.data_element = "14 14 000 000".into();
                    }
                }
                Self::Severity => {
                    for finding in &mut verdict.findings {
                        if finding.reason == "GIFT_COMMERCIAL_SIGNS" {
                            finding.severity = v1::Severity::Reject.into();
                        }
                    }
                }
                Self::Replays if verdict.outcome() == v1::Outcome::Replayed => {
                    verdict.outcome = verdict.replay_of;
                    verdict.replay_of = 0;
                }
                Self::ReplayMrn if verdict.replay_of() == v1::Outcome::Accepted => {
                    verdict.mrn = "21NL8TDE2PO02TAER9".into();
                }
                Self::FlagsFirst => verdict.findings.reverse(),
                Self::Duty => verdict.duty_eur_cents = 0,
                Self::Conflicts if verdict.outcome() == v1::Outcome::Conflict => {
                    verdict.outcome = v1::Outcome::Rejected.into();
                }
                // The check digit is wrong.
                Self::Mrn if !verdict.mrn.is_empty() => {
                    let digit = verdict.mrn.pop().unwrap().to_digit(10).unwrap();
                    verdict.mrn.push(char::from_digit((digit + 1) % 10, 10).unwrap());
                }
                Self::MoreFlags => verdict.findings.push(flag()),
                Self::Texts => verdict.findings.iter_mut().for_each(|f| f.message.clear()),
                _ => {}
            }
        }
    }
}

/// Before a real server, answering in some way of its own.
#[derive(Clone)]
struct Proxy {
    way: Arc<Mutex<Way>>,
    channel: Channel,
}

impl NamedService for Proxy {
    const NAME: &'static str = "waag.v1.Lodgement";
}

impl Proxy {
    fn way(&self) -> Way {
        *self.way.lock().unwrap()
    }

    fn client(&self) -> LodgementClient<Channel> {
        LodgementClient::new(self.channel.clone())
            .max_decoding_message_size(32 << 20)
            .max_encoding_message_size(32 << 20)
    }
}

impl UnaryService<v1::SubmitBatchRequest> for Proxy {
    type Response = v1::SubmitBatchResponse;
    type Future = BoxFuture<Response<Self::Response>, Status>;

    fn call(&mut self, request: Request<v1::SubmitBatchRequest>) -> Self::Future {
        let (proxy, request) = (self.clone(), request.into_inner());
        Box::pin(async move {
            let count = request.declarations.len();
            let items = request.declarations.iter().flat_map(|of| &of.goods_items);
            let mut values = items.filter_map(|item| item.intrinsic_value.as_ref());
            if proxy.way() == Way::Gone && values.any(|value| value.hundredths == 15_001) {
                return Err(Status::unavailable("gone"));
            }
            let answer = match proxy.client().submit_batch(request).await {
                Err(status)
                    if proxy.way() == Way::Refusals && status.code() == Code::InvalidArgument =>
                {
                    let verdicts = vec![v1::Verdict::default(); count];
                    Response::new(v1::SubmitBatchResponse { verdicts, ..Default::default() })
                }
                answer => answer?,
            };
            let mut answer = answer.into_inner();
            proxy.way().spoil(&mut answer);
            Ok(Response::new(answer))
        })
    }
}

impl StreamingService<v1::SubmitBatchRequest> for Proxy {
    type Response = v1::SubmitBatchesResponse;
    type ResponseStream = Iter<std::vec::IntoIter<Result<v1::SubmitBatchesResponse, Status>>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<v1::SubmitBatchRequest>>) -> Self::Future {
        let (proxy, mut requests) = (self.clone(), request.into_inner());
        Box::pin(async move {
            let mut batches = Vec::new();
            while let Some(batch) = requests.message().await? {
                batches.push(batch);
            }
            let answers = proxy.client().submit_batches(tokio_stream::iter(batches)).await?;
            let mut answers: Vec<_> = answers.into_inner().collect().await;
            match proxy.way() {
                Way::StreamOrder => answers.reverse(),
                Way::StreamEnds => {
                    let is_refusal = |item: &v1::SubmitBatchesResponse| {
                        matches!(item.result, Some(v1::submit_batches_response::Result::Refusal(_)))
                    };
                    let end = answers.iter().position(|item| item.as_ref().is_ok_and(is_refusal));
                    answers.truncate(end.map_or(answers.len(), |end| end + 1));
                }
                _ => {}
            }
            Ok(Response::new(tokio_stream::iter(answers)))
        })
    }
}

impl UnaryService<v1::GetDeclarationRequest> for Proxy {
    type Response = v1::GetDeclarationResponse;
    type Future = BoxFuture<Response<Self::Response>, Status>;

    fn call(&mut self, request: Request<v1::GetDeclarationRequest>) -> Self::Future {
        let (proxy, request) = (self.clone(), request.into_inner());
        Box::pin(async move {
            let is_mrn = matches!(request.key, Some(v1::get_declaration_request::Key::Mrn(_)));
            match proxy.client().get_declaration(request).await {
                Err(status) if status.code() == Code::NotFound && is_mrn => {
                    Ok(Response::new(v1::GetDeclarationResponse::default()))
                }
                found => found,
            }
        })
    }
}

impl UnaryService<v1::ListReasonsRequest> for Proxy {
    type Response = v1::ListReasonsResponse;
    type Future = BoxFuture<Response<Self::Response>, Status>;

    fn call(&mut self, request: Request<v1::ListReasonsRequest>) -> Self::Future {
        let (proxy, request) = (self.clone(), request.into_inner());
        Box::pin(async move {
            let mut listed = proxy.client().list_reasons(request).await?.into_inner();
            listed.reasons.retain(|listed| listed.reason != "DISPATCH_FROM_EU");
            Ok(Response::new(listed))
        })
    }
}

impl UnaryService<v1::GetActorSummaryRequest> for Proxy {
    type Response = v1::GetActorSummaryResponse;
    type Future = BoxFuture<Response<Self::Response>, Status>;

    fn call(&mut self, request: Request<v1::GetActorSummaryRequest>) -> Self::Future {
        let (proxy, request) = (self.clone(), request.into_inner());
        Box::pin(async move {
            if proxy.way() == Way::NoSummaries {
                return Err(Status::unimplemented("no summaries here"));
            }
            let mut client = ComplianceClient::new(proxy.channel.clone());
            let mut response = client.get_actor_summary(request).await?.into_inner();
            // Always the first that was read.
            response.summary.as_mut().unwrap().accepted = 1;
            Ok(Response::new(response))
        })
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

fn grpc<Answer, Asked>() -> Grpc<ProstCodec<Answer, Asked>>
where
    Answer: Message + Send + 'static,
    Asked: Message + Default + Send + 'static,
{
    Grpc::new(ProstCodec::default()).apply_max_message_size_config(Some(32 << 20), None)
}

impl tower::Service<http::Request<Body>> for Proxy {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answering {
        let mut proxy = self.clone();
        let (path, way) = (request.uri().path().to_owned(), self.way());
        Box::pin(async move {
            let method = path.rsplit('/').next().unwrap();
            Ok(match (method, way) {
                ("SubmitBatch", _) => {
                    grpc::<v1::SubmitBatchResponse, v1::SubmitBatchRequest>()
                        .unary(proxy, request)
                        .await
                }
                ("SubmitBatches", _) => {
                    let mut grpc = grpc::<v1::SubmitBatchesResponse, v1::SubmitBatchRequest>();
                    grpc.streaming(proxy, request).await
                }
                ("GetDeclaration", Way::LooseMrn) => {
                    let mut grpc = grpc::<v1::GetDeclarationResponse, v1::GetDeclarationRequest>();
                    grpc.unary(proxy, request).await
                }
                ("ListReasons", Way::Reasons) => {
                    grpc::<v1::ListReasonsResponse, v1::ListReasonsRequest>()
                        .unary(proxy, request)
                        .await
                }
                ("GetActorSummary", Way::Summary | Way::NoSummaries) => {
                    let mut grpc =
                        grpc::<v1::GetActorSummaryResponse, v1::GetActorSummaryRequest>();
                    grpc.unary(proxy, request).await
                }
                // All else goes through as it is.
                _ => {
                    std::future::poll_fn(|cx| proxy.channel.poll_ready(cx)).await.unwrap();
                    proxy.channel.call(request).await.unwrap().map(Body::new)
                }
            })
        })
    }
}

/// The same under the name of the other service.
#[derive(Clone)]
struct Summaries(Proxy);

impl NamedService for Summaries {
    const NAME: &'static str = "waag.v1.Compliance";
}

impl tower::Service<http::Request<Body>> for Summaries {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answering {
        tower::Service::call(&mut self.0, request)
    }
}

/// One before `server`, and how it answers: as `Way::Order` has it, until that is changed.
pub async fn proxy(server: &Server) -> (String, Arc<Mutex<Way>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let way = Arc::new(Mutex::new(Way::Order));
    let proxy = Proxy { way: Arc::clone(&way), channel: server.channel().await };
    let services = tonic::transport::Server::builder()
        .add_service(proxy.clone())
        .add_service(Summaries(proxy));
    tokio::spawn(services.serve_with_incoming(TcpIncoming::from(listener)));
    (url, way)
}
