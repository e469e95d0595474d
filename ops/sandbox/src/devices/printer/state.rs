//! The state of a printer, and the status bytes that show it.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::books::Books;
use crate::devices::faults::{Fault, FaultSet};

/// What the parts of a printer share.
pub struct State {
    /// What it remembers without power.
    pub books: Books,
    /// Faults armed.
    pub faults: FaultSet,
    /// Whether it has power.
    pub powered: bool,
    /// When the power comes back.
    pub power_at: Option<Instant>,
    /// When somebody takes the paper in the exit.
    pub take_at: Option<Instant>,
    /// What was received and not worked through.
    pub buffer: VecDeque<u8>,
    /// Grows when all that was received becomes void.
    pub generation: u64,
    /// The automatic status wanted; 0 for none.
    pub auto_status: u8,
}

impl State {
    /// A printer that was just switched on.
    pub fn new(books: Books) -> State {
        State {
            books,
            faults: FaultSet::default(),
            powered: true,
            power_at: None,
            take_at: None,
            buffer: VecDeque::new(),
            generation: 0,
            auto_status: 0,
        }
    }

    /// Makes everything received void.
    pub fn void(&mut self) {
        self.buffer.clear();
        self.generation += 1;
        self.auto_status = 0;
    }

    /// Says whether the mechanism stands.
    pub fn stands(&self) -> bool {
        !self.powered || self.books.stops.any() || self.faults.holds(Fault::CoverOpen)
    }

    /// Says whether the roll is near its end.
    pub fn near_end(&self) -> bool {
        self.books.stops.paper_out || self.faults.holds(Fault::NearEnd)
    }

    fn bits(&self) -> [bool; 5] {
        let stops = &self.books.stops;
        let cover = self.faults.holds(Fault::CoverOpen);
        [cover, stops.paper_out, stops.jammed, stops.cutter, self.near_end()]
    }

    /// The answer to DLE EOT n.
    pub fn status(&self, n: u8) -> u8 {
        let [cover, out, jam, cutter, near] = self.bits();
        let bit = |on: bool, n: u8| u8::from(on) << n;
        0x12 | match n {
            1 => bit(self.stands(), 3),
            2 => bit(cover, 2) | bit(out, 5) | bit(jam || cutter, 6),
            3 => bit(jam, 2) | bit(cutter, 3),
            _ => (u8::from(near) * 0x0C) | (u8::from(out) * 0x60),
        }
    }

    /// The answer to DLE EOT 20.
    pub fn full_status(&self) -> [u8; 6] {
        let [cover, out, jam, cutter, near] = self.bits();
        let exit = self.books.exit.is_some();
        let paper = u8::from(out) | u8::from(near) << 2 | u8::from(exit) << 5;
        [0x10, 0x0F, paper, u8::from(cover) << 1, u8::from(jam) << 6, u8::from(cutter)]
    }

    /// The automatic status.
    pub fn auto_bytes(&self) -> [u8; 4] {
        let [cover, ..] = self.bits();
        let first = 0x10 | u8::from(self.stands()) << 3 | u8::from(cover) << 5;
        let [_, _, jam, cutter, _] = self.bits();
        let second = u8::from(jam) << 2 | u8::from(cutter) << 3;
        [first, second, self.paper_bits(), 0]
    }

    /// The answer to GS r 1.
    pub fn paper_bits(&self) -> u8 {
        let [_, out, _, _, near] = self.bits();
        (u8::from(near) * 0x03) | (u8::from(out) * 0x0C)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::faults::{Device, FaultOrder};

    #[test]
    fn status_bytes_show_the_state() {
        type Row = (fn(&mut State), [u8; 4], [u8; 4], [u8; 4]);
        // What happens; answers to DLE EOT 1 to 4, the last four bytes of the full status, the automatic one.
        let table: [Row; 6] = [
            (|_| (), [0x12, 0x12, 0x12, 0x12], [0; 4], [0x10, 0, 0, 0]),
            (
                |state| state.books.stops.jammed = true,
                [0x1A, 0x52, 0x16, 0x12],
                [0, 0, 0x40, 0],
                [0x18, 0x04, 0, 0],
            ),
            (
                |state| state.books.stops.paper_out = true,
                [0x1A, 0x32, 0x12, 0x7E],
                [0x05, 0, 0, 0],
                [0x18, 0, 0x0F, 0],
            ),
            (
                |state| state.books.stops.cutter = true,
                [0x1A, 0x52, 0x1A, 0x12],
                [0, 0, 0, 0x01],
                [0x18, 0x08, 0, 0],
            ),
            (
                |state| {
                    let (device, fault) = (Device::TicketPrinter, Fault::CoverOpen);
                    let (after, times, for_ms) = (0, None, None);
                    state.faults.arm(FaultOrder { device, fault, after, times, for_ms });
                },
                [0x1A, 0x16, 0x12, 0x12],
                [0, 0x02, 0, 0],
                [0x38, 0, 0, 0],
            ),
            (
                |state| state.books.exit = Some(3),
                [0x12, 0x12, 0x12, 0x12],
                [0x20, 0, 0, 0],
                [0x10, 0, 0, 0],
            ),
        ];
        for (change, real_time, full, auto) in table {
            let mut state = State::new(Books::default());
            change(&mut state);
            assert_eq!([1, 2, 3, 4].map(|n| state.status(n)), real_time);
            assert_eq!(state.full_status()[..2], [0x10, 0x0F]);
            assert_eq!(state.full_status()[2..], full);
            assert_eq!(state.auto_bytes(), auto);
        }
    }
}
