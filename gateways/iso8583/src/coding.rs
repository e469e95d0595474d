//! How digits, text and bytes are written on the wire.

use serde::Deserialize;

use crate::error::What;

/// How characters or decimal digits are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// One byte a character.
    Ascii,
    /// Two digits a byte.
    Bcd,
    /// One byte a character, code page 037.
    Ebcdic,
}

/// How binary values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BinaryCoding {
    /// Two hexadecimal characters a byte.
    Hex,
    /// The bytes themselves.
    Raw,
}

/// The side on which an odd number of digits is padded to whole bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Before the first digit.
    Left,
    /// After the last digit.
    Right,
}

/// EBCDIC code page 037 for the characters 0x20 to 0x7E.
const CP037: [u8; 95] = [
    0x40, 0x5A, 0x7F, 0x7B, 0x5B, 0x6C, 0x50, 0x7D, 0x4D, 0x5D, 0x5C, 0x4E, 0x6B, 0x60, 0x4B, 0x61,
    0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0x7A, 0x5E, 0x4C, 0x7E, 0x6E, 0x6F,
    0x7C, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6,
    0xD7, 0xD8, 0xD9, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xBA, 0xE0, 0xBB, 0xB0, 0x6D,
    0x79, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xC0, 0x4F, 0xD0, 0xA1,
];

/// The EBCDIC byte of a printable ASCII character.
pub(crate) fn to_ebcdic(ascii: u8) -> Option<u8> {
    CP037.get(usize::from(ascii.checked_sub(0x20)?)).copied()
}

/// The printable ASCII character of an EBCDIC byte.
pub(crate) fn from_ebcdic(byte: u8) -> Option<u8> {
    let at = CP037.iter().position(|candidate| *candidate == byte)?;
    u8::try_from(at).ok().map(|at| at + 0x20)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Writes bytes as upper-case hexadecimal characters.
pub(crate) fn to_hex(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
        .collect()
}

/// Reads hexadecimal characters of either case; `None` if odd or not hexadecimal.
pub(crate) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?)).collect()
}

/// Index of the first character that is not hexadecimal.
pub(crate) fn first_not_hex(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| hex_digit(*byte).is_none())
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// How packed digits are padded and separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packing {
    pub side: Side,
    pub nibble: u8,
}

/// Packs characters (digits, and `=` as nibble D) two a byte; `None` on another character.
pub(crate) fn pack_digits(text: &[u8], packing: Packing, out: &mut Vec<u8>) -> Option<()> {
    let odd = text.len() % 2 == 1;
    let mut high: Option<u8> = (odd && packing.side == Side::Left).then_some(packing.nibble);
    for character in text {
        let nibble = match character {
            b'0'..=b'9' => character - b'0',
            b'=' => 0x0D,
            _ => return None,
        };
        high = match high {
            None => Some(nibble),
            Some(first) => {
                out.push(first << 4 | nibble);
                None
            }
        };
    }
    if let Some(first) = high {
        out.push(first << 4 | packing.nibble);
    }
    Some(())
}

/// Unpacks `count` digits; the error names the byte (relative) that is wrong.
pub(crate) fn unpack_digits(
    bytes: &[u8],
    count: usize,
    packing: Packing,
    separator: bool,
    out: &mut Vec<u8>,
) -> Result<(), (What, usize)> {
    let odd = count % 2 == 1;
    let skip_first = odd && packing.side == Side::Left;
    let total = bytes.len() * 2;
    for at in 0..total {
        let byte = bytes[at / 2];
        let nibble = if at % 2 == 0 { byte >> 4 } else { byte & 15 };
        let is_pad = odd && (if skip_first { at == 0 } else { at + 1 == total });
        match nibble {
            pad if is_pad => {
                if pad != packing.nibble {
                    return Err((What::BadPadding, at / 2));
                }
            }
            0..=9 => out.push(b'0' + nibble),
            0x0D if separator => out.push(b'='),
            _ => return Err((What::BadNibble, at / 2)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_digits_are_padded_on_the_side_of_the_table() {
        let rows = [
            ("378282246310005", Side::Left, 0, "0378282246310005"),
            ("378282246310005", Side::Right, 0x0F, "378282246310005F"),
            ("071", Side::Right, 0, "0710"),
            ("1234", Side::Right, 0, "1234"),
            ("", Side::Left, 0, ""),
        ];
        for (text, side, nibble, expected) in rows {
            let packing = Packing { side, nibble };
            let mut out = Vec::new();
            pack_digits(text.as_bytes(), packing, &mut out).expect("digits");
            assert_eq!(hex::encode_upper(&out), expected);
            let mut back = Vec::new();
            unpack_digits(&out, text.len(), packing, false, &mut back).expect("unpack");
            assert_eq!(back, text.as_bytes());
        }
    }

    #[test]
    fn a_wrong_padding_nibble_is_named() {
        let packing = Packing { side: Side::Right, nibble: 0 };
        let found = unpack_digits(&[0x07, 0x1F], 3, packing, false, &mut Vec::new());
        assert_eq!(found, Err((What::BadPadding, 1)));
        let found = unpack_digits(&[0x0A, 0x10], 3, packing, false, &mut Vec::new());
        assert_eq!(found, Err((What::BadNibble, 0)));
    }

    #[test]
    fn ebcdic_is_a_bijection_on_printable_ascii() {
        for ascii in 0x20..=0x7Eu8 {
            let byte = to_ebcdic(ascii).expect("printable");
            assert_eq!(from_ebcdic(byte), Some(ascii));
        }
        assert_eq!(to_ebcdic(b'0'), Some(0xF0));
        assert_eq!(to_ebcdic(b'A'), Some(0xC1));
        assert_eq!(to_ebcdic(0x7F), None);
    }
}
