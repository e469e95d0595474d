//! Errors of the drivers, each with the party whose fault it is.

use serde::{Deserialize, Serialize};

/// Whose fault an error is: decides who is called, the person at the terminal or service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// The device or its line.
    Device,
    /// The card or the paper in it.
    Media,
    /// This program: it asked for what cannot be.
    Host,
}

/// A device did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The serial line cannot be opened.
    #[error("cannot open the serial line {path}")]
    Open {
        /// Path of the line.
        path: String,
        /// What the system said.
        source: tokio_serial::Error,
    },
    /// The serial line was there and is gone.
    #[error("the serial line {path} vanished")]
    LineGone {
        /// Path of the line.
        path: String,
    },
    /// The device gave no answer in time.
    #[error("no answer within {limit_ms} ms while {doing}")]
    Timeout {
        /// What was being done.
        doing: &'static str,
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// The other side refused a frame as often as the protocol allows.
    #[error("the frame was refused {tries} times while {doing}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// Tries made.
        tries: u32,
    },
    /// The device answered something that does not belong there.
    #[error("unexpected answer while {doing}: {detail}")]
    Unexpected {
        /// What was being done.
        doing: &'static str,
        /// What is wrong with the answer; never its content.
        detail: &'static str,
    },
    /// The device speaks no version of the protocol that this driver knows.
    #[error("the device speaks protocol version {theirs}, this driver {ours}")]
    Version {
        /// Version of this driver.
        ours: u32,
        /// Version the device offered.
        theirs: u32,
    },
    /// The device reports an error code of its own.
    #[error("the device reports error {code} while {doing}")]
    Reported {
        /// What was being done.
        doing: &'static str,
        /// The code of the device's protocol.
        code: u32,
    },
    /// The caller's argument is outside what the device can do.
    #[error("cannot ask the device for that: {why}")]
    Argument {
        /// Which limit is broken.
        why: &'static str,
    },
}

impl DeviceError {
    /// Says whose fault the error is.
    pub fn fault(&self) -> Fault {
        match self {
            DeviceError::Open { .. }
            | DeviceError::LineGone { .. }
            | DeviceError::Timeout { .. }
            | DeviceError::Refused { .. }
            | DeviceError::Unexpected { .. }
            | DeviceError::Version { .. }
            | DeviceError::Reported { .. } => Fault::Device,
            DeviceError::Argument { .. } => Fault::Host,
        }
    }

    /// Says whether the line itself is missing, so that trying again later may help.
    pub fn is_line(&self) -> bool {
        matches!(self, DeviceError::Open { .. } | DeviceError::LineGone { .. })
    }
}
