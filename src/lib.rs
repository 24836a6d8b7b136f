//! Waag takes in low-value customs declarations.
pub mod command;
pub mod day;
pub mod disk;
pub mod generate;
pub mod id;
pub mod journal;
pub mod outcome;
pub mod proto;
pub mod rpc;
pub mod rules;
pub mod wire;
