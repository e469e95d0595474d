//! Status bits of ESC/POS printers. Pure.

use serde::{Deserialize, Serialize};

use crate::status::PaperState;

/// Bits by which an answer to DLE EOT n is known: bit 4 and 1 set, bit 7 and 0 clear.
const REAL_TIME_MASK: u8 = 0x93;
const REAL_TIME_MARK: u8 = 0x12;
/// Bits by which the first byte of an automatic status is known.
const ASB_FIRST_MARK: u8 = 0x10;
/// Bits that are clear in the other bytes of an automatic status.
const ASB_REST_MASK: u8 = 0x90;

/// What is wrong with a printer, gathered from its status bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The printer has stopped.
    pub offline: bool,
    /// A cover is open.
    pub cover_open: bool,
    /// The roll is near its end.
    pub paper_low: bool,
    /// There is no paper.
    pub paper_out: bool,
    /// Paper is jammed.
    pub jammed: bool,
    /// The cutter does not work.
    pub cutter: bool,
    /// The head is too hot or the voltage is wrong; passes by itself.
    pub passing: bool,
    /// An error that only service can clear.
    pub unrecoverable: bool,
    /// An error of a kind that the bits do not name.
    pub other_error: bool,
    /// A ticket lies in the exit.
    pub exit_occupied: bool,
}

impl Condition {
    /// Says whether the printer cannot print now.
    pub fn blocks(&self) -> bool {
        self.offline
            || self.cover_open
            || self.paper_out
            || self.jammed
            || self.cutter
            || self.passing
            || self.unrecoverable
            || self.other_error
    }

    /// The word for the paper.
    pub fn paper(&self) -> PaperState {
        if self.jammed {
            PaperState::Jammed
        } else if self.paper_out {
            PaperState::Out
        } else if self.paper_low {
            PaperState::Low
        } else {
            PaperState::Full
        }
    }
}

/// Says whether a byte can be an answer to DLE EOT n.
pub fn is_real_time(byte: u8) -> bool {
    byte & REAL_TIME_MASK == REAL_TIME_MARK
}

/// Says whether a byte can be the first of an automatic status.
pub fn is_asb_first(byte: u8) -> bool {
    byte & REAL_TIME_MASK == ASB_FIRST_MARK
}

fn bit(byte: u8, n: u8) -> bool {
    byte & (1 << n) != 0
}

/// Adds the answer to DLE EOT n to a condition; `false` if the byte is no such answer.
pub fn read_real_time(n: u8, byte: u8, into: &mut Condition) -> bool {
    if !is_real_time(byte) {
        return false;
    }
    match n {
        1 => into.offline |= bit(byte, 3),
        2 => {
            into.cover_open |= bit(byte, 2);
            into.paper_out |= bit(byte, 5);
            into.other_error |= bit(byte, 6);
        }
        3 => {
            into.cutter |= bit(byte, 3);
            into.unrecoverable |= bit(byte, 5);
            into.passing |= bit(byte, 6);
            into.other_error |= bit(byte, 2);
        }
        4 => {
            into.paper_low |= byte & 0x0C != 0;
            into.paper_out |= byte & 0x60 != 0;
        }
        _ => return false,
    }
    true
}

/// Reads an automatic status of 4 bytes; `None` if it is none.
pub fn read_asb(bytes: [u8; 4]) -> Option<Condition> {
    let rest_ok = bytes[1..].iter().all(|byte| byte & ASB_REST_MASK == 0);
    if !is_asb_first(bytes[0]) || !rest_ok {
        return None;
    }
    Some(Condition {
        offline: bit(bytes[0], 3),
        cover_open: bit(bytes[0], 5),
        other_error: bit(bytes[1], 2),
        cutter: bit(bytes[1], 3),
        unrecoverable: bit(bytes[1], 5),
        passing: bit(bytes[1], 6),
        paper_low: bytes[2] & 0x03 != 0,
        paper_out: bytes[2] & 0x0C != 0,
        ..Condition::default()
    })
}

/// Reads the last 4 bytes of a full status (DLE EOT 20): paper, user, recoverable and
/// unrecoverable errors.
pub fn read_full(bytes: [u8; 4]) -> Condition {
    let [paper, user, recoverable, unrecoverable] = bytes;
    let cover_open = bit(user, 0) || bit(user, 1);
    let passing = bit(recoverable, 0) || bit(recoverable, 3);
    Condition {
        offline: false,
        cover_open,
        paper_low: bit(paper, 2),
        paper_out: bit(paper, 0),
        jammed: bit(recoverable, 6),
        cutter: bit(unrecoverable, 0),
        passing,
        unrecoverable: unrecoverable & !0x01 != 0,
        other_error: false,
        exit_occupied: bit(paper, 5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Condition {
        Condition::default()
    }

    #[test]
    fn real_time_vectors() {
        let table = [
            (1, 0x12, none()),
            (1, 0x1A, Condition { offline: true, ..none() }),
            (2, 0x16, Condition { cover_open: true, ..none() }),
            (2, 0x32, Condition { paper_out: true, ..none() }),
            (2, 0x52, Condition { other_error: true, ..none() }),
            (3, 0x1A, Condition { cutter: true, ..none() }),
            (3, 0x32, Condition { unrecoverable: true, ..none() }),
            (3, 0x52, Condition { passing: true, ..none() }),
            (4, 0x1E, Condition { paper_low: true, ..none() }),
            (4, 0x7E, Condition { paper_low: true, paper_out: true, ..none() }),
            (4, 0x72, Condition { paper_out: true, ..none() }),
        ];
        for (n, byte, right) in table {
            let mut condition = none();
            assert!(read_real_time(n, byte, &mut condition));
            assert_eq!(condition, right, "{n} {byte:02X}");
        }
        for byte in [0x00, 0xFF, 0x10, 0x13, 0x92] {
            assert!(!read_real_time(1, byte, &mut none()), "{byte:02X}");
        }
        assert!(!read_real_time(9, 0x12, &mut none()));
    }

    #[test]
    fn automatic_status_vectors() {
        let table = [
            ([0x14, 0, 0, 0], Some(none())),
            ([0x38, 0, 0, 0], Some(Condition { offline: true, cover_open: true, ..none() })),
            (
                [0x18, 0, 0x0F, 0],
                Some(Condition { offline: true, paper_low: true, paper_out: true, ..none() }),
            ),
            ([0x18, 0x08, 0, 0], Some(Condition { offline: true, cutter: true, ..none() })),
            ([0x10, 0, 0x03, 0], Some(Condition { paper_low: true, ..none() })),
            ([0x12, 0, 0, 0], None),
            ([0x10, 0x10, 0, 0], None),
            ([0x10, 0, 0, 0x80], None),
        ];
        for (bytes, right) in table {
            assert_eq!(read_asb(bytes), right, "{bytes:02X?}");
        }
    }

    #[test]
    fn full_status_bits() {
        let table = [
            ([0, 0, 0, 0], none()),
            ([0x01, 0, 0, 0], Condition { paper_out: true, ..none() }),
            ([0x04, 0, 0, 0], Condition { paper_low: true, ..none() }),
            ([0x20, 0, 0, 0], Condition { exit_occupied: true, ..none() }),
            ([0, 0x02, 0, 0], Condition { cover_open: true, ..none() }),
            ([0, 0, 0x40, 0], Condition { jammed: true, ..none() }),
            ([0, 0, 0x01, 0], Condition { passing: true, ..none() }),
            ([0, 0, 0, 0x01], Condition { cutter: true, ..none() }),
            ([0, 0, 0, 0x08], Condition { unrecoverable: true, ..none() }),
        ];
        for (bytes, right) in table {
            assert_eq!(read_full(bytes), right, "{bytes:02X?}");
        }
        assert!(!Condition { paper_low: true, exit_occupied: true, ..none() }.blocks());
        assert!(Condition { jammed: true, ..none() }.blocks());
        assert_eq!(Condition { paper_low: true, ..none() }.paper(), PaperState::Low);
    }
}
