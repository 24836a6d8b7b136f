#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::telemetry::Telemetry;

async fn listening() -> Listening {
    let scrape = Arc::new(Scrape::new(Telemetry::default(), 10));
    listen(([127, 0, 0, 1], 0).into(), scrape).await.unwrap()
}

/// All that comes back.
async fn ask(listening: &Listening, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(listening.address).await.unwrap();
    // Where it is refused half-way the rest cannot be sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn figures_are_given_and_the_connection_ends() {
    let listening = listening().await;
    let answer = ask(&listening, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(answer.contains("connection: close") && answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn nothing_else_is_served() {
    let listening = listening().await;
    let answer = ask(&listening, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("/metrics"), "{answer}");
    let post = b"POST /metrics HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc";
    let answer = ask(&listening, post).await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    assert_eq!(ask(&listening, b"\x16\x03\x01 is no HTTP\r\n\r\n").await.find("200 OK"), None);
}

#[tokio::test]
async fn a_head_past_its_bounds_is_refused() {
    let listening = listening().await;
    let with =
        |headers: String| format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    let many: String = (0..HEADERS_MAX).map(|n| format!("x{n}: 1\r\n")).collect();
    let answer = ask(&listening, with(many).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = with(format!("x: {}\r\n", "a".repeat(HEAD_BYTES_MAX)));
    // It may be closed with bytes unread, which takes the answer away.
    let answer = ask(&listening, long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn connections_past_the_bound_are_closed_and_silent_ones_make_room() {
    let listening = listening().await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        silent.push(TcpStream::connect(listening.address).await.unwrap());
    }
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(ask(&listening, request).await, "");
    // They are closed for saying nothing, and the test goes on once they are.
    for stream in &mut silent {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    for _ in 0..1_000 {
        if ask(&listening, request).await.starts_with("HTTP/1.1 200") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the places are not given back");
}

#[tokio::test]
async fn figures_are_not_for_a_page_that_has_a_name_of_its_own_lead_here() {
    let listening = listening().await;
    for (host, is_answered) in [
        ("127.0.0.1:9464", true),
        ("[::1]", true),
        ("LOCALHOST:1", true),
        ("attacker.example", false),
        ("localhost.attacker.example", false),
        ("", false),
    ] {
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let answer = ask(&listening, request.as_bytes()).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), is_answered, "{host}: {answer}");
    }
}
