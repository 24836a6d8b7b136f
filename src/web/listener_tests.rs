#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::telemetry::{Scrape, Telemetry};

async fn listening() -> Listening {
    let scrape = Arc::new(Scrape::new(Telemetry::default(), 10));
    let desk = Arc::new(Desk::new(scrape, &[]));
    listen(([127, 0, 0, 1], 0).into(), None, desk).await.unwrap()
}

/// All that comes back.
async fn ask(listening: &Listening, request: &str) -> String {
    let mut stream = TcpStream::connect(listening.address).await.unwrap();
    // Where it is refused half-way the rest cannot be sent.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn before_recovery_has_ended_there_is_the_page_and_no_figure() {
    let listening = listening().await;
    let page = ask(&listening, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'self';"), "{page}");
    assert!(page.contains("<!doctype html>"), "{page}");
    let figures = ask(&listening, "GET /api/system HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(figures.starts_with("HTTP/1.1 503"), "{figures}");
    assert!(figures.contains("\"code\":\"UNAVAILABLE\""), "{figures}");
}

#[tokio::test]
async fn a_head_past_its_bounds_is_refused() {
    let listening = listening().await;
    let with = |headers: String| format!("GET / HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    let many: String = (0..HEADERS_MAX).map(|n| format!("x{n}: 1\r\n")).collect();
    let answer = ask(&listening, &with(many)).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = with(format!("x: {}\r\n", "a".repeat(HEAD_BYTES_MAX)));
    // It may be closed with bytes unread, which takes the answer away.
    let answer = ask(&listening, &long).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn connections_past_the_bound_are_closed_and_silent_ones_make_room() {
    let listening = listening().await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        silent.push(TcpStream::connect(listening.address).await.unwrap());
    }
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(ask(&listening, request).await, "");
    drop(silent);
    for _ in 0..1_000 {
        if ask(&listening, request).await.starts_with("HTTP/1.1 200") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the places are not given back");
}
