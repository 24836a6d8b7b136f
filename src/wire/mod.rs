//! From the bytes of a batch to what is judged, and what its content amounts to.
//!
//! ```text
//! bytes ── reader ──────> view (borrowed) ── normalise ──> view ── canonical, digest ──> 80 bits
//!          parse, cursor       segments                     └──── message ──> prost's tree
//! ```
//!
//! A message is read where it lies: a text that is in normal form already, as nearly all are, is
//! borrowed from the message all the way to the rules and the digest.

pub mod canonical;
mod cursor;
pub mod digest;
pub mod malformed;
pub mod message;
pub mod normalise;
mod parse;
pub mod reader;
pub mod segments;
pub mod view;

#[cfg(test)]
pub(crate) mod arbitrary;
