#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::*;
use crate::config::Sizes;
use crate::ingest::refusal::RefusalKind;
use proptest::prelude::*;

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat()
}

fn budget(batches: u64) -> Budget {
    let sizes = Sizes {
        index: crate::index::Memory { bytes: 0, slots_min: 0 },
        bytes_in_flight_max: 1 << 30,
        batches_in_flight_max: 4 * batches,
        connections_max: 1,
        address_connections_max: 1,
        connection_streams_max: 1,
        lookups_in_flight_max: 1,
    };
    Budget::new(&sizes, 20, Duration::from_secs(5))
}

const BOUND: Bound = Bound { bytes_max: 20, within: Duration::from_secs(60) };

fn body<B>(inner: B, budget: &Budget) -> (BatchBody<B>, Ledger) {
    let ledger = Ledger::default();
    let gate = Gate {
        bound: BOUND,
        budget: budget.connection(Client::NOWHERE),
        ledger: ledger.clone(),
        telemetry: Telemetry::default(),
    };
    (BatchBody::new(inner, gate, false), ledger)
}

proptest! {
    #[test]
    fn messages_within_the_bound_pass_and_others_are_stood_in_for(
        lengths in prop::collection::vec(prop_oneof![0_usize..40, 300..1_000_usize], 0..20),
        cuts in prop::collection::vec(1_usize..30, 1..60),
    ) {
        // Each begins as a batch_id of its own, where it has the bytes for it.
        let message = |(i, n): (usize, &usize)| {
            let id = format!("\n\u{1}{}", char::from(b'a' + i as u8));
            let mut bytes = id.into_bytes();
            bytes.resize(*n, i as u8);
            bytes
        };
        let messages: Vec<Vec<u8>> = lengths.iter().enumerate().map(message).collect();
        let sent: Vec<u8> = messages.iter().flat_map(|m| frame(m)).collect();
        let expected: Vec<u8> = messages
            .iter()
            .flat_map(|m| match m.len() {
                n if n > 20 => STAND_IN.to_vec(),
                _ => frame(m),
            })
            .collect();

        let (mut body, ledger) = body((), &budget(100));
        let (mut rest, mut cuts) = (&sent[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            body.sort(Bytes::copy_from_slice(part));
            rest = after;
        }
        let passed: Vec<u8> = body.ready.iter().flatten().copied().collect();
        prop_assert_eq!(passed, expected);
        for message in &messages {
            let share = ledger.next();
            prop_assert_eq!(share.is_ok(), message.len() <= 20);
            if let Err(skipped) = share {
                prop_assert!(skipped.refusal.message.contains(&message.len().to_string()));
                prop_assert_eq!(skipped.batch_id, reader::batch_id(message));
            }
        }
    }
}

/// A body whose frames a test sends one by one.
struct Sent(tokio::sync::mpsc::UnboundedReceiver<Bytes>);

impl Body for Sent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}

async fn next(body: &mut BatchBody<Sent>) -> Option<Result<Bytes, Status>> {
    let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
    frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
}

async fn message(body: &mut BatchBody<Sent>) -> Bytes {
    assert_eq!(next(body).await.unwrap().unwrap().len(), PREFIX);
    next(body).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_for_its_share_and_is_skipped_where_it_waits_too_long() {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let (mut body, ledger) = body(Sent(receiver), &budget(1));
    for text in [&b"one"[..], b"two", b"three", b"four"] {
        sender.send(frame(text).into()).unwrap();
    }
    drop(sender);
    assert_eq!(&message(&mut body).await[..], b"one");
    let first = ledger.next().unwrap();
    // The second waits for as long as the first has its share.
    tokio::select! {
        biased;
        _ = next(&mut body) => panic!("it has no share"),
        () = tokio::time::sleep(Duration::from_secs(4)) => {}
    }
    drop(first);
    assert_eq!(&message(&mut body).await[..], b"two");
    let second = ledger.next().unwrap();
    // The third waits in vain.
    assert_eq!(next(&mut body).await.unwrap().unwrap(), STAND_IN);
    let refusal = ledger.next().unwrap_err().refusal;
    assert_eq!((refusal.kind, refusal.retry_after_ms), (RefusalKind::Exhausted, 1_000));
    drop(second);
    assert_eq!(&message(&mut body).await[..], b"four");
    assert!(ledger.next().is_ok());
    assert!(next(&mut body).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_arrive_ends_the_call_and_an_idle_stream_does_not() {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let (mut body, _ledger) = body(Sent(receiver), &budget(3));
    sender.send(frame(b"one").into()).unwrap();
    assert_eq!(&message(&mut body).await[..], b"one");
    tokio::select! {
        biased;
        _ = next(&mut body) => panic!("nothing was sent"),
        () = tokio::time::sleep(Duration::from_secs(600)) => {}
    }
    let two = frame(b"two");
    sender.send(Bytes::copy_from_slice(&two[..PREFIX + 1])).unwrap();
    assert_eq!(&message(&mut body).await[..], b"t");
    let began = tokio::time::Instant::now();
    let status = next(&mut body).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(body.gate.telemetry.refusals(Code::DeadlineExceeded), 1);
    assert_eq!(began.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_one_message_ends_where_that_does_not_begin_or_the_call_does_not_end() {
    for sent in [&b""[..], b"\0\0", &frame(b"one")] {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let (mut body, _ledger) = body(Sent(receiver), &budget(3));
        body.is_one = true;
        sender.send(Bytes::copy_from_slice(sent)).unwrap();
        let began = tokio::time::Instant::now();
        if sent.len() > PREFIX {
            assert_eq!(&message(&mut body).await[..], b"one");
        }
        let status = next(&mut body).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{sent:?}");
        assert!(status.message().contains("message_s_max"), "{status:?}");
        assert_eq!(began.elapsed().as_secs(), 60);
    }
}

#[tokio::test(start_paused = true)]
async fn on_a_stream_what_has_begun_must_arrive_though_it_is_skipped() {
    let long = frame(&[b'x'; 1_000]);
    for begun in [1, PREFIX - 1, PREFIX, PREFIX + 1, PREFIX + 999] {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let (mut body, _ledger) = body(Sent(receiver), &budget(3));
        // It may rest before.
        tokio::select! {
            biased;
            _ = next(&mut body) => panic!("nothing was sent"),
            () = tokio::time::sleep(Duration::from_secs(600)) => {}
        }
        sender.send(Bytes::copy_from_slice(&long[..begun])).unwrap();
        let began = tokio::time::Instant::now();
        let status = loop {
            match next(&mut body).await.unwrap() {
                Ok(part) => assert_eq!(part, STAND_IN),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::DeadlineExceeded, "{begun}");
        assert_eq!(began.elapsed().as_secs(), 60, "{begun}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_call_that_does_not_arrive_ends_unless_it_may_go_on_asking() {
    let within = Duration::from_secs(60);
    for (of, must_end) in [(Some(within), true), (None, false)] {
        let (_sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut body = SmallBody::new(Sent(receiver), of);
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let ended = tokio::time::timeout(Duration::from_secs(600), frame).await;
        assert_eq!(ended.is_ok(), must_end);
        if let Ok(Some(Err(status))) = ended {
            assert_eq!(status.code(), Code::DeadlineExceeded);
        }
    }
}
