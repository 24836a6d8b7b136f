//! Reading batches in place.
pub mod view;
