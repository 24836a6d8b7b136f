//! Batches that are refused as a whole: each refusal names the field and the bound, nothing is
//! stored, and a stream goes on.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use common::{CLOCK, SETTINGS, Server, Start, batch, declaration, folder};
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use waag::proto::v1::submit_batches_response::Result as Item;
use waag::proto::v1::{Declaration, Outcome, SubmitBatchRequest};

/// Batches that must be refused, each with the field that the refusal names and a part of its text.
fn refused() -> Vec<(SubmitBatchRequest, &'static str, &'static str)> {
    let good = || vec![declaration("R1")];
    let common = |common: Declaration| SubmitBatchRequest {
        common: Some(common),
        ..batch("common", good())
    };
    let many = (0..10_001).map(|n| Declaration { lrn: format!("{n}"), ..Declaration::default() });
    let bare = (0..9_000).map(|n| Declaration { lrn: format!("{n}"), ..Declaration::default() });
    let items = vec![Default::default(); 100_001];
    let documents = vec![Default::default(); 1_000_001];
    vec![
        (batch(&"x".repeat(65), good()), "batch_id", "64"),
        (batch(&"y".repeat(200_000), good()), "batch_id", "200000 characters"),
        (batch("empty", vec![]), "declarations", "1 at least"),
        (batch("many", many.collect()), "declarations", "more than 10000"),
        (
            batch("items", vec![Declaration { goods_items: items, ..Declaration::default() }]),
            "declarations[0].goods_items",
            "100000",
        ),
        (
            batch(
                "documents",
                vec![Declaration { supporting_documents: documents, ..Declaration::default() }],
            ),
            "declarations[0].supporting_documents",
            "1000000",
        ),
        // Times 9,000 declarations it is more than 64 MiB.
        (
            SubmitBatchRequest {
                common: Some(Declaration { ucr: "x".repeat(8_000), ..Declaration::default() }),
                ..batch("long", bare.collect())
            },
            "common",
            "67108864",
        ),
        (common(Declaration { lrn: "A".into(), ..Declaration::default() }), "common.lrn", "own"),
        (
            common(Declaration { goods_items: vec![Default::default()], ..Declaration::default() }),
            "common.goods_items",
            "own",
        ),
        (
            SubmitBatchRequest { declarant: String::new(), ..batch("d", good()) },
            "declarant",
            "missing",
        ),
        (
            SubmitBatchRequest { declarant: "12345".into(), ..batch("d", good()) },
            "declarant",
            "12345",
        ),
        (
            SubmitBatchRequest { declarant: "N1810000003".into(), ..batch("d", good()) },
            "declarant",
            "two letters",
        ),
    ]
}

fn assert_names(status: &Status, field: &str, text: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains(text), "{status:?}");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, field);
    assert!(violations[0].description.contains(text));
}

async fn watermark_after(server: &Server, lrn: &str) -> u64 {
    let answer = server.lodgement().await.submit_batch(batch("good", vec![declaration(lrn)])).await;
    answer.unwrap().into_inner().watermark
}

#[tokio::test]
async fn each_refusal_names_field_and_bound_and_stores_nothing() {
    let (_outer, data) = folder();
    let settings = SETTINGS.replace("1MiB", "4MiB").replace("8MiB", "32MiB");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let before = watermark_after(&server, "FIRST").await;
    let mut client = server.lodgement().await;
    for (request, field, text) in refused() {
        let status = client.submit_batch(request).await.unwrap_err();
        assert_names(&status, field, text);
    }
    assert_eq!(watermark_after(&server, "SECOND").await, before + 1);

    // The same on one stream, good batches between: it goes on after each refusal.
    let mut requests = Vec::new();
    for (number, (request, ..)) in refused().into_iter().enumerate() {
        requests.push(request);
        requests.push(batch("good", vec![declaration(&format!("S{number}"))]));
    }
    let answers = client.submit_batches(tokio_stream::iter(requests.clone())).await.unwrap();
    let items: Vec<_> =
        answers.into_inner().map(|item| item.unwrap().result.unwrap()).collect().await;
    assert_eq!(items.len(), requests.len());
    for ((pair, request), (_, field, text)) in
        items.chunks(2).zip(requests.chunks(2)).zip(refused())
    {
        let Item::Refusal(refusal) = &pair[0] else { panic!("{:?}", pair[0]) };
        assert_eq!((refusal.field.as_str(), refusal.code), (field, 3));
        assert!(refusal.message.contains(text), "{refusal:?}");
        // Echoed, but no more of it than a client can take.
        let echoed = request[0].batch_id.get(..256).unwrap_or(&request[0].batch_id);
        assert_eq!(refusal.batch_id, echoed);
        let Item::Answer(answer) = &pair[1] else { panic!("{:?}", pair[1]) };
        assert_eq!(answer.verdicts[0].outcome(), Outcome::Accepted);
    }
}

#[tokio::test]
async fn a_message_past_the_bound_is_refused_and_its_stream_goes_on() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let mut large = declaration("LARGE");
    large.goods_items[0].description = "x".repeat(3 << 20);
    let large = batch("large", vec![large]);
    let mut client = server.lodgement().await;
    let status = client.submit_batch(large.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("1048576"), "{status:?}");
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "declarations");

    let requests = vec![
        batch("good", vec![declaration("L1")]),
        large.clone(),
        large,
        batch("good", vec![declaration("L2")]),
    ];
    let answers = client.submit_batches(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let items: Vec<_> = answers.map(|item| item.unwrap().result.unwrap()).collect().await;
    assert!(matches!(items[0], Item::Answer(_)) && matches!(items[3], Item::Answer(_)));
    for item in &items[1..3] {
        let Item::Refusal(refusal) = item else { panic!("{item:?}") };
        assert_eq!((refusal.code, refusal.retry_after_ms), (8, 0));
        assert!(refusal.message.contains("1048576"), "{refusal:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_batch_are_invalid() {
    let (_outer, data) = folder();
    let server = Start::at(&data, CLOCK).run();
    let before = watermark_after(&server, "FIRST").await;
    // A raw client that sends what it likes as the message.
    let mut client = tonic::client::Grpc::new(server.channel().await);
    // A broken tag, a text cut short, a text that is no UTF-8, and a broken tag in a declaration.
    let nested = [&b"\x12\x0bNL810000003"[..], b"\x2a\x02\x0a\xff"].concat();
    for rubbish in [&b"\xff\xff\xff"[..], b"\x0a\x05ab", b"\x0a\x02\xc3\x28", &nested] {
        client.ready().await.unwrap();
        let path = "/waag.v1.Lodgement/SubmitBatch".parse().unwrap();
        let request = tonic::Request::new(rubbish.to_vec());
        let status = client.unary(request, path, RawCodec).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains("malformed SubmitBatchRequest"), "{status:?}");
    }
    assert_eq!(watermark_after(&server, "SECOND").await, before + 1);
}

#[derive(Clone, Copy, Default)]
struct RawCodec;

impl tonic::codec::Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;
    fn encode(
        &mut self,
        item: Vec<u8>,
        buffer: &mut tonic::codec::EncodeBuf<'_>,
    ) -> Result<(), Status> {
        bytes::BufMut::put_slice(buffer, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for RawCodec {
    type Item = Vec<u8>;
    type Error = Status;
    fn decode(
        &mut self,
        buffer: &mut tonic::codec::DecodeBuf<'_>,
    ) -> Result<Option<Vec<u8>>, Status> {
        let length = bytes::Buf::remaining(buffer);
        Ok(Some(bytes::Buf::copy_to_bytes(buffer, length).to_vec()))
    }
}

#[tokio::test]
async fn what_no_longer_fits_in_memory_is_taken_all_the_same() {
    let (_outer, data) = folder();
    // Small tables: room for some 104,000 declarations each.
    let settings = format!("{SETTINGS}\nbatch_declarations_max = 10000\n")
        .replace("256MiB", "230MiB")
        .replace("\"1MiB\"", "\"4MiB\"")
        .replace("8MiB", "32MiB");
    let server = Start { settings: &settings, ..Start::at(&data, CLOCK) }.run();
    let mut client = server.lodgement().await;
    let mut accepted = Vec::new();
    while accepted.len() < 14 {
        let start = accepted.len() * 10_000;
        let bare = |n: usize| Declaration { lrn: format!("F{n}"), ..Declaration::default() };
        let request = batch("fill", (start..start + 10_000).map(bare).collect());
        match client.submit_batch(request.clone()).await {
            Ok(answer) => accepted.push((request, answer.into_inner())),
            // Two tables are full, and the first is being written.
            Err(refusal) => {
                assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal:?}");
                assert!(refusal.get_details_retry_info().is_some(), "{refusal:?}");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }
    // What was lodged is still answered as it was, the first batch and the last.
    for (request, first) in [&accepted[0], &accepted[accepted.len() - 1]] {
        let again = client.submit_batch(request.clone()).await.unwrap().into_inner();
        assert_eq!(again.verdicts.len(), first.verdicts.len());
        for (again, first) in again.verdicts.iter().zip(&first.verdicts) {
            assert_eq!(again.outcome(), Outcome::Replayed);
            assert_eq!(again.replay_of(), first.outcome());
            assert_eq!(again.findings, first.findings);
        }
    }
    assert_eq!(server.stop().await, 0);
    // What is being written when the server stops is written to its end.
    let runs = std::fs::read_dir(data.join("runs")).unwrap().count();
    assert!(runs > 0, "all of it fits in one table");
    common::waag_ok(&["verify", "--data-dir", data.to_str().unwrap()]);
}
