//! Keys and PIN blocks of the pad: AES DUKPT (ANSI X9.24-3:2017) and ISO 9564-1 format 4.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Most one-bits of a transaction counter (ANSI X9.24-3).
pub const COUNTER_ONES_MAX: u32 = 16;
/// Largest transaction counter (ANSI X9.24-3).
pub const COUNTER_LAST: u32 = 0xFFFF_0000;

const USAGE_PIN: u16 = 0x1000;
const USAGE_DERIVATION: u16 = 0x8000;
#[cfg(test)]
const USAGE_INITIAL: u16 = 0x8001;
const ALGORITHM_AES128: u16 = 0x0002;
const KEY_BITS: u16 = 128;

type Key = Zeroizing<[u8; 16]>;

/// The keys that live in the pad.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PadKeys {
    initial: [u8; 16],
    identity: [u8; 8],
    tag: Vec<u8>,
}

impl PadKeys {
    /// Takes the initial key, its identity, and the key for card tags.
    pub fn new(initial: [u8; 16], identity: [u8; 8], tag: Vec<u8>) -> PadKeys {
        PadKeys { initial, identity, tag }
    }

    /// The key serial number of a counter.
    pub fn ksn(&self, counter: u32) -> [u8; 12] {
        let mut ksn = [0u8; 12];
        ksn[..8].copy_from_slice(&self.identity);
        ksn[8..].copy_from_slice(&counter.to_be_bytes());
        ksn
    }

    /// The tag of a card: the first 16 bytes of HMAC-SHA-256 over the digits.
    pub fn tag(&self, pan: &str) -> [u8; 16] {
        let mut tag = [0u8; 16];
        // A key of any length is right for HMAC.
        if let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.tag) {
            mac.update(pan.as_bytes());
            tag.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        }
        tag
    }

    /// Encrypts a PIN as format 4 under the PIN key of a counter.
    pub fn encrypt_pin(&self, counter: u32, pin: &[u8], pan: &str, random: [u8; 8]) -> [u8; 16] {
        let key = self.working_key(counter, USAGE_PIN);
        let mut block = pin_field(pin, random);
        encrypt(&key, &mut block);
        let pan_field = pan_field(pan);
        for (byte, other) in block.iter_mut().zip(pan_field.iter()) {
            *byte ^= other;
        }
        encrypt(&key, &mut block);
        *block
    }

    fn transaction_key(&self, counter: u32) -> Key {
        let mut key = Zeroizing::new(self.initial);
        let mut so_far = 0u32;
        for bit in (0..32).rev().map(|n| 1u32 << n) {
            if counter & bit != 0 {
                so_far |= bit;
                key = derive(&key, USAGE_DERIVATION, self.tail(so_far));
            }
        }
        key
    }

    fn working_key(&self, counter: u32, usage: u16) -> Key {
        derive(&self.transaction_key(counter), usage, self.tail(counter))
    }

    fn tail(&self, counter: u32) -> [u8; 8] {
        let mut tail = [0u8; 8];
        tail[..4].copy_from_slice(&self.identity[4..]);
        tail[4..].copy_from_slice(&counter.to_be_bytes());
        tail
    }
}

/// The next usable counter after one; `None` when the keys are used up.
pub fn next_counter(counter: u32) -> Option<u32> {
    let mut next = counter.checked_add(1)?;
    while next.count_ones() > COUNTER_ONES_MAX {
        // Adding the lowest one-bit skips all counters that have even more ones.
        next = next.checked_add(1 << next.trailing_zeros())?;
    }
    (next <= COUNTER_LAST).then_some(next)
}

fn derive(key: &Key, usage: u16, tail: [u8; 8]) -> Key {
    let mut data = Zeroizing::new([0u8; 16]);
    data[0] = 1;
    data[1] = 1;
    data[2..4].copy_from_slice(&usage.to_be_bytes());
    data[4..6].copy_from_slice(&ALGORITHM_AES128.to_be_bytes());
    data[6..8].copy_from_slice(&KEY_BITS.to_be_bytes());
    data[8..].copy_from_slice(&tail);
    encrypt(key, &mut data);
    data
}

fn encrypt(key: &[u8; 16], block: &mut [u8; 16]) {
    let cipher = Aes128::new(&(*key).into());
    let mut data = aes::Block::from(*block);
    cipher.encrypt_block(&mut data);
    block.copy_from_slice(&data);
    data.as_mut_slice().zeroize();
}

/// `4 L P..P A..A` to eight bytes, then eight random bytes; digits as numbers 0 to 9.
fn pin_field(pin: &[u8], random: [u8; 8]) -> Key {
    let mut nibbles = Zeroizing::new([0xAu8; 16]);
    nibbles[0] = 4;
    nibbles[1] = pin.len() as u8;
    for (place, digit) in nibbles[2..].iter_mut().zip(pin) {
        *place = *digit;
    }
    let mut field = Zeroizing::new([0u8; 16]);
    pack(&nibbles[..], &mut field[..8]);
    field[8..].copy_from_slice(&random);
    field
}

/// PAN length less 12, then the PAN, padded with zeros to 12 digits on the left and to the end on
/// the right.
fn pan_field(pan: &str) -> Key {
    let digits = pan.as_bytes();
    let mut nibbles = Zeroizing::new([0u8; 32]);
    nibbles[0] = digits.len().saturating_sub(12) as u8;
    let start = 1 + 12usize.saturating_sub(digits.len());
    for (place, digit) in nibbles[start..].iter_mut().zip(digits) {
        *place = digit.wrapping_sub(b'0') & 0x0F;
    }
    let mut field = Zeroizing::new([0u8; 16]);
    pack(&nibbles[..], &mut field[..]);
    field
}

fn pack(nibbles: &[u8], bytes: &mut [u8]) {
    for (byte, pair) in bytes.iter_mut().zip(nibbles.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        let mut out = [0; N];
        hex::decode_to_slice(text, &mut out).unwrap();
        out
    }

    fn keys() -> PadKeys {
        PadKeys::new(
            bytes("1273671EA26AC29AFA4D1084127652A1"),
            bytes("1234567890123456"),
            vec![7; 32],
        )
    }

    #[test]
    fn the_initial_key_is_that_of_the_standard() {
        let bdk = Zeroizing::new(bytes("FEDCBA9876543210F1F1F1F1F1F1F1F1"));
        let initial = derive(&bdk, USAGE_INITIAL, bytes("1234567890123456"));
        assert_eq!(*initial, bytes("1273671EA26AC29AFA4D1084127652A1"));
    }

    #[test]
    fn keys_and_blocks_are_those_of_the_standard() {
        // ANSI X9.24-3:2017 supplement: counter, transaction key, PIN key, PIN block.
        let table = [
            (
                1,
                "4F21B565BAD9835E112B6465635EAE44",
                "AF8CB133A78F8DC2D1359F18527593FB",
                "A912150391AB65A67E52883D81CE2D15",
            ),
            (
                2,
                "2F34D68DE10F68D38091A73B9E7C437C",
                "D30BDC73EC9714B000BEC66BDB7B6D09",
                "52A00503BD34BA1383F6A7EE9FE2547F",
            ),
            (
                3,
                "031504E530365CF81264238540518318",
                "7D69F01F3B45449F62C7816ECE723268",
                "A5A27E82B43A9A866A93D7ABE89CEF93",
            ),
            (
                4,
                "0EEFC7ADA628BA68878DA9165A8A1887",
                "91A0588318EC2673214271F70137896E",
                "71B3D0528669498777555A8BE6698E44",
            ),
        ];
        let keys = keys();
        for (counter, transaction, pin_key, block) in table {
            assert_eq!(*keys.transaction_key(counter), bytes(transaction));
            assert_eq!(*keys.working_key(counter, USAGE_PIN), bytes(pin_key));
            let made = keys.encrypt_pin(
                counter,
                &[1, 2, 3, 4],
                "4111111111111111",
                bytes("2F69ADDE2E9E7ACE"),
            );
            assert_eq!(made, bytes(block), "{counter}");
        }
        assert_eq!(keys.ksn(1), bytes("123456789012345600000001"));
    }

    #[test]
    fn format_4_fields_are_those_of_the_standard() {
        let field = pin_field(&[1, 2, 3, 4], [0xFF; 8]);
        assert_eq!(*field, bytes("441234AAAAAAAAAAFFFFFFFFFFFFFFFF"));
        let longest = pin_field(&[9; 12], [0; 8]);
        assert_eq!(*longest, bytes("4C999999999999AA0000000000000000"));
        let table = [
            ("1234567890123456789", "71234567890123456789000000000000"),
            ("4111111111111111", "44111111111111111000000000000000"),
            ("432198765432109870", "64321987654321098700000000000000"),
            ("12345", "00000000123450000000000000000000"),
        ];
        for (pan, right) in table {
            assert_eq!(*pan_field(pan), bytes(right), "{pan}");
        }
        // psec: key 0011..FF, PIN 1234, PAN 1234567890123456789.
        let key = Zeroizing::new(bytes("00112233445566778899AABBCCDDEEFF"));
        let mut block = pin_field(&[1, 2, 3, 4], [0xFF; 8]);
        encrypt(&key, &mut block);
        let pan = pan_field("1234567890123456789");
        block.iter_mut().zip(pan.iter()).for_each(|(byte, other)| *byte ^= other);
        encrypt(&key, &mut block);
        assert_eq!(*block, bytes("28B41FDDD29B743E93124BD8E32D921E"));
    }

    #[test]
    fn counters_with_too_many_ones_are_skipped_and_come_to_an_end() {
        assert_eq!(next_counter(0), Some(1));
        assert_eq!(next_counter(0x0000_FFFF), Some(0x0001_0000));
        assert_eq!(next_counter(0x0001_FFFE), Some(0x0002_0000));
        assert_eq!(next_counter(0xFFFE_8000), Some(0xFFFF_0000));
        assert_eq!(next_counter(COUNTER_LAST), None);
        assert_eq!(next_counter(u32::MAX), None);
        let mut counter = 0x00FF_FE00;
        for _ in 0..200 {
            let next = next_counter(counter).unwrap();
            assert!(next.count_ones() <= COUNTER_ONES_MAX);
            let between = (counter + 1..next).all(|skipped| skipped.count_ones() > 16);
            assert!(between, "{counter:08X} {next:08X}");
            counter = next;
        }
    }

    #[test]
    fn a_tag_is_the_head_of_the_hmac() {
        // The key of RFC 2202 with SHA-256:
        // HMAC-SHA-256(0b x 16, "Hi There"), computed with another implementation.
        let keys = PadKeys::new([0; 16], [0; 8], vec![0x0B; 16]);
        assert_eq!(keys.tag("Hi There"), bytes("492ce020fe2534a5789dc3848806c78f"));
    }
}
