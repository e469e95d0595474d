//! Real-time commands: seen in the stream as it arrives, before the buffer. Pure.

/// A real-time command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RealTime {
    /// DLE EOT n: a status byte, n = 1 to 4.
    Status(u8),
    /// DLE EOT 20: the full status.
    Full,
    /// DLE EOT 74: the memory of jobs.
    Memory,
    /// DLE ENQ 2: clear the buffers.
    Clear,
}

/// Finds real-time commands, also those that stand by chance within images and text.
#[derive(Debug, Default)]
pub struct Scanner {
    last: [u8; 2],
}

impl Scanner {
    /// Takes a byte; gives the command that it ends.
    pub fn push(&mut self, byte: u8) -> Option<RealTime> {
        let found = match (self.last, byte) {
            ([0x10, 0x04], 1..=4) => Some(RealTime::Status(byte)),
            ([0x10, 0x04], 0x14) => Some(RealTime::Full),
            ([0x10, 0x04], 0x4A) => Some(RealTime::Memory),
            ([0x10, 0x05], 2) => Some(RealTime::Clear),
            _ => None,
        };
        self.last = if found.is_some() { [0, 0] } else { [self.last[1], byte] };
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_seen_anywhere() {
        let table: [(&[u8], Vec<RealTime>); 5] = [
            (&[0x10, 4, 1, 0x10, 4, 4], vec![RealTime::Status(1), RealTime::Status(4)]),
            (&[b'x', 0x10, 4, 0x14, b'y'], vec![RealTime::Full]),
            (&[0x10, 0x10, 4, 0x4A], vec![RealTime::Memory]),
            (&[0x10, 5, 2, 2], vec![RealTime::Clear]),
            (&[0x10, 4, 9, 0x10, 5, 1, 4, 1], vec![]),
        ];
        for (bytes, right) in table {
            let mut scanner = Scanner::default();
            let found: Vec<_> = bytes.iter().filter_map(|byte| scanner.push(*byte)).collect();
            assert_eq!(found, right, "{bytes:02X?}");
        }
    }
}
