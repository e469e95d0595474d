//! The twin of the card reader: sends a swipe as STX, tracks, CR, ETX.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use tokio::sync::mpsc;
use zeroize::{Zeroize, Zeroizing};

use super::faults::{Fault, FaultSet, garble};
use super::wire::Wire;

/// Most characters of a track in an order for a swipe.
const TRACK_MAX: usize = 110;

/// An order for a swipe; tracks without their sentinels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwipeOrder {
    /// Track 1, if the card has one.
    #[serde(default)]
    pub track1: Option<String>,
    /// Track 2.
    pub track2: String,
}

impl Drop for SwipeOrder {
    fn drop(&mut self) {
        self.track1.zeroize();
        self.track2.zeroize();
    }
}

impl SwipeOrder {
    /// Says whether the tracks can stand on a stripe.
    pub fn is_sound(&self) -> bool {
        let plain = |track: &str| {
            track.len() <= TRACK_MAX && track.bytes().all(|b| (0x20..0x7F).contains(&b))
        };
        plain(&self.track2) && self.track1.as_deref().is_none_or(plain)
    }
}

/// What others may see of the reader.
#[derive(Debug, Default)]
pub struct ReaderBooks {
    /// Swipes made since the start.
    pub swipes: u64,
    /// Faults armed.
    pub faults: FaultSet,
}

/// Runs the reader until its orders end.
pub async fn serve(
    line: Wire,
    mut orders: mpsc::Receiver<SwipeOrder>,
    books: Arc<Mutex<ReaderBooks>>,
) {
    let mut sink = [0u8; 64];
    let mut tick = tokio::time::interval(line.pace());
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { return };
                let bytes = swipe(&order, &books);
                if let Some(bytes) = bytes {
                    line.send(&bytes).await;
                }
            }
            // This reader takes no commands; what the host sends is read and dropped.
            outcome = line.read(&mut sink) => {
                if outcome.is_err() {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
            _ = tick.tick() => line.allow_next_host(),
        }
    }
}

fn swipe(order: &SwipeOrder, books: &Mutex<ReaderBooks>) -> Option<Zeroizing<Vec<u8>>> {
    let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
    books.swipes += 1;
    let all_bad = books.faults.strike(Fault::BadRead).is_some();
    let first_bad = books.faults.strike(Fault::BadTrack1).is_some();
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    bytes.push(0x02);
    if let Some(track) = &order.track1 {
        let data = if all_bad || first_bad { "E" } else { track };
        bytes.extend_from_slice(b"%");
        bytes.extend_from_slice(data.as_bytes());
        bytes.extend_from_slice(b"?");
    }
    bytes.extend_from_slice(b";");
    bytes.extend_from_slice(if all_bad { b"E" } else { order.track2.as_bytes() });
    bytes.extend_from_slice(b"?\r\x03");
    if books.faults.strike(Fault::Garble).is_some() {
        garble(&mut bytes);
    }
    books.faults.strike(Fault::Mute).is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::faults::{Device, FaultOrder};

    fn bytes_with(fault: Option<Fault>) -> Option<Vec<u8>> {
        let mut books = ReaderBooks::default();
        if let Some(fault) = fault {
            let device = Device::CardReader;
            books.faults.arm(FaultOrder { device, fault, after: 0, times: None, for_ms: None });
        }
        let order = SwipeOrder { track1: Some("B62^A/B^3012".into()), track2: "62=3012201".into() };
        assert!(order.is_sound());
        swipe(&order, &Mutex::new(books)).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn a_swipe_has_these_bytes() {
        let table: [(Option<Fault>, Option<&[u8]>); 4] = [
            (None, Some(b"\x02%B62^A/B^3012?;62=3012201?\r\x03")),
            (Some(Fault::BadTrack1), Some(b"\x02%E?;62=3012201?\r\x03")),
            (Some(Fault::BadRead), Some(b"\x02%E?;E?\r\x03")),
            (Some(Fault::Mute), None),
        ];
        for (fault, right) in table {
            assert_eq!(bytes_with(fault).as_deref(), right, "{fault:?}");
        }
        assert_ne!(bytes_with(Some(Fault::Garble)), bytes_with(None));
    }
}
