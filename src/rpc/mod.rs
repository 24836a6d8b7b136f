//! tonic services: admit, hand over, map errors. No domain logic.
//!
//! - [`codec`]: batches in and answers out as the bytes they are.
//! - [`connection`]: so many connections, each with its budget; `addresses`: so many of one address;
//!   `farewell`: what one too many is told.
//! - [`framing`], [`ledger`]: a batch takes its share when its length arrives and gives it back when its
//!   answer has left; messages past the bound are skipped on the wire. `traffic`: a client that takes no
//!   answers, or makes no calls, is disconnected.
//! - [`lodgement`], [`compliance`]: the two services. `reads`, `history`, `watch`, [`agreements`],
//!   [`profiles`] and [`samples`] are parts of the second. [`operation`]: for those who keep the server.
//! - [`access`], [`guard`], [`tls`]: who is let in, and what each may do.
//! - [`status`]: refusals as gRPC statuses with `google.rpc` details.
//! - `health`: what is served. [`closed`]: the listener while nothing is.
//! - [`server`]: all of it behind one listener.

pub mod access;
pub mod agreements;
pub mod closed;
pub mod codec;
pub mod compliance;
pub mod connection;
mod findings;
pub mod framing;
pub mod guard;
pub mod ledger;
pub mod lodgement;
pub mod operation;
pub mod profiles;
pub mod samples;
pub mod server;
pub mod status;
pub mod tls;

pub(crate) mod addresses;
mod agreement_messages;
mod background;
mod farewell;
mod health;
mod history;
mod profile_messages;
mod profile_trial;
mod reads;
mod reconciliations;
mod register;
mod sample_messages;
mod signals;
mod summary_messages;
mod traffic;
mod watch;
