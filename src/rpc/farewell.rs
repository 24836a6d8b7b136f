//! A connection that is turned away: its first call is told why, in HTTP/2's own words, so that its client
//! sees a reason and not a reset.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::status;
use crate::ingest::refusal::Refusal;

/// How long a client that is turned away may take to make its first call.
const FIRST_CALL: Duration = Duration::from_secs(1);

/// Answers the first call with `reason` and ends the connection (RFC 9113).
/// A GOAWAY alone would not do: clients take the call for one never looked at, and try again at once,
/// hundreds of times a second, without showing anybody the reason.
pub(super) async fn turn_away(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    reason: &Refusal,
) -> io::Result<()> {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const ACK: u8 = 1;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let call = tokio::time::timeout(FIRST_CALL, first_call(&mut stream)).await;
    if let Ok(Ok(Some(call))) = call {
        let answer = status::of(reason).into_http::<()>();
        let mut bytes = frame(SETTINGS, ACK, 0, &[]);
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, call, &fields(answer.headers())));
        // All calls up to this one were looked at, and there is no error in the protocol.
        bytes.extend(frame(GOAWAY, 0, 0, &[&call.to_be_bytes()[..], &[0; 4]].concat()));
        stream.write_all(&bytes).await?;
    }
    stream.shutdown().await?;
    // To close with bytes unread would reset the connection, and the reason would be lost.
    let mut unread = [0; 1_024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// What a client of HTTP/2 says first.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame: length (3 bytes), type, flags, stream, payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut frame: Vec<u8> = length.iter().skip(1).copied().collect();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Status 200 and these fields as HPACK has them (RFC 7541): each a literal that is not indexed.
fn fields(headers: &http::HeaderMap) -> Vec<u8> {
    const STATUS_200: u8 = 0x88;
    let mut out = vec![STATUS_200];
    for (name, value) in headers {
        out.push(0);
        for text in [name.as_str().as_bytes(), value.as_bytes()] {
            integer(&mut out, text.len());
            out.extend(text);
        }
    }
    out
}

/// A length in seven bits, or past 126 in bytes of seven bits each.
fn integer(out: &mut Vec<u8>, value: usize) {
    let low = |value: usize| u8::try_from(value & 0x7f).unwrap_or(0);
    if value < 127 {
        out.push(low(value));
        return;
    }
    out.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        out.push(low(rest) | 128);
        rest >>= 7;
    }
    out.push(low(rest));
}

/// Reads frames until one begins a call: its stream. `None` where this is no HTTP/2.
async fn first_call(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u32>> {
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    if preface != *PREFACE {
        return Ok(None);
    }
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await?;
        let [a, b, c, kind, _flags, s, t, u, v] = header;
        let length = u64::from(u32::from_be_bytes([0, a, b, c]));
        tokio::io::copy(&mut (&mut *stream).take(length), &mut tokio::io::sink()).await?;
        if kind == HEADERS {
            return Ok(Some(u32::from_be_bytes([s & 0x7f, t, u, v])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_hpack_has_them() {
        // RFC 7541, 5.1: a prefix of seven bits, then seven bits a byte, the lowest first.
        for (value, bytes) in
            [(10, &[10][..]), (126, &[126]), (127, &[127, 0]), (255, &[127, 128, 1])]
        {
            let mut out = Vec::new();
            integer(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
    }
}
