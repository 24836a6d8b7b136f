//! Traces: a batch is told of as it went through the server, under the caller's own span, and a collector that
//! is not there holds nothing up.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{CLOCK, SETTINGS, Start, batch, declaration, folder};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Hands on what is sent to it.
struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).unwrap();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector, as an endpoint, and what comes to it.
async fn collector() -> (String, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::unbounded_channel();
    let service = TraceServiceServer::new(Collector(sender));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (endpoint, receiver)
}

fn settings(endpoint: &str, one_in: u32) -> String {
    format!("{SETTINGS}\n[traces]\nendpoint = \"{endpoint}\"\none_in = {one_in}\n")
}

/// All spans that came, once nobody sends any more.
async fn spans(mut sent: mpsc::UnboundedReceiver<ExportTraceServiceRequest>) -> Vec<Span> {
    sent.close();
    let mut spans = Vec::new();
    while let Some(request) = sent.recv().await {
        for resource in request.resource_spans {
            let of = &resource.resource.as_ref().unwrap().attributes;
            let service = of.iter().find(|of| of.key == "service.name").unwrap();
            assert_eq!(
                service.value.as_ref().unwrap().value,
                Some(Value::StringValue("waag".into()))
            );
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    spans
}

#[tokio::test]
async fn a_batch_is_traced_stage_by_stage_under_the_caller_s_span() {
    let (endpoint, sent) = collector().await;
    let (_outer, data) = folder();
    let server = Start { settings: &settings(&endpoint, 1), ..Start::at(&data, CLOCK) }.run();
    let mut client = server.lodgement().await;
    let mut request = Request::new(batch("traced", vec![declaration("A"), declaration("B")]));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request.metadata_mut().insert("tracestate", "mine=large".parse().unwrap());
    client.submit_batch(request).await.unwrap();
    // Of this one the reason is told.
    client.submit_batch(batch("empty", vec![])).await.unwrap_err();
    assert_eq!(server.stop().await, 0);

    let spans = spans(sent).await;
    let whole: Vec<&Span> = spans.iter().filter(|span| span.name == "SubmitBatch").collect();
    assert_eq!(whole.len(), 2, "{spans:?}");
    let traced = whole.iter().find(|span| !span.parent_span_id.is_empty()).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&traced.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&traced.parent_span_id), "b7ad6b7169203331");
    assert!(spans.iter().all(|span| span.trace_state.is_empty()), "the caller's own");
    let told = |key: &str| {
        let attribute = traced.attributes.iter().find(|attribute| attribute.key == key);
        attribute.unwrap().value.as_ref().unwrap().value.clone().unwrap()
    };
    assert_eq!(told("waag.batch_id"), Value::StringValue("traced".into()));
    assert_eq!(told("waag.declarant"), Value::StringValue("NL810000003".into()));
    assert_eq!(told("waag.declarations"), Value::IntValue(2));
    assert!(matches!(told("waag.watermark"), Value::IntValue(1..)));
    let mut parts: Vec<&Span> =
        spans.iter().filter(|span| span.parent_span_id == traced.span_id).collect();
    parts.sort_by_key(|part| (part.start_time_unix_nano, part.end_time_unix_nano));
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["wait", "judge", "claim", "commit", "answer"]);
    // One after another, without a gap, from end to end.
    let mut from = traced.start_time_unix_nano;
    for part in parts {
        assert_eq!(part.start_time_unix_nano, from, "{}", part.name);
        assert_eq!(part.trace_id, traced.trace_id);
        from = part.end_time_unix_nano;
    }
    assert_eq!(from, traced.end_time_unix_nano);

    let refused = whole.iter().find(|span| span.parent_span_id.is_empty()).unwrap();
    let message = &refused.status.as_ref().unwrap().message;
    assert!(message.contains("the batch has no declarations"), "{message}");
    let judging =
        spans.iter().find(|span| span.parent_span_id == refused.span_id && span.name == "judge");
    assert_eq!(judging.unwrap().end_time_unix_nano, refused.end_time_unix_nano);
}

#[tokio::test]
async fn of_so_many_batches_one_is_traced() {
    let (endpoint, sent) = collector().await;
    let (_outer, data) = folder();
    let server = Start { settings: &settings(&endpoint, 3), ..Start::at(&data, CLOCK) }.run();
    let mut client = server.lodgement().await;
    for number in 0..9 {
        let lrn = format!("L{number}");
        client.submit_batch(batch(&lrn, vec![declaration(&lrn)])).await.unwrap();
    }
    assert_eq!(server.stop().await, 0);
    let spans = spans(sent).await;
    assert_eq!(spans.iter().filter(|span| span.name == "SubmitBatch").count(), 3);
}

#[tokio::test]
async fn without_a_collector_batches_are_answered_and_the_log_says_so() {
    let (_outer, data) = folder();
    // Nobody listens there.
    let settings = settings("http://127.0.0.1:9", 1);
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    common::lodge(&server, batch("a", vec![declaration("A")])).await;
    server.wait_for_log("traces cannot be sent");
    common::lodge(&server, batch("b", vec![declaration("B")])).await;
    assert_eq!(server.stop().await, 0);
}
