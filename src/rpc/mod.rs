//! tonic services.
pub mod codec;
