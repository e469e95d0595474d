//! Words for what came of a print.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{DeviceError, Fault};
use crate::escpos::status::Condition;
use crate::paper::DocError;
use crate::status::{DeviceState, MediaState, PaperState};

/// The number of one print: given once, never used for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub [u8; 16]);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// How far the printer came with a job, as its memory has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobState {
    /// Begun, not cut.
    Open,
    /// Cut; the exit sensor has not seen it.
    Cut,
    /// Seen by the exit sensor and lying there.
    AtExit,
    /// Taken out of the exit.
    Taken,
    /// Pulled back into the bin after it had been at the exit.
    Retracted,
    /// Spoiled before the cut was done.
    Spoiled(PrintTrouble),
}

/// One line of the printer's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job.
    pub job: JobId,
    /// How far it came.
    pub state: JobState,
    /// The printer's count of prints after it, or at it if it was not printed.
    pub count: u32,
}

/// Why a print did not come about, or was spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum PrintTrouble {
    /// The roll is empty.
    #[error("no paper")]
    PaperOut,
    /// The paper is jammed.
    #[error("paper jammed")]
    PaperJam,
    /// An earlier ticket lies in the exit.
    #[error("an earlier ticket lies in the exit")]
    ExitOccupied,
    /// The cover is open.
    #[error("cover open")]
    CoverOpen,
    /// The cutter does not work.
    #[error("cutter error")]
    Cutter,
    /// The head is too hot, or the voltage wrong; passes by itself.
    #[error("printer not ready for the moment")]
    Passing,
    /// An error that only service can clear.
    #[error("unrecoverable error")]
    Unrecoverable,
    /// The printer has stopped without saying why.
    #[error("printer offline")]
    Offline,
    /// The printer lost its power.
    #[error("power lost")]
    PowerLost,
    /// The printer cannot be reached, and nothing was sent.
    #[error("printer not reached")]
    Unreachable,
    /// The job was cleared from the printer's buffer before it was printed.
    #[error("job cleared before it was printed")]
    Cleared,
    /// The printer never saw the beginning of the job.
    #[error("job never begun")]
    NeverBegun,
    /// The document cannot be put on paper.
    #[error("document cannot be printed")]
    Document,
}

impl PrintTrouble {
    /// Says whose fault it is.
    pub fn fault(self) -> Fault {
        match self {
            PrintTrouble::PaperOut | PrintTrouble::PaperJam | PrintTrouble::ExitOccupied => {
                Fault::Media
            }
            PrintTrouble::CoverOpen
            | PrintTrouble::Cutter
            | PrintTrouble::Passing
            | PrintTrouble::Unrecoverable
            | PrintTrouble::Offline
            | PrintTrouble::PowerLost
            | PrintTrouble::Unreachable => Fault::Device,
            PrintTrouble::Cleared | PrintTrouble::NeverBegun | PrintTrouble::Document => {
                Fault::Host
            }
        }
    }

    /// The first trouble that a condition shows; a ticket in the exit counts.
    pub fn of(condition: &Condition) -> Option<PrintTrouble> {
        let table = [
            (condition.jammed, PrintTrouble::PaperJam),
            (condition.cutter, PrintTrouble::Cutter),
            (condition.cover_open, PrintTrouble::CoverOpen),
            (condition.paper_out, PrintTrouble::PaperOut),
            (condition.unrecoverable, PrintTrouble::Unrecoverable),
            (condition.passing, PrintTrouble::Passing),
            (condition.offline || condition.other_error, PrintTrouble::Offline),
            (condition.exit_occupied, PrintTrouble::ExitOccupied),
        ];
        table.into_iter().find(|(shown, _)| *shown).map(|(_, trouble)| trouble)
    }
}

impl From<DocError> for PrintTrouble {
    fn from(_: DocError) -> PrintTrouble {
        PrintTrouble::Document
    }
}

/// Why nobody knows whether a print came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum Doubt {
    /// The printer fell silent after the job was sent.
    #[error("printer fell silent after the job was sent")]
    Silent,
    /// The line vanished after the job was sent.
    #[error("line vanished after the job was sent")]
    LineGone,
    /// The printer says it cut, its exit sensor has seen nothing.
    #[error("cut, but not seen by the exit sensor")]
    NotSeenAtExit,
    /// The printer still has the job open.
    #[error("job still open")]
    StillOpen,
    /// The counter moved by another number than one.
    #[error("the print counter does not fit")]
    CounterMismatch,
}

/// Proof that a print came about: the printer's word after the cut, and the exit sensor where
/// there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintProof {
    /// The job.
    pub job: JobId,
    /// The printer's count of prints after it.
    pub count: u32,
    /// Where the paper was when the proof was made.
    pub media: MediaState,
}

/// What came of a print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PrintOutcome {
    /// It is printed, and here is why we know.
    Printed(PrintProof),
    /// It is not printed, or only on spoiled paper that stayed inside.
    NotPrinted(PrintTrouble),
    /// Nobody knows yet; ask again by recalling the job.
    Unproven(Doubt),
}

/// What became of the paper in the exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MediaOutcome {
    /// Taken.
    Taken,
    /// Still there when the time was over.
    NotTaken,
    /// Pulled back into the bin.
    Retracted,
}

/// What a printer says of itself now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrinterStatus {
    /// State of the printer.
    pub device: DeviceState,
    /// Its paper.
    pub paper: PaperState,
    /// Paper in its exit.
    pub media: MediaState,
    /// First thing that keeps it from printing.
    pub trouble: Option<PrintTrouble>,
}

impl PrinterStatus {
    pub(crate) fn of(condition: &Condition, has_exit: bool) -> PrinterStatus {
        let trouble = PrintTrouble::of(condition);
        let device = match trouble {
            None => DeviceState::Online,
            Some(PrintTrouble::Cutter | PrintTrouble::Unrecoverable) => DeviceState::HardwareError,
            Some(
                PrintTrouble::PaperJam
                | PrintTrouble::PaperOut
                | PrintTrouble::CoverOpen
                | PrintTrouble::ExitOccupied,
            ) => DeviceState::UserError,
            Some(_) => DeviceState::Offline,
        };
        let media = match (has_exit, condition.jammed, condition.exit_occupied) {
            (_, true, _) => MediaState::Jammed,
            (false, ..) => MediaState::NotSupported,
            (true, _, true) => MediaState::Present,
            (true, _, false) => MediaState::NotPresent,
        };
        PrinterStatus { device, paper: condition.paper(), media, trouble }
    }

    pub(crate) fn unreachable(error: &DeviceError) -> PrinterStatus {
        let device = if error.is_line() { DeviceState::NoDevice } else { DeviceState::PowerOff };
        PrinterStatus {
            device,
            paper: PaperState::Unknown,
            media: MediaState::Unknown,
            trouble: Some(PrintTrouble::Unreachable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_has_its_words() {
        let none = Condition::default();
        let table = [
            (none, DeviceState::Online, PaperState::Full, MediaState::NotPresent, None),
            (
                Condition { paper_low: true, ..none },
                DeviceState::Online,
                PaperState::Low,
                MediaState::NotPresent,
                None,
            ),
            (
                Condition { jammed: true, exit_occupied: true, ..none },
                DeviceState::UserError,
                PaperState::Jammed,
                MediaState::Jammed,
                Some(PrintTrouble::PaperJam),
            ),
            (
                Condition { exit_occupied: true, ..none },
                DeviceState::UserError,
                PaperState::Full,
                MediaState::Present,
                Some(PrintTrouble::ExitOccupied),
            ),
            (
                Condition { cutter: true, offline: true, ..none },
                DeviceState::HardwareError,
                PaperState::Full,
                MediaState::NotPresent,
                Some(PrintTrouble::Cutter),
            ),
            (
                Condition { offline: true, ..none },
                DeviceState::Offline,
                PaperState::Full,
                MediaState::NotPresent,
                Some(PrintTrouble::Offline),
            ),
        ];
        for (condition, device, paper, media, trouble) in table {
            let status = PrinterStatus::of(&condition, true);
            assert_eq!(status, PrinterStatus { device, paper, media, trouble });
        }
        assert_eq!(PrinterStatus::of(&none, false).media, MediaState::NotSupported);
        assert_eq!(PrintTrouble::PaperJam.fault(), Fault::Media);
        assert_eq!(PrintTrouble::Cutter.fault(), Fault::Device);
        assert_eq!(PrintTrouble::Document.fault(), Fault::Host);
    }
}
