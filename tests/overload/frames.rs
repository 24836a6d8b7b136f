//! HTTP/2 by hand: what no client of gRPC would send.

use std::io::{Read, Write};

use super::common;

/// A connection of HTTP/2, frame by frame.
pub(crate) struct Frames(std::net::TcpStream);

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS_FRAME: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const WINDOW_UPDATE: u8 = 8;
/// A flag of PING and SETTINGS.
pub(crate) const ACK: u8 = 1;
pub(crate) const REFUSED_STREAM: [u8; 4] = 7_u32.to_be_bytes();
pub(crate) const CANCEL: [u8; 4] = 8_u32.to_be_bytes();

impl Frames {
    pub(crate) fn to(address: &str) -> Self {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(common::HANGS_AFTER)).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut frames = Self(stream);
        frames.write(SETTINGS_FRAME, 0, 0, &[]);
        frames
    }

    pub(crate) fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).unwrap();
    }

    /// Begins a call whose message is still to come.
    pub(crate) fn call(&mut self, stream: u32, path: &str) {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        // HPACK: POST and http by their numbers; path, authority, content-type and te as literals.
        let fields = [
            vec![0x83, 0x86, 0x04],
            text(path),
            vec![0x01],
            text("waag"),
            vec![0x0f, 0x10],
            text("application/grpc"),
            vec![0x00],
            text("te"),
            text("trailers"),
        ];
        self.write(HEADERS, 4, stream, &fields.concat());
    }

    /// The next frame of a stream.
    pub(crate) fn next(&mut self, of: u32) -> (u8, Vec<u8>) {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).unwrap();
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            self.0.read_exact(&mut payload).unwrap();
            if (head[3], head[4]) == (PING, 0) {
                self.write(PING, ACK, 0, &payload);
            }
            if u32::from_be_bytes([head[5], head[6], head[7], head[8]]) == of {
                return (head[3], payload);
            }
        }
    }
}
