//! tonic services: admit, hand over, map errors. No domain logic.
//!
//! - [`codec`]: batches in and answers out as the bytes they are.
//! - [`framing`]: messages past the bound are skipped on the wire, not read into memory.
//! - [`lodgement`], [`compliance`]: the two services.
//! - [`status`]: refusals as gRPC statuses with `google.rpc` details.
//! - [`server`]: all of it behind one listener.

pub mod codec;
pub mod compliance;
pub mod framing;
pub mod lodgement;
pub mod server;
pub mod status;
