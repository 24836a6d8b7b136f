//! stub
#![allow(missing_docs)]
mod common;
