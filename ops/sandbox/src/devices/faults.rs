//! Faults as data: what goes wrong at which device, when, and how often.

use serde::{Deserialize, Serialize};

/// Most faults armed at one device.
pub const FAULTS_MAX: usize = 32;

/// The four devices of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// Reader of magnetic stripes.
    CardReader,
    /// PIN pad.
    PinPad,
    /// Printer of train tickets.
    TicketPrinter,
    /// Printer of receipts.
    ReceiptPrinter,
}

impl Device {
    /// Name of the device, which is also that of its link.
    pub fn name(self) -> &'static str {
        match self {
            Device::CardReader => "card-reader",
            Device::PinPad => "pin-pad",
            Device::TicketPrinter => "ticket-printer",
            Device::ReceiptPrinter => "receipt-printer",
        }
    }
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Reader: both tracks are bad.
    BadRead,
    /// Reader: track 1 is bad.
    BadTrack1,
    /// All: what the device sends is lost; it works on.
    Mute,
    /// All: one bit of what the device sends is flipped.
    Garble,
    /// Pad: a frame goes out with a wrong check byte.
    LrcError,
    /// Printers: the paper jams before the cut.
    Jam,
    /// Printers: the roll ends within the print.
    PaperOut,
    /// Printers: the roll is near its end.
    NearEnd,
    /// Ticket printer: nobody takes the ticket.
    NotTaken,
    /// Ticket printer: the exit sensor sees nothing.
    ExitSensor,
    /// Printers: the cutter fails.
    Cutter,
    /// Printers: the cover is open.
    CoverOpen,
    /// Printers: the power goes in the middle of a print.
    PowerLoss,
}

impl Fault {
    /// Says whether the fault can happen at a device.
    pub fn fits(self, device: Device) -> bool {
        let printer = matches!(device, Device::TicketPrinter | Device::ReceiptPrinter);
        match self {
            Fault::BadRead | Fault::BadTrack1 => device == Device::CardReader,
            Fault::LrcError => device == Device::PinPad,
            Fault::Mute | Fault::Garble => true,
            Fault::NotTaken | Fault::ExitSensor => device == Device::TicketPrinter,
            Fault::Jam
            | Fault::PaperOut
            | Fault::NearEnd
            | Fault::Cutter
            | Fault::CoverOpen
            | Fault::PowerLoss => printer,
        }
    }

    /// Says whether the fault lasts until it is cleared.
    fn lasts(self) -> bool {
        matches!(self, Fault::Mute | Fault::NearEnd | Fault::CoverOpen)
    }
}

/// An order for a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOrder {
    /// Where.
    pub device: Device,
    /// What.
    pub fault: Fault,
    /// How many prints, swipes or sendings still go well before it strikes.
    #[serde(default)]
    pub after: u32,
    /// How often it strikes; once if not said, or until cleared for faults that last.
    #[serde(default)]
    pub times: Option<u32>,
    /// Power loss: how long the device stays without power, in milliseconds.
    #[serde(default)]
    pub for_ms: Option<u64>,
}

/// The faults armed at one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSet {
    armed: Vec<FaultOrder>,
}

impl FaultSet {
    /// Arms a fault; `false` if the device has too many.
    pub fn arm(&mut self, order: FaultOrder) -> bool {
        if self.armed.len() >= FAULTS_MAX {
            return false;
        }
        self.armed.push(order);
        true
    }

    /// Takes all faults away.
    pub fn clear(&mut self) {
        self.armed.clear();
    }

    /// The armed faults.
    pub fn armed(&self) -> &[FaultOrder] {
        &self.armed
    }

    /// Counts one event at which the fault could strike; gives the order if it does.
    pub fn strike(&mut self, fault: Fault) -> Option<FaultOrder> {
        let place = self.armed.iter().position(|order| order.fault == fault)?;
        let order = &mut self.armed[place];
        if order.after > 0 {
            order.after -= 1;
            return None;
        }
        let struck = order.clone();
        if !fault.lasts() || order.times.is_some() {
            let left = order.times.unwrap_or(1).saturating_sub(1);
            order.times = Some(left);
            if left == 0 {
                self.armed.remove(place);
            }
        }
        Some(struck)
    }

    /// Says whether a lasting fault holds now, without counting an event.
    pub fn holds(&self, fault: Fault) -> bool {
        self.armed.iter().any(|order| order.fault == fault && order.after == 0)
    }
}

/// Flips one bit in the middle of bytes.
pub fn garble(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x04;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(fault: Fault, after: u32, times: Option<u32>) -> FaultOrder {
        FaultOrder { device: Device::TicketPrinter, fault, after, times, for_ms: None }
    }

    #[test]
    fn faults_strike_after_so_many_events_and_so_often() {
        let table = [
            (order(Fault::Jam, 0, None), "x..."),
            (order(Fault::Jam, 2, None), "..x."),
            (order(Fault::Jam, 1, Some(2)), ".xx."),
            (order(Fault::Mute, 1, None), ".xxx"),
            (order(Fault::Mute, 0, Some(2)), "xx.."),
        ];
        for (order, right) in table {
            let mut set = FaultSet::default();
            let fault = order.fault;
            assert!(set.arm(order.clone()));
            let seen: String =
                (0..4).map(|_| if set.strike(fault).is_some() { 'x' } else { '.' }).collect();
            assert_eq!(seen, right, "{order:?}");
            assert!(set.strike(Fault::Cutter).is_none());
        }
    }

    #[test]
    fn faults_are_limited_and_fit_their_devices() {
        let mut set = FaultSet::default();
        for _ in 0..FAULTS_MAX {
            assert!(set.arm(order(Fault::Jam, 0, None)));
        }
        assert!(!set.arm(order(Fault::Jam, 0, None)));
        assert!(set.holds(Fault::Jam) && !set.holds(Fault::Mute));
        set.clear();
        assert!(set.armed().is_empty());
        assert!(Fault::Jam.fits(Device::ReceiptPrinter) && !Fault::Jam.fits(Device::PinPad));
        assert!(Fault::BadRead.fits(Device::CardReader) && Fault::Mute.fits(Device::CardReader));
        assert!(!Fault::NotTaken.fits(Device::ReceiptPrinter));
    }
}
