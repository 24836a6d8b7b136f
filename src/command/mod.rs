//! The commands, one module each: their arguments with the help that teaches them, and what they
//! print. What they do is elsewhere in the crate.

pub mod demo;
pub mod generate;
mod show;
pub mod summary;
