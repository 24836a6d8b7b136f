//! What `build.rs` made of `proto/`: messages, their protobuf JSON, clients and servers.
//!
//! The hot path does not use the messages (see [`crate::wire`]); clients, the small calls, the
//! command line and the tests do.

#![allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::nursery)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

/// Messages and clients of `waag.v1`.
pub mod v1 {
    tonic::include_proto!("waag.v1");
    include!(concat!(env!("OUT_DIR"), "/waag.v1.serde.rs"));
}

/// The server side of `waag.v1`, over our own codec.
pub(crate) mod server {
    include!(concat!(env!("OUT_DIR"), "/servers/waag.v1.rs"));
}

/// The encoded `FileDescriptorSet`, for the reflection service.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The same of what the spool speaks.
#[cfg(feature = "client")]
pub(crate) const SPOOL_DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/spool-descriptors.bin"));
