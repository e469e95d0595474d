//! The devices, each in a task of its own that brings its line back and tells the shell what happens.
//!
//! Codes of states and supplies in facts to the center are those of [`state_code`] and [`supply_code`].

pub mod pad;
pub mod reader;
pub mod receipts;
pub mod tickets;

use std::time::Duration;

use guichet_devices::{
    CardTag, DeviceError, DeviceState, EncryptedPin, FunctionKey, PaperState, PrintOutcome,
    PrintTrouble, PrinterStatus, Swipe,
};
use guichet_link::message::PrintResult;
use tokio::sync::mpsc;

use crate::error::KioskError;
use crate::store::PrintKey;

/// Events of devices that wait for the shell.
pub const EVENTS_WAITING: usize = 64;
/// Orders that wait for one device.
pub const ORDERS_WAITING: usize = 16;
/// How often a device with nothing to do is asked how it is.
pub const PROBE_EVERY: Duration = Duration::from_secs(2);

/// The devices, by the numbers that facts carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Card reader, 1.
    Reader,
    /// PIN pad, 2.
    Pad,
    /// Ticket printer, 3.
    Tickets,
    /// Receipt printer, 4.
    Receipts,
}

impl Device {
    /// Its number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Reader => 1,
            Self::Pad => 2,
            Self::Tickets => 3,
            Self::Receipts => 4,
        }
    }
}

/// How a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its state.
    pub state: DeviceState,
    /// Its paper.
    pub supply: PaperState,
    /// Whether it can do its work now.
    pub usable: bool,
}

impl Report {
    /// A device without paper.
    pub fn plain(state: DeviceState) -> Self {
        Self { state, supply: PaperState::Full, usable: state == DeviceState::Online }
    }

    /// A device whose line or answers fail.
    pub fn failed(error: &DeviceError) -> Self {
        let state = if error.is_line() { DeviceState::NoDevice } else { DeviceState::PowerOff };
        Self { state, supply: PaperState::Unknown, usable: false }
    }

    /// A printer.
    pub fn printer(status: &PrinterStatus) -> Self {
        let usable = matches!(status.trouble, None | Some(PrintTrouble::Passing));
        Self { state: status.device, supply: status.paper, usable }
    }
}

/// The state's number in facts: 0 online, 1 offline, 2 power off, 3 no device, 4 hardware error, 5 user error, 6 busy.
pub const fn state_code(state: DeviceState) -> u8 {
    match state {
        DeviceState::Online => 0,
        DeviceState::Offline => 1,
        DeviceState::PowerOff => 2,
        DeviceState::NoDevice => 3,
        DeviceState::HardwareError => 4,
        DeviceState::UserError => 5,
        DeviceState::DeviceBusy => 6,
    }
}

/// The supply's number in facts: 0 enough, 1 low, 2 out, 3 jammed, 4 unknown.
pub const fn supply_code(supply: PaperState) -> u8 {
    match supply {
        PaperState::Full => 0,
        PaperState::Low => 1,
        PaperState::Out => 2,
        PaperState::Jammed => 3,
        PaperState::Unknown => 4,
    }
}

/// How the entry of a PIN ended.
#[derive(Debug)]
pub enum PinOver {
    /// The block; it serves one attempt.
    Entered(EncryptedPin),
    /// The person, or the shell, ended it.
    Cancelled,
    /// Nobody typed.
    TimedOut,
    /// The pad does not answer.
    Failed,
}

/// What a device task tells the shell.
#[derive(Debug)]
pub enum Event {
    /// A device's state.
    State(Device, Report),
    /// A card, or an unreadable swipe.
    Swipe(Swipe),
    /// The tag of the session's card; `None` if the pad could not make it.
    Tag { session: u64, tag: Option<CardTag> },
    /// Digits in the pad.
    Digits { entry: u64, digits: u8 },
    /// The end of an entry.
    Pin { entry: u64, over: PinOver },
    /// A key beside the digits, outside an entry.
    Key(FunctionKey),
    /// The journal has what became of a print.
    PrintEnded(PrintKey),
    /// Whether the ticket left the exit in a person's hand; `None` if the printer could not tell.
    Taken { key: PrintKey, taken: Option<bool> },
    /// What became of a receipt.
    ReceiptEnded { order: String, payment: u8, printed: bool },
    /// The journal failed under the task.
    Fault(KioskError),
}

/// The shell's end of the tasks' channel.
pub type Events = mpsc::Sender<Event>;

/// The result of a print as facts say it.
pub fn result_of(outcome: &PrintOutcome) -> PrintResult {
    match outcome {
        PrintOutcome::Printed(proof) => PrintResult::Printed {
            counter: u64::from(proof.count),
            printer_word: true,
            // The driver of a printer with an exit says *printed* only once its sensor has seen the paper.
            media_seen: proof.media != guichet_devices::MediaState::NotSupported,
        },
        PrintOutcome::NotPrinted(trouble) => {
            PrintResult::NotPrinted { fault: fault_word(*trouble).to_owned() }
        }
        PrintOutcome::Unproven(_) => PrintResult::Unproven,
    }
}

fn fault_word(trouble: PrintTrouble) -> &'static str {
    match trouble {
        PrintTrouble::PaperJam => "jam",
        PrintTrouble::PaperOut => "no_paper",
        PrintTrouble::Offline | PrintTrouble::PowerLost | PrintTrouble::Unreachable => "offline",
        PrintTrouble::ExitOccupied
        | PrintTrouble::CoverOpen
        | PrintTrouble::Cutter
        | PrintTrouble::Passing
        | PrintTrouble::Unrecoverable
        | PrintTrouble::Cleared
        | PrintTrouble::NeverBegun
        | PrintTrouble::Document => "device",
    }
}

/// Tells the shell of a state when it is another than the last.
pub(super) struct Teller {
    device: Device,
    events: Events,
    last: Option<Report>,
}

impl Teller {
    pub(super) fn new(device: Device, events: Events) -> Self {
        Self { device, events, last: None }
    }

    /// `false` when the shell is gone.
    pub(super) async fn tell(&mut self, report: Report) -> bool {
        if self.last == Some(report) {
            return !self.events.is_closed();
        }
        self.last = Some(report);
        self.events.send(Event::State(self.device, report)).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guichet_devices::{Doubt, JobId, MediaState, PrintProof};

    #[test]
    fn outcomes_have_their_words() {
        let proof = |media| PrintProof { job: JobId([1; 16]), count: 9, media };
        let printed =
            |media_seen| PrintResult::Printed { counter: 9, printer_word: true, media_seen };
        let not = |fault: &str| PrintResult::NotPrinted { fault: fault.into() };
        let table = [
            (PrintOutcome::Printed(proof(MediaState::Present)), printed(true)),
            (PrintOutcome::Printed(proof(MediaState::NotPresent)), printed(true)),
            (PrintOutcome::Printed(proof(MediaState::NotSupported)), printed(false)),
            (PrintOutcome::NotPrinted(PrintTrouble::PaperJam), not("jam")),
            (PrintOutcome::NotPrinted(PrintTrouble::PaperOut), not("no_paper")),
            (PrintOutcome::NotPrinted(PrintTrouble::Unreachable), not("offline")),
            (PrintOutcome::NotPrinted(PrintTrouble::Cutter), not("device")),
            (PrintOutcome::Unproven(Doubt::Silent), PrintResult::Unproven),
        ];
        for (outcome, right) in table {
            assert_eq!(result_of(&outcome), right);
        }
    }

    #[tokio::test]
    async fn a_state_is_told_once() {
        let (events, mut heard) = mpsc::channel(4);
        let mut teller = Teller::new(Device::Pad, events);
        let well = Report::plain(DeviceState::Online);
        for report in [well, well, Report::plain(DeviceState::NoDevice), well] {
            assert!(teller.tell(report).await);
        }
        drop(teller);
        let mut count = 0;
        while heard.recv().await.is_some() {
            count += 1;
        }
        assert_eq!(count, 3);
    }
}
