//! A spool beside a declarant's system: lodging stays possible while the service is down.
//!
//! ```text
//! Lodge ──▶ read and hash ──▶ clerk: one synced group ──▶ signed receipt
//!                                │ journal
//!                                ▼
//!           forward: decide, read back, send in order ──▶ the service ──▶ clerk ──▶ PullVerdicts
//! ```
//! - [`service`]: the contract of `spool.proto`, and `waag.v1.Lodgement` for clients that know no spool.
//! - [`store`]: what is durable. `clerk`: the one thread that writes it; `state`: the fold of it in memory;
//!   `record`: its format. The files are those of [`crate::journal`], with its checks, its simulated disk
//!   and its rule of what is torn and what is damage.
//! - [`receipt`]: what a receipt says, and the key that signs it.
//! - `message`: a batch as it came, and as it is forwarded.
//! - [`forward`]: batches to the service, through [`crate::client`]; `reach`: whether it is there.
//! - `figures`, [`reconcile`]: what became of everything, beside what the service says of it.
//! - [`daemon`]: all of it, from start to stop.
//!
//! # What must always be true
//! 1. A receipt leaves only when its batch is on the disk, synced. So is the decision under which a batch
//!    is forwarded, before it is sent: it is then sent byte for byte the same, however often.
//! 2. A batch is forwarded with a fallback only if the service was not reachable when it was taken in, or
//!    it is older than a minute when it is first forwarded.
//! 3. Batches are forwarded in the order of their receipts, and each gets one answer, or one refusal.
//! 4. What has no answer never goes; what has one goes, the oldest first, once it was acknowledged, given
//!    back by the call that lodged it, or is older than is to be kept.
//! 5. A failed write stops the spool.
//!
//! # Files
//! `DIR/key` (PKCS #8, mode 0600), `DIR/lock`, and `DIR/journal`, whose records are, version 1:
//!
//! | kind | head (protobuf, `record`) | behind it |
//! |---|---|---|
//! | 1 batch | number, time, declarant, declarations, SHA-256, whether it is to be forwarded with a fallback | the message as it came |
//! | 2 sent | numbers of batches that are sent as they came, and of those that get a fallback | |
//! | 3 answer | number, time, what it adds to the figures | `SubmitBatchResponse`, or `BatchRefusal` |
//! | 4 taken | up to which position answers are acknowledged; numbers of batches whose call was answered | |
//! | 5 mark | the figures of all before it, the next number | |
//!
//! The body of a record is the length of the head (4 bytes, little endian), the head, and what is behind it.
//! The position of an answer is the number of its record. Old segments are removed once nothing in them is
//! needed and a mark that holds their figures is durable.

pub mod daemon;
pub mod forward;
pub mod receipt;
pub mod reconcile;
pub mod service;
pub mod store;

mod clerk;
mod figures;
mod lodgement;
mod message;
mod reach;
mod record;
mod state;
#[cfg(test)]
mod tests;
