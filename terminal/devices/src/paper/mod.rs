//! What is put on paper: tickets and receipts as documents, and their bytes. Pure.

pub mod aztec;
pub mod receipt;
pub mod ticket;

use serde::{Deserialize, Serialize};

/// A text in the language of the place, and in another for the traveller who does not read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bilingual {
    /// The main text.
    pub main: String,
    /// The same in the other language.
    pub other: Option<String>,
}

impl Bilingual {
    /// Text in two languages.
    pub fn new(main: impl Into<String>, other: impl Into<String>) -> Bilingual {
        Bilingual { main: main.into(), other: Some(other.into()) }
    }

    /// Text in one language only.
    pub fn plain(main: impl Into<String>) -> Bilingual {
        Bilingual { main: main.into(), other: None }
    }
}

/// A document that cannot be put on paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocError {
    /// The ticket code is longer than a readable symbol holds.
    #[error("ticket code of {length} bytes, at most {limit} fit")]
    CodeTooLong {
        /// Bytes of the code.
        length: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// There is no ticket code.
    #[error("ticket code missing")]
    CodeMissing,
    /// The code could not be made into a symbol.
    #[error("ticket code cannot be made into a symbol")]
    CodeRefused,
    /// More lines than a receipt may have.
    #[error("receipt of {lines} lines, at most {limit} fit")]
    TooManyLines {
        /// Lines of the document.
        lines: usize,
        /// Limit.
        limit: usize,
    },
}
