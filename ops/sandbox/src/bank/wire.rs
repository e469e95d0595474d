//! What went over the bank's line, byte for byte: the judge of every codec that reads it.

use std::collections::VecDeque;

use serde::Serialize;

/// Frames kept; older ones are forgotten.
pub const MAX_FRAMES: usize = 20_000;

/// One message body as it was read or written.
#[derive(Debug, Clone, Serialize)]
pub struct Captured {
    /// Microseconds UTC.
    pub at_us: i64,
    /// `in` from the acquirer, `out` to it.
    pub direction: &'static str,
    /// The body, without length, TPDU and header, in hexadecimal. Test cards only.
    pub hex: String,
}

/// The last frames.
#[derive(Debug, Default)]
pub struct Wire {
    frames: VecDeque<Captured>,
}

impl Wire {
    /// Keeps a body.
    pub fn keep(&mut self, at_us: i64, direction: &'static str, body: &[u8]) {
        if self.frames.len() == MAX_FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back(Captured { at_us, direction, hex: hex::encode_upper(body) });
    }

    /// The frames kept, oldest first.
    pub fn frames(&self) -> impl Iterator<Item = &Captured> {
        self.frames.iter()
    }
}
