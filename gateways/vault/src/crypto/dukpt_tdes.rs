//! TDES DUKPT (ANSI X9.24-1:2009), host side, for PIN pads that have no AES.

use zeroize::Zeroizing;

use super::block::Tdes;
use super::dukpt_aes::KsnFault;
use super::{CryptoError, Key};

/// Bytes of a TDES DUKPT key serial number.
pub const KSN_BYTES: usize = 10;
/// One-bits that a transaction counter may have at most.
pub const COUNTER_ONES_MAX: u32 = 10;
/// Bits of the counter, at the end of the serial number.
const COUNTER_MASK: u32 = 0x001F_FFFF;

/// Added (XOR) to the base key for the right half of an initial key, and within derivation steps.
const HALF_MASK: [u8; 16] =
    [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];
/// Added (XOR) to both halves of a transaction key for the PIN variant.
const PIN_MASK: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 0xFF];

/// A checked key serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ksn {
    bytes: [u8; KSN_BYTES],
    /// The transaction counter, never zero.
    pub counter: u32,
}

impl Ksn {
    /// Reads the 10 bytes a device sends.
    ///
    /// # Errors
    /// `Length`, or `Counter` for zero or more than 10 one-bits.
    pub fn parse(bytes: &[u8]) -> Result<Self, KsnFault> {
        let bytes: [u8; KSN_BYTES] = bytes.try_into().map_err(|_| KsnFault::Length)?;
        let [.., a, b, c] = bytes;
        let counter = u32::from_be_bytes([0, a, b, c]) & COUNTER_MASK;
        if counter == 0 || counter.count_ones() > COUNTER_ONES_MAX {
            return Err(KsnFault::Counter);
        }
        Ok(Self { bytes, counter })
    }

    /// The first 8 bytes with the counter's bits cleared: what an initial key is made from.
    fn serial(self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes;
        [a, b, c, d, e, f, g, h & 0xE0]
    }

    /// The last 8 bytes with the counter's bits cleared: where the derivation register begins.
    fn register(self) -> [u8; 8] {
        let [_, _, a, b, c, d, e, f, ..] = self.bytes;
        [a, b, c, d, e, f & 0xE0, 0, 0]
    }
}

/// The initial key of the device that a serial number names.
///
/// # Errors
/// `KeyLength` unless the base key has 16 bytes.
pub fn initial_key(base: &Key, ksn: Ksn) -> Result<Key, CryptoError> {
    double_length(base)?;
    let left = Tdes::new(base)?.encrypt(ksn.serial());
    let right = Tdes::new(&base.xor(&HALF_MASK))?.encrypt(ksn.serial());
    join(left, right)
}

/// The key that encrypts the PIN block of one transaction.
///
/// # Errors
/// `KeyLength` unless the initial key has 16 bytes.
pub fn pin_key(initial: &Key, ksn: Ksn) -> Result<Key, CryptoError> {
    Ok(transaction_key(initial, ksn)?.xor(&PIN_MASK))
}

/// One step of the non-reversible key generation for each one-bit of the counter.
fn transaction_key(initial: &Key, ksn: Ksn) -> Result<Key, CryptoError> {
    double_length(initial)?;
    let mut key = initial.clone();
    let mut register = u64::from_be_bytes(ksn.register());
    for bit in (0..21).rev().map(|n| 1u32 << n).filter(|bit| ksn.counter & bit != 0) {
        register |= u64::from(bit);
        let right = half_step(&key, register.to_be_bytes())?;
        let left = half_step(&key.xor(&HALF_MASK), register.to_be_bytes())?;
        key = join(left, right)?;
    }
    Ok(key)
}

/// Encrypts the register, whitened by the right half, under the left half.
fn half_step(key: &Key, register: [u8; 8]) -> Result<[u8; 8], CryptoError> {
    let (left, right) = key.halves();
    let whiten = |mut block: [u8; 8]| {
        for (byte, mask) in block.iter_mut().zip(right) {
            *byte ^= mask;
        }
        block
    };
    Ok(whiten(Tdes::from_bytes(left)?.encrypt(whiten(register))))
}

fn join(left: [u8; 8], right: [u8; 8]) -> Result<Key, CryptoError> {
    let mut both = Zeroizing::new([0; 16]);
    both[..8].copy_from_slice(&left);
    both[8..].copy_from_slice(&right);
    Key::new(&both[..])
}

fn double_length(key: &Key) -> Result<(), CryptoError> {
    match key.bytes().len() {
        16 => Ok(()),
        got => Err(CryptoError::KeyLength { got }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::mac::{self, MacAlgorithm, Padding};
    use super::super::pin::{self, Pin, PinFormat};
    use super::*;

    const BDK: &str = "0123456789ABCDEFFEDCBA9876543210";

    /// Serial number, transaction key, PIN block, MAC of the request, of X9.24-1 annex A.4.
    const ROWS: [[&str; 4]; 12] = [
        [
            "FFFF9876543210E00001",
            "042666B49184CFA368DE9628D0397BC9",
            "1B9C1845EB993A7A",
            "9CCC7817",
        ],
        [
            "FFFF9876543210E00002",
            "C46551CEF9FD24B0AA9AD834130D3BC7",
            "10A01C8D02C69107",
            "F608A9BC",
        ],
        [
            "FFFF9876543210E00003",
            "0DF3D9422ACA56E547676D07AD6BADFA",
            "18DC07B94797B466",
            "20B59A4F",
        ],
        [
            "FFFF9876543210E00004",
            "279C0F6AEED0BE652B2C733E1383AE91",
            "0BC79509D5645DF7",
            "C7BFA6CC",
        ],
        [
            "FFFF9876543210E00005",
            "5F8DC6D2C845C125508DDC048093B83F",
            "5BC0AF22AD87B327",
            "0202B963",
        ],
        [
            "FFFF9876543210E00006",
            "5E415CB0BAF9F03CD0C14B63FB62FF43",
            "A16DF70AE36158D8",
            "CF6C72E6",
        ],
        [
            "FFFF9876543210E00007",
            "0C8F780B7C8B49D0AE84A9EB2A6CE660",
            "27711C16CB257F8E",
            "B11EB0D9",
        ],
        [
            "FFFF9876543210E00008",
            "27F66D5244FF62E1AA6F6120EDEB4280",
            "50E55547A5027551",
            "3679055B",
        ],
        [
            "FFFF9876543210EFF800",
            "F9CDFEBF4F5B1D9EB3EC12454527E176",
            "33365F5CC6F23C35",
            "23E3CB62",
        ],
        [
            "FFFF9876543210EFF801",
            "5BEE92627E97825C911BF619DF72CA3B",
            "3A86BF003F835C9D",
            "97623632",
        ],
        [
            "FFFF9876543210EFF802",
            "64CA2F8AB93F61B01620B00BF77C7301",
            "3DB977D05C36DF3F",
            "72608521",
        ],
        [
            "FFFF9876543210EFF804",
            "35A168695B3BA83307E871C42021DD37",
            "BA83243305712099",
            "D86687B7",
        ],
    ];

    #[test]
    fn annex_values() {
        let base = Key::from_hex(BDK).unwrap();
        for [serial, transaction, block, request_mac] in ROWS {
            let ksn = Ksn::parse(&hex::decode(serial).unwrap()).unwrap();
            let initial = initial_key(&base, ksn).unwrap();
            assert_eq!(hex::encode_upper(initial.bytes()), "6AC292FAA1315B4D858AB3A3D7D5933A");
            let key = transaction_key(&initial, ksn).unwrap();
            assert_eq!(hex::encode_upper(key.bytes()), transaction, "{serial}");
            let pin_key = pin_key(&initial, ksn).unwrap();
            let pin = Pin::from_ascii(b"1234").unwrap();
            let made = pin::make(&pin_key, PinFormat::Iso0, "4012345678909", &pin, [0; 10]);
            assert_eq!(hex::encode_upper(made.unwrap()), block, "{serial}");
            let mac_key = key.xor(&[0, 0, 0, 0, 0, 0, 0xFF, 0]);
            let algorithm = MacAlgorithm::Iso9797Alg3(Padding::Zeros);
            let mac = mac::generate(algorithm, &mac_key, b"4012345678909D987").unwrap();
            assert_eq!(hex::encode_upper(&mac.bytes()[..4]), request_mac, "{serial}");
        }
    }

    #[test]
    fn serial_numbers_at_their_edges() {
        let parse = |text: &str| Ksn::parse(&hex::decode(text).unwrap()).map(|k| k.counter);
        assert_eq!(parse("FFFF9876543210E00001"), Ok(1));
        assert_eq!(parse("FFFF9876543210E00000"), Err(KsnFault::Counter));
        assert_eq!(parse("FFFF9876543210E003FF"), Ok(0x3FF));
        assert_eq!(parse("FFFF9876543210E007FF"), Err(KsnFault::Counter));
        assert_eq!(parse("FFFF9876543210E000"), Err(KsnFault::Length));
        assert!(
            initial_key(
                &Key::from_32([1; 32]),
                Ksn::parse(&hex::decode("FFFF9876543210E00001").unwrap()).unwrap()
            )
            .is_err()
        );
    }
}
