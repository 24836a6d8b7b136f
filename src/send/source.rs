//! What a file holds, one declaration or batch after another.

use crate::client::Lodger;
use crate::proto::v1::{Declaration, SubmitBatchRequest};
use crate::rows::{Assembled, Fault};

/// What a file has next.
#[derive(Debug, PartialEq)]
pub(super) enum Read {
    /// A declaration; an empty declarant is one that the file does not name.
    Declaration(Lodger, Box<Declaration>),
    /// A batch, which is sent as it is.
    Batch(Box<SubmitBatchRequest>),
}

/// What cannot be read, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// What is counted: `line`, `row`, `message`.
    pub(crate) unit: &'static str,
    /// From 1.
    pub(crate) place: u64,
    /// From 1; 0 where there is none.
    pub(crate) column: usize,
    /// What is wrong with it.
    pub(crate) what: String,
    /// Nothing after it can be read either.
    pub(crate) is_last: bool,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { unit, place, column, what, is_last } = self;
        write!(f, "{unit} {place}")?;
        if *column > 0 {
            write!(f, ", column {column}")?;
        }
        let rest = if *is_last { "; nothing after it can be read" } else { "" };
        write!(f, ": {what}{rest}")
    }
}

/// A file that is being read. After what is the last there is nothing.
pub(super) trait Source {
    /// The next, or what cannot be read in its place; nothing at the end.
    fn next(&mut self) -> Option<Result<Read, Unreadable>>;
}

/// What rows were put together to; `unit` is what they are called.
pub(super) fn given(assembled: Assembled, unit: &'static str) -> Result<Read, Unreadable> {
    match assembled {
        Ok(lodged) => Ok(Read::Declaration(lodged.lodger, Box::new(lodged.declaration))),
        Err(Fault { row, column, what }) => {
            Err(Unreadable { unit, place: row, column, what, is_last: false })
        }
    }
}
