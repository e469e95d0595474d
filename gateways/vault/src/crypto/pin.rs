//! PIN blocks (ISO 9564-1:2017 formats 0, 2, 3, 4) and their translation between keys.
//!
//! A clear PIN exists only inside the functions of this file; what leaves is encrypted or an error.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::block::{Aes, Tdes};
use super::{CryptoError, Key};

/// Digits of a PIN at least (ISO 9564-1).
pub const PIN_DIGITS_MIN: usize = 4;
/// Digits of a PIN at most (ISO 9564-1).
pub const PIN_DIGITS_MAX: usize = 12;
/// Digits of a PAN at least, that formats 0 and 3 can bind to.
pub const PAN_DIGITS_MIN: usize = 13;
/// Digits of a PAN at most (ISO/IEC 7812-1).
pub const PAN_DIGITS_MAX: usize = 19;

/// Why a decrypted block is not a PIN block for this card. Kept inside the module that decrypts:
/// telling it to a caller would make an oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinBlockFault {
    /// The first nibble names another format.
    #[error("control nibble of another format")]
    Control,
    /// The length is not 4 to 12.
    #[error("length outside 4 to 12")]
    Length,
    /// A digit of the PIN is not decimal.
    #[error("digit is not decimal")]
    Digit,
    /// The filler is not what the format prescribes.
    #[error("wrong filler")]
    Filler,
    /// Not as many bytes as the format has.
    #[error("block of another size")]
    Size,
}

/// A clear PIN: wiped when dropped, never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Pin {
    digits: [u8; PIN_DIGITS_MAX],
    len: usize,
}

impl Pin {
    /// Takes 4 to 12 ASCII digits.
    ///
    /// # Errors
    /// `Pin` for anything else.
    pub fn from_ascii(digits: &[u8]) -> Result<Self, CryptoError> {
        let right_length = (PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&digits.len());
        if !right_length || !digits.iter().all(u8::is_ascii_digit) {
            return Err(CryptoError::Pin);
        }
        let mut pin = Self { digits: [0; PIN_DIGITS_MAX], len: digits.len() };
        for (to, from) in pin.digits.iter_mut().zip(digits) {
            *to = from - b'0';
        }
        Ok(pin)
    }

    fn values(&self) -> &[u8] {
        &self.digits[..self.len]
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(****)")
    }
}

/// A format of PIN block that travels encrypted. Format 1 binds no card and is not accepted;
/// format 2 goes to a chip only and is never a target of translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinFormat {
    /// ISO 9564-1 format 0 (ANSI X9.8), under TDES.
    Iso0,
    /// ISO 9564-1 format 3, under TDES.
    Iso3,
    /// ISO 9564-1 format 4, under AES.
    Iso4,
}

/// Checks that a card number has only digits and a length that PIN blocks can bind to.
///
/// # Errors
/// `Pan` for anything but 13 to 19 ASCII digits.
pub fn check_pan(pan: &str) -> Result<&[u8], CryptoError> {
    let digits = pan.as_bytes();
    let right_length = (PAN_DIGITS_MIN..=PAN_DIGITS_MAX).contains(&digits.len());
    if right_length && digits.iter().all(u8::is_ascii_digit) {
        Ok(digits)
    } else {
        Err(CryptoError::Pan)
    }
}

/// Writes a clear format 0 block.
fn encode_0(pin: &Pin, pan: &[u8]) -> Zeroizing<[u8; 8]> {
    let mut nibbles = Zeroizing::new([0xF; 16]);
    head(&mut nibbles[..], 0, pin);
    bind(pack(&nibbles), pan)
}

/// Writes a clear format 3 block; only the low nibble's lower bits of `filler` choose A to F.
fn encode_3(pin: &Pin, pan: &[u8], filler: [u8; 10]) -> Zeroizing<[u8; 8]> {
    let mut nibbles = Zeroizing::new([0xF; 16]);
    for (nibble, random) in nibbles[6..].iter_mut().zip(filler) {
        *nibble = 0xA + random % 6;
    }
    head(&mut nibbles[..], 3, pin);
    bind(pack(&nibbles), pan)
}

/// Writes a clear format 2 block, for offline verification by a chip only.
#[cfg(test)]
fn encode_2(pin: &Pin) -> Zeroizing<[u8; 8]> {
    let mut nibbles = Zeroizing::new([0xF; 16]);
    head(&mut nibbles[..], 2, pin);
    pack(&nibbles)
}

/// Writes the clear PIN field of format 4.
fn pin_field_4(pin: &Pin, random: [u8; 8]) -> Zeroizing<[u8; 16]> {
    let mut nibbles = Zeroizing::new([0xA; 16]);
    head(&mut nibbles[..], 4, pin);
    let mut field = Zeroizing::new([0; 16]);
    field[..8].copy_from_slice(&pack(&nibbles)[..]);
    field[8..].copy_from_slice(&random);
    field
}

/// The PAN field of format 4: M (PAN length - 12), the PAN, zeros.
fn pan_field_4(pan: &[u8]) -> [u8; 16] {
    let mut nibbles = [0u8; 32];
    // check_pan holds the length in 13..=19, so M is 1..=7 and everything fits.
    nibbles[0] = u8::try_from(pan.len().saturating_sub(12)).unwrap_or(0);
    for (nibble, digit) in nibbles[1..].iter_mut().zip(pan) {
        *nibble = digit - b'0';
    }
    let mut field = [0; 16];
    for (byte, pair) in field.iter_mut().zip(nibbles.as_chunks::<2>().0) {
        *byte = pair[0] << 4 | pair[1];
    }
    field
}

fn head(nibbles: &mut [u8], control: u8, pin: &Pin) {
    nibbles[0] = control;
    nibbles[1] = u8::try_from(pin.len).unwrap_or(0);
    nibbles[2..2 + pin.len].copy_from_slice(pin.values());
}

fn pack(nibbles: &[u8; 16]) -> Zeroizing<[u8; 8]> {
    let mut block = Zeroizing::new([0; 8]);
    for (byte, pair) in block.iter_mut().zip(nibbles.as_chunks::<2>().0) {
        *byte = pair[0] << 4 | pair[1];
    }
    block
}

fn unpack(block: &[u8]) -> Zeroizing<[u8; 16]> {
    let mut nibbles = Zeroizing::new([0; 16]);
    for (pair, byte) in nibbles.as_chunks_mut::<2>().0.iter_mut().zip(block) {
        *pair = [byte >> 4, byte & 0xF];
    }
    nibbles
}

/// Adds (XOR) the 12 rightmost digits of the PAN without its check digit.
fn bind(mut block: Zeroizing<[u8; 8]>, pan: &[u8]) -> Zeroizing<[u8; 8]> {
    let digits = &pan[pan.len() - 13..pan.len() - 1];
    for (byte, pair) in block[2..].iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte ^= (pair[0] - b'0') << 4 | (pair[1] - b'0');
    }
    block
}

/// Reads control, length, digits and filler of the 16 nibbles that all formats share.
fn read(
    nibbles: &[u8; 16],
    control: u8,
    filler: core::ops::RangeInclusive<u8>,
) -> Result<Pin, PinBlockFault> {
    if nibbles[0] != control {
        return Err(PinBlockFault::Control);
    }
    let len = usize::from(nibbles[1]);
    if !(PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&len) {
        return Err(PinBlockFault::Length);
    }
    let (digits, rest) = nibbles[2..].split_at(len);
    if digits.iter().any(|d| *d > 9) {
        return Err(PinBlockFault::Digit);
    }
    if rest.iter().any(|f| !filler.contains(f)) {
        return Err(PinBlockFault::Filler);
    }
    let mut pin = Pin { digits: [0; PIN_DIGITS_MAX], len };
    pin.digits[..len].copy_from_slice(digits);
    Ok(pin)
}

fn decode_8(block: Zeroizing<[u8; 8]>, format: PinFormat, pan: &[u8]) -> Result<Pin, CryptoError> {
    let nibbles = unpack(&bind(block, pan)[..]);
    Ok(match format {
        PinFormat::Iso0 => read(&nibbles, 0, 0xF..=0xF)?,
        PinFormat::Iso3 => read(&nibbles, 3, 0xA..=0xF)?,
        PinFormat::Iso4 => return Err(PinBlockFault::Size.into()),
    })
}

/// Decrypts and checks a PIN block.
///
/// # Errors
/// `PinBlock` for a block that is not one of this format for this card, `Pan`, `KeyLength`.
pub fn open(key: &Key, format: PinFormat, pan: &str, block: &[u8]) -> Result<Pin, CryptoError> {
    let pan = check_pan(pan)?;
    let size = |_| CryptoError::PinBlock(PinBlockFault::Size);
    match format {
        PinFormat::Iso0 | PinFormat::Iso3 => {
            let block: [u8; 8] = block.try_into().map_err(size)?;
            decode_8(Zeroizing::new(Tdes::new(key)?.decrypt(block)), format, pan)
        }
        PinFormat::Iso4 => {
            let block: [u8; 16] = block.try_into().map_err(size)?;
            let aes = Aes::new(key)?;
            let mut middle = Zeroizing::new(aes.decrypt(block));
            for (byte, mask) in middle.iter_mut().zip(pan_field_4(pan)) {
                *byte ^= mask;
            }
            let field = Zeroizing::new(aes.decrypt(*middle));
            Ok(read(&unpack(&field[..8]), 4, 0xA..=0xA)?)
        }
    }
}

/// Makes and encrypts a PIN block; `random` fills what the format leaves open.
///
/// # Errors
/// `Pan`, or `KeyLength` for a key of another cipher than the format's.
pub fn make(
    key: &Key,
    format: PinFormat,
    pan: &str,
    pin: &Pin,
    random: [u8; 10],
) -> Result<Vec<u8>, CryptoError> {
    let pan = check_pan(pan)?;
    match format {
        PinFormat::Iso0 => Ok(Tdes::new(key)?.encrypt(*encode_0(pin, pan)).to_vec()),
        PinFormat::Iso3 => Ok(Tdes::new(key)?.encrypt(*encode_3(pin, pan, random)).to_vec()),
        PinFormat::Iso4 => {
            let aes = Aes::new(key)?;
            let [a, b, c, d, e, f, g, h, ..] = random;
            let field = pin_field_4(pin, [a, b, c, d, e, f, g, h]);
            let mut middle = Zeroizing::new(aes.encrypt(*field));
            for (byte, mask) in middle.iter_mut().zip(pan_field_4(pan)) {
                *byte ^= mask;
            }
            Ok(aes.encrypt(*middle).to_vec())
        }
    }
}

/// One end of a translation: the key and the format of the block under it.
#[derive(Clone, Copy, Debug)]
pub struct PinEnd<'a> {
    /// The key that encrypts the block.
    pub key: &'a Key,
    /// How the clear block is laid out.
    pub format: PinFormat,
}

/// Re-encrypts a PIN from one key and format to another, for the same PAN.
///
/// # Errors
/// As [`open`] and [`make`].
pub fn translate(
    from: PinEnd<'_>,
    to: PinEnd<'_>,
    pan: &str,
    block: &[u8],
    random: [u8; 10],
) -> Result<Vec<u8>, CryptoError> {
    let pin = open(from.key, from.format, pan, block)?;
    make(to.key, to.format, pan, &pin, random)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAN: &str = "5555555551234567";

    fn pin(text: &str) -> Pin {
        Pin::from_ascii(text.as_bytes()).unwrap()
    }

    fn key(text: &str) -> Key {
        Key::from_hex(text).unwrap()
    }

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    fn block_8(text: &str) -> Zeroizing<[u8; 8]> {
        Zeroizing::new(bytes(text).try_into().unwrap())
    }

    #[test]
    fn clear_blocks_of_format_0() {
        for (digits, pan, block) in [
            ("1234", PAN, "041261aaaaedcba9"),
            ("123456789", PAN, "091261032d8dcba9"),
            ("1234567890", PAN, "0a1261032d82cba9"),
            ("123456789012", PAN, "0c1261032d8226a9"),
            ("1234", "43219876543210987", "0412ac89abcdef67"),
            ("1234", "4012345678909", "041274edcba9876f"),
        ] {
            let made = encode_0(&pin(digits), pan.as_bytes());
            assert_eq!(hex::encode(&made[..]), block, "{digits} {pan}");
            let read = decode_8(made, PinFormat::Iso0, pan.as_bytes()).unwrap();
            assert_eq!(read.values(), pin(digits).values());
        }
    }

    #[test]
    fn clear_blocks_of_formats_2_and_3() {
        for (digits, block) in [
            ("1234", "241234ffffffffff"),
            ("123456789", "29123456789fffff"),
            ("123456789012", "2c123456789012ff"),
        ] {
            assert_eq!(hex::encode(&encode_2(&pin(digits))[..]), block);
        }
        // Fillers ABCDEFABCD and FEDCBAFE of the published blocks, as offsets from A.
        let rising = [0, 1, 2, 3, 4, 5, 0, 1, 2, 3];
        let falling = [0, 0, 5, 4, 3, 2, 1, 0, 5, 4];
        for (digits, pan, filler, block) in [
            ("1234", PAN, rising, "341261fe98fd9f9b"),
            ("123456", "4111111111111111", falling, "36122547efcdabef"),
        ] {
            let made = encode_3(&pin(digits), pan.as_bytes(), filler);
            assert_eq!(hex::encode(&made[..]), block);
            let read = decode_8(made, PinFormat::Iso3, pan.as_bytes()).unwrap();
            assert_eq!(read.values(), pin(digits).values());
        }
    }

    #[test]
    fn format_0_refuses() {
        for (block, fault) in [
            ("241261AAAAEDCBA9", PinBlockFault::Control),
            ("0F1261AAAAEDCBA9", PinBlockFault::Length),
            ("041261AAAAEDCBAA", PinBlockFault::Filler),
            ("051261AAAAEDCBA9", PinBlockFault::Digit),
            ("031261AAAAEDCBA9", PinBlockFault::Length),
            ("0D1261AAAAEDCBA9", PinBlockFault::Length),
        ] {
            let read = decode_8(block_8(block), PinFormat::Iso0, PAN.as_bytes());
            assert_eq!(read.err(), Some(CryptoError::PinBlock(fault)), "{block}");
        }
        let filler_9 = decode_8(block_8("341261F498FD9F9B"), PinFormat::Iso3, PAN.as_bytes());
        assert_eq!(filler_9.err(), Some(CryptoError::PinBlock(PinBlockFault::Filler)));
    }

    #[test]
    fn format_4_published_blocks() {
        let random = [0xFF; 10];
        let k = key("00112233445566778899AABBCCDDEEFF");
        let pan = "1234567890123456789";
        let field = pin_field_4(&pin("1234"), [0xFF; 8]);
        assert_eq!(hex::encode(&field[..]), "441234aaaaaaaaaaffffffffffffffff");
        assert_eq!(hex::encode(pan_field_4(pan.as_bytes())), "71234567890123456789000000000000");
        let block = make(&k, PinFormat::Iso4, pan, &pin("1234"), random).unwrap();
        assert_eq!(hex::encode(block), "28b41fddd29b743e93124bd8e32d921e");
        assert_eq!(
            hex::encode(pan_field_4(b"4111111111111111")),
            "44111111111111111000000000000000"
        );
        assert_eq!(
            hex::encode(pan_field_4(b"432198765432109870")),
            "64321987654321098700000000000000"
        );
        let k = key("C1D0F8FB4958670DBA40AB1F3752EF0D");
        let block = bytes("CC17F65586BFD0953010226C4FC5B3CA");
        assert!(open(&k, PinFormat::Iso4, "432198765432109870", &block).is_ok());
    }

    #[test]
    fn format_4_refuses() {
        for (k, block, pan, fault) in [
            (
                "E60B15B90ABDF14CEE337C97440F0D6E",
                "7D5AF4C33667A2098626027FB7A9A1B7",
                "4266229809609384667",
                PinBlockFault::Control,
            ),
            (
                "C7BBEBA16C5AD97D5866450718C03750",
                "2F9C910447F17293EC95DEDE1E3CA201",
                "8220499325458689523",
                PinBlockFault::Digit,
            ),
        ] {
            let read = open(&key(k), PinFormat::Iso4, pan, &bytes(block));
            assert_eq!(read.err(), Some(CryptoError::PinBlock(fault)));
        }
        // The PAN is bound through the cipher: the same block for another card is garbage.
        let k = key("00112233445566778899AABBCCDDEEFF");
        let block = bytes("28B41FDDD29B743E93124BD8E32D921E");
        assert!(open(&k, PinFormat::Iso4, "1234567890123456788", &block).is_err());
        for len in (0..=33).filter(|len| *len != 16) {
            let read = open(&k, PinFormat::Iso4, PAN, &vec![0; len]);
            assert_eq!(read.err(), Some(CryptoError::PinBlock(PinBlockFault::Size)), "{len}");
        }
    }

    #[test]
    fn translation_between_zones() {
        let from = key("0123456789ABCDEFFEDCBA9876543210");
        let pan = "4111111111111111";
        let block = bytes("2A3D408A1977DDE9");
        let random = bytes("2F69ADDE2E9E7ACE0000").try_into().unwrap();
        for (to, format, expected) in [
            ("89ABCDEF0123456776543210FEDCBA98", PinFormat::Iso0, "58b583e21eeb26b5"),
            (
                "00112233445566778899AABBCCDDEEFF",
                PinFormat::Iso4,
                "261bb4fcb189b3c17a55ae1648e0a2fd",
            ),
        ] {
            let to = key(to);
            let out = translate(
                PinEnd { key: &from, format: PinFormat::Iso0 },
                PinEnd { key: &to, format },
                pan,
                &block,
                random,
            );
            assert_eq!(hex::encode(out.unwrap()), expected);
        }
    }

    #[test]
    fn pins_and_pans_at_their_edges() {
        for (text, good) in [
            ("123", false),
            ("1234", true),
            ("123456789012", true),
            ("1234567890123", false),
            ("12a4", false),
        ] {
            assert_eq!(Pin::from_ascii(text.as_bytes()).is_ok(), good, "{text}");
        }
        for (len, good) in [(12, false), (13, true), (19, true), (20, false)] {
            assert_eq!(check_pan(&"4".repeat(len)).is_ok(), good, "{len}");
        }
        assert!(check_pan("41111111111a1111").is_err());
        assert_eq!(format!("{:?}", pin("1234")), "Pin(****)");
    }

    proptest! {
        #[test]
        fn random_blocks_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            pan in "[0-9]{10,22}",
        ) {
            let aes = key("00112233445566778899AABBCCDDEEFF");
            for format in [PinFormat::Iso0, PinFormat::Iso3, PinFormat::Iso4] {
                let _ = open(&aes, format, &pan, &bytes);
            }
        }

        #[test]
        fn every_pin_survives_every_format(
            digits in "[0-9]{4,12}",
            pan in "[0-9]{13,19}",
            random in any::<[u8; 10]>(),
        ) {
            let k = key("0123456789ABCDEFFEDCBA9876543210");
            for format in [PinFormat::Iso0, PinFormat::Iso3, PinFormat::Iso4] {
                let block = make(&k, format, &pan, &pin(&digits), random).unwrap();
                let (read, expected) = (open(&k, format, &pan, &block).unwrap(), pin(&digits));
                prop_assert_eq!(read.values(), expected.values());
            }
        }
    }
}
