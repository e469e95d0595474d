//! Characters of the printer: code pages, and GB18030 in Chinese character mode.

use encoding_rs::{GB18030, WINDOWS_1252};

/// The character set in force.
#[derive(Debug, Clone, Copy, Default)]
pub struct Charset {
    /// Chinese character mode.
    pub chinese: bool,
    /// Code page outside it: 16 is WPC1252, others show Latin letters only.
    pub page: u8,
}

/// What came of looking at the head of the text.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The character is not complete yet.
    More,
    /// A character.
    Char {
        /// The character.
        c: char,
        /// Whether it takes two columns.
        wide: bool,
        /// Bytes used.
        used: usize,
    },
}

impl Charset {
    /// Reads one character.
    pub fn decode(&self, data: &[u8]) -> Decoded {
        let first = data[0];
        if first < 0x80 {
            return Decoded::Char { c: char::from(first), wide: false, used: 1 };
        }
        if !self.chinese {
            let c = match self.page {
                16 => decode_with(WINDOWS_1252, &data[..1]),
                _ => None,
            };
            return Decoded::Char { c: c.unwrap_or('?'), wide: false, used: 1 };
        }
        let Some(second) = data.get(1) else { return Decoded::More };
        let used = if second.is_ascii_digit() { 4 } else { 2 };
        let Some(bytes) = data.get(..used) else { return Decoded::More };
        match decode_with(GB18030, bytes) {
            Some(c) => Decoded::Char { c, wide: true, used },
            // Not a character: one byte is lost, as on the device.
            None => Decoded::Char { c: '?', wide: false, used: 1 },
        }
    }
}

fn decode_with(encoding: &'static encoding_rs::Encoding, bytes: &[u8]) -> Option<char> {
    let (text, bad) = encoding.decode_without_bom_handling(bytes);
    let mut chars = text.chars();
    match (bad, chars.next(), chars.next()) {
        (false, Some(c), None) => Some(c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_read_in_both_modes() {
        let latin = Charset { chinese: false, page: 16 };
        let plain = Charset { chinese: false, page: 0 };
        let chinese = Charset { chinese: true, page: 0 };
        let is = |c, wide, used| Decoded::Char { c, wide, used };
        let table: [(Charset, &[u8], Decoded); 8] = [
            (plain, b"A", is('A', false, 1)),
            (plain, &[0xF6], is('?', false, 1)),
            (latin, &[0xF6], is('ö', false, 1)),
            (chinese, b"A", is('A', false, 1)),
            (chinese, &[0xB3, 0xB5], is('车', true, 2)),
            (chinese, &[0x81, 0x39, 0xEF, 0x31], is('㐂', true, 4)),
            (chinese, &[0xB3], Decoded::More),
            (chinese, &[0x81, 0x39, 0xEF], Decoded::More),
        ];
        for (charset, bytes, right) in table {
            assert_eq!(charset.decode(bytes), right, "{bytes:02X?}");
        }
        assert_eq!(chinese.decode(&[0xFF, 0x20]), is('?', false, 1));
    }
}
