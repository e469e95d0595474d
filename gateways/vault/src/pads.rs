//! The PIN pads that were given keys, and the last transaction counter of each.
//!
//! A counter is durable before its PIN block is opened, so that it is spent by its first use, good
//! or bad, and after a crash too. It is overwritten in place; those who wait share one sync.

use std::path::Path;

use parking_lot::Mutex;

use crate::crypto::dukpt_aes::{Ksn, KsnFault};
use crate::error::VaultError;
use crate::form::FormError;
use crate::slots::{self, SlotFile};

/// Bytes of a pad's slot.
const SLOT: usize = 32;
const MAGIC: [u8; 4] = *b"GVPD";

/// One PIN pad's keys: which terminal has them, and how far its counter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pad {
    terminal: u32,
    counter: u32,
    retired: bool,
}

/// Why a pad's counter was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PadFault {
    /// The serial number is unknown, of another terminal, or was used.
    #[error("key serial number refused: {0}")]
    Ksn(#[from] KsnFault),
    /// The pad's keys were revoked or replaced.
    #[error("the pad's keys are revoked")]
    Retired,
    /// The counter could not be kept, so the block is not opened.
    #[error("pad counters cannot be kept")]
    Store(#[from] VaultError),
}

/// All PIN pads. A pad's place is its derivation id less one.
pub struct Pads {
    file: SlotFile<SLOT>,
    /// `None` is a slot that does not read: its pad needs new keys.
    known: Mutex<Vec<Option<Pad>>>,
}

impl Pads {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// `Io`, `Form`.
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        let file = SlotFile::open(path, MAGIC)?;
        let mut pads = Vec::new();
        for index in 0..file.count() {
            let read = parse(&file.read(index)?);
            if read.is_err() {
                tracing::error!(index, "the counter of a PIN pad is damaged: it needs new keys");
            }
            pads.push(read.ok());
        }
        Ok(Self { file, known: Mutex::new(pads) })
    }

    /// Gives a terminal the next derivation id; durable when it returns.
    ///
    /// # Errors
    /// `Io`.
    pub fn assign(&self, terminal: u32) -> Result<u32, VaultError> {
        let mut known = self.known.lock();
        let pad = Pad { terminal, counter: 0, retired: false };
        let index = self.file.append(|_| Ok(write(&pad)))?;
        self.file.sync()?;
        known.push(Some(pad));
        Ok(u32::try_from(index).unwrap_or(u32::MAX - 1).saturating_add(1))
    }

    /// Voids the keys of a derivation id; durable when it returns.
    ///
    /// # Errors
    /// `Io`.
    pub fn retire(&self, derivation_id: u32) -> Result<(), VaultError> {
        let mut known = self.known.lock();
        let Some((index, place)) = place(&mut known, derivation_id) else {
            return Ok(());
        };
        let Some(pad) = place else {
            return Ok(());
        };
        pad.retired = true;
        self.file.write(index, &write(pad))?;
        self.file.sync()
    }

    /// Spends a counter of a terminal's pad.
    ///
    /// # Errors
    /// `Ksn`: `Unknown` for no pad or another terminal's, `Replayed`; `Retired`; `Store`.
    pub fn spend(&self, terminal: u32, ksn: Ksn) -> Result<(), PadFault> {
        let [_, _, _, _, a, b, c, d] = ksn.initial_key_id;
        let mut known = self.known.lock();
        let Some((index, Some(pad))) = place(&mut known, u32::from_be_bytes([a, b, c, d])) else {
            return Err(KsnFault::Unknown.into());
        };
        if pad.terminal != terminal {
            return Err(KsnFault::Unknown.into());
        }
        if pad.retired {
            return Err(PadFault::Retired);
        }
        if ksn.counter <= pad.counter {
            return Err(KsnFault::Replayed.into());
        }
        let spent = Pad { counter: ksn.counter, ..*pad };
        self.file.write(index, &write(&spent))?;
        *pad = spent;
        // Others may spend theirs while this one waits for the disk.
        drop(known);
        Ok(self.file.sync()?)
    }
}

fn place(pads: &mut [Option<Pad>], derivation_id: u32) -> Option<(u64, &mut Option<Pad>)> {
    let index = derivation_id.checked_sub(1)?;
    let place = pads.get_mut(usize::try_from(index).ok()?)?;
    Some((u64::from(index), place))
}

fn write(pad: &Pad) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[0] = 1;
    slot[1] = u8::from(pad.retired);
    slot[4..8].copy_from_slice(&pad.terminal.to_be_bytes());
    slot[8..12].copy_from_slice(&pad.counter.to_be_bytes());
    slots::close(&mut slot);
    slot
}

fn parse(slot: &[u8; SLOT]) -> Result<Pad, FormError> {
    slots::check(slot)?;
    let [1, retired @ (0 | 1), _, _, a, b, c, d, e, f, g, h, ..] = *slot else {
        return Err(FormError::Field);
    };
    Ok(Pad {
        terminal: u32::from_be_bytes([a, b, c, d]),
        counter: u32::from_be_bytes([e, f, g, h]),
        retired: retired == 1,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ksn(derivation_id: u32, counter: u32) -> Ksn {
        let [a, b, c, d] = derivation_id.to_be_bytes();
        Ksn { initial_key_id: [0, 0, 0, 9, a, b, c, d], counter }
    }

    fn shown(result: Result<(), PadFault>) -> String {
        result.map_or_else(|fault| fault.to_string(), |()| "taken".to_owned())
    }

    #[test]
    fn golden_pad() {
        let slot = write(&Pad { terminal: 7, counter: 0x1234, retired: true });
        assert_eq!(
            hex::encode(slot),
            "010100000000000700001234000000000000000000000000000000008b3441ab"
        );
        assert!(parse(&slot).unwrap().retired);
    }

    #[test]
    fn counters_only_rise_over_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pads");
        let replayed = "key serial number refused: counter was used before";
        let unknown = "key serial number refused: unknown device";
        {
            let pads = Pads::open(&path).unwrap();
            assert_eq!(pads.assign(7).unwrap(), 1);
            assert_eq!(pads.assign(8).unwrap(), 2);
            for (terminal, ksn, expected) in [
                (7, ksn(1, 1), "taken"),
                (7, ksn(1, 1), replayed),
                (7, ksn(1, 5), "taken"),
                (7, ksn(1, 4), replayed),
                (7, ksn(2, 1), unknown),
                (7, ksn(0, 1), unknown),
                (7, ksn(3, 1), unknown),
                (7, ksn(u32::MAX, 1), unknown),
                (8, ksn(2, 1), "taken"),
            ] {
                assert_eq!(shown(pads.spend(terminal, ksn)), expected, "{ksn:?}");
            }
            pads.retire(2).unwrap();
            pads.retire(99).unwrap();
        }
        let pads = Pads::open(&path).unwrap();
        assert_eq!(shown(pads.spend(7, ksn(1, 5))), replayed);
        assert_eq!(shown(pads.spend(7, ksn(1, 6))), "taken");
        assert_eq!(shown(pads.spend(8, ksn(2, 2))), "the pad's keys are revoked");
        assert_eq!(pads.assign(8).unwrap(), 3);
    }

    #[test]
    fn a_damaged_counter_stops_that_pad_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pads");
        {
            let pads = Pads::open(&path).unwrap();
            pads.assign(7).unwrap();
            pads.assign(8).unwrap();
        }
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[SLOT + 9] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let pads = Pads::open(&path).unwrap();
        assert_ne!(shown(pads.spend(7, ksn(1, 9))), "taken");
        assert_eq!(shown(pads.spend(8, ksn(2, 1))), "taken");
    }

    proptest! {
        #[test]
        fn a_slot_with_a_changed_bit_does_not_read(bit in 0usize..SLOT * 8, counter: u32) {
            let mut slot = write(&Pad { terminal: 7, counter, retired: false });
            slot[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(parse(&slot).is_err());
        }

        #[test]
        fn random_slots_never_panic(mut slot: [u8; SLOT]) {
            let _ = parse(&slot);
            slots::close(&mut slot);
            let _ = parse(&slot);
        }
    }
}
