//! Every call that a server offers, as its reflection tells: nobody who is not known is answered, and each role
//! is answered where this table says so. A call that is not in the table fails the test.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;
#[path = "common/secured.rs"]
mod secured;

use std::collections::BTreeSet;

use http::uri::PathAndQuery;
use prost::Message;
use secured::{Client, Secured};
use tokio_stream::{StreamExt, iter};
use tonic::client::Grpc;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// For declarant, analyst, supervisor and operator, each call with an empty message: `.` where it is answered,
/// `x` where the role is missing, `?` where what the message lacks is told before that; who may send these with a
/// whole message is in `identity.rs` and `roles.rs`. The last one drains the server.
const CALLS: [(&str, &str); 30] = [
    ("Compliance/EstimatePlan", "????"),
    ("Compliance/GetActorSummary", "????"),
    ("Compliance/GetIndicatorHistory", "????"),
    ("Compliance/ListActorSummaries", "????"),
    ("Compliance/ListAgreements", "x..x"),
    ("Compliance/ListAlgorithms", "...."),
    ("Compliance/ListFindings", "????"),
    ("Compliance/ListIndicators", "...."),
    ("Compliance/ListPlans", "x..x"),
    ("Compliance/ListProfileHits", "????"),
    ("Compliance/ListProfiles", "x..x"),
    ("Compliance/ListReconciliations", "????"),
    ("Compliance/ListSelected", "????"),
    ("Compliance/ListSignals", "x.xx"),
    ("Compliance/RecordAgreement", "????"),
    ("Compliance/RecordOutcome", "????"),
    ("Compliance/RecordPlan", "????"),
    ("Compliance/RecordProfile", "x?xx"),
    ("Compliance/ReviewAgreement", "????"),
    ("Compliance/TryProfile", "????"),
    ("Compliance/WatchActorSummaries", "????"),
    ("Compliance/WithdrawAgreement", "????"),
    ("Compliance/WithdrawProfile", "????"),
    ("Lodgement/GetDeclaration", "????"),
    ("Lodgement/ListReasons", "...."),
    ("Lodgement/SubmitBatch", "?xxx"),
    ("Lodgement/SubmitBatches", "...."),
    ("Operation/GetServerStatus", "x.x."),
    ("Operation/ReloadRules", "xxx."),
    ("Operation/Drain", "xxx."),
];

#[tokio::test]
async fn each_call_there_is_minds_who_calls() {
    let secured = Secured::new("");
    let supervisor = secured.token("supervisor");
    let server = secured.start();
    let authority = &secured.authority.pem;
    let own = secured.client(&server, "own");
    let named: BTreeSet<String> = CALLS.iter().map(|(name, _)| format!("waag.v1.{name}")).collect();
    assert_eq!(offered(&own).await, named);

    for nobody in [secured.client(&server, "stranger"), Client::of(&server, authority, None, None)]
    {
        for (name, _) in CALLS {
            assert_eq!(call(&nobody, name).await, Code::Unauthenticated, "{name}");
        }
    }
    let analyst = secured.client(&server, "analyst");
    let supervisor = Client::of(&server, authority, None, Some(&supervisor));
    let operator = secured.client(&server, "operator");
    let mut all_seen = Vec::new();
    for (name, _) in CALLS {
        let mut seen = String::new();
        for who in [&own, &analyst, &supervisor, &operator] {
            seen.push(match call(who, name).await {
                Code::Ok => '.',
                Code::PermissionDenied => 'x',
                Code::InvalidArgument => '?',
                other => panic!("{name}: {other:?}"),
            });
        }
        all_seen.push((name, seen));
    }
    assert_eq!(all_seen, CALLS.map(|(name, expected)| (name, expected.to_owned())));
}

/// All calls of services of Waag that the server says it has, with their service.
async fn offered(client: &Client) -> BTreeSet<String> {
    let services = reflected(client, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(services) = services else { panic!("{services:?}") };
    let mut calls = BTreeSet::new();
    for service in services.service.iter().filter(|service| service.name.starts_with("waag.")) {
        let asked = MessageRequest::FileContainingSymbol(service.name.clone());
        let files = reflected(client, asked).await;
        let MessageResponse::FileDescriptorResponse(files) = files else { panic!("{files:?}") };
        for file in files.file_descriptor_proto {
            let file = prost_types::FileDescriptorProto::decode(&file[..]).unwrap();
            let (_, own) = service.name.rsplit_once('.').unwrap();
            let described = file.service.iter().filter(|described| described.name() == own);
            let methods = described.flat_map(|described| &described.method);
            calls.extend(methods.map(|method| format!("{}/{}", service.name, method.name())));
        }
    }
    calls
}

async fn reflected(client: &Client, asked: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
    let mut calls = ServerReflectionClient::new(client.channel().await);
    let mut answers = calls.server_reflection_info(iter([request])).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap().message_response.unwrap()
}

/// What comes of a call with one empty message, whatever it takes and answers.
async fn call(client: &Client, name: &str) -> Code {
    let mut calls = Grpc::new(client.channel().await);
    calls.ready().await.unwrap();
    let path = PathAndQuery::try_from(format!("/waag.v1.{name}")).unwrap();
    let codec = ProstCodec::<(), ()>::default();
    match calls.streaming(Request::new(iter([()])), path, codec).await {
        Err(status) => status.code(),
        Ok(answers) => match answers.into_inner().next().await {
            Some(Err(status)) => status.code(),
            _ => Code::Ok,
        },
    }
}
