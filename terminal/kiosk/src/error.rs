//! What can keep a terminal from running.

use std::net::SocketAddr;
use std::path::PathBuf;

use guichet_link::client::ClientFault;
use guichet_link::code::CodeError;
use guichet_link::keys::KeyError;
use guichet_link::store::StoreError;

/// Why a terminal does not run; each says what to look at.
#[derive(Debug, thiserror::Error)]
pub enum KioskError {
    /// The data directory cannot be made or used.
    #[error("the data directory {path} cannot be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process runs on the same data.
    #[error("the data directory {path} is in use: another terminal program runs there")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The journal was written by a newer program.
    #[error(
        "the journal is of form {found}, this program knows forms up to {known}: install the newer program"
    )]
    Newer {
        /// Its form.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// The journal belongs to another terminal.
    #[error("the data directory belongs to terminal {theirs}, not to terminal {ours}")]
    OtherTerminal {
        /// The number in the journal.
        theirs: u32,
        /// The number asked for.
        ours: u32,
    },
    /// The journal cannot be read or written.
    #[error("the terminal's journal failed while {doing}")]
    Journal {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A record of the journal is not what was written.
    #[error("the terminal's journal is damaged: {what}")]
    Damaged {
        /// Which record.
        what: &'static str,
    },
    /// The terminal has no center yet and no code to enrol with.
    #[error(
        "terminal {terminal} is not enrolled: start it once with an enrolment code from the center"
    )]
    NotEnrolled {
        /// Its number.
        terminal: u32,
    },
    /// The enrolment code was typed wrong.
    #[error("the enrolment code cannot be read")]
    Code(#[from] CodeError),
    /// The center did not take the enrolment.
    #[error("the enrolment failed")]
    Enrolment(#[source] ClientFault),
    /// No randomness.
    #[error("no key can be made")]
    Key(#[from] KeyError),
    /// The link's store failed.
    #[error("the link's store failed")]
    Link(#[from] StoreError),
    /// The screen's address is taken or not ours.
    #[error("the screen cannot be served on {addr}: choose another address or port")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system's signals cannot be heard.
    #[error("the system's signals cannot be heard")]
    Signals(#[source] std::io::Error),
    /// A language that the screen does not have.
    #[error("the screen does not speak {language}; it speaks zh and en")]
    Language {
        /// What was asked for.
        language: String,
    },
    /// A step that does not exist was named.
    #[error("there is no step {step} to stop at; `crash_points` lists them")]
    UnknownStep {
        /// What was asked for.
        step: String,
    },
}

impl KioskError {
    /// A fault of the journal.
    pub(crate) fn journal<E>(doing: &'static str) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Journal { doing, source: Box::new(source) }
    }
}

/// An error and its sources on one line, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
