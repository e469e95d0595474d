//! What stands for a card number outside the vault: keyed tags, the routing slot, the mask.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Key;

/// Bytes of a card tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of a block of SHA-256; no key of ours is longer.
const HASH_BLOCK_BYTES: usize = 64;

/// A card's tag: HMAC-SHA256 of the PAN's ASCII digits, cut to 16 bytes. PIN pads compute the same.
#[must_use]
pub fn card_tag(key: &Key, pan: &str) -> [u8; TAG_BYTES] {
    first_16(keyed_hash(key, pan.as_bytes()))
}

/// A card's routing bits: the low 12 bits of the first two bytes of HMAC-SHA256 of the PAN.
#[must_use]
pub fn routing_bits(key: &Key, pan: &str) -> u16 {
    let [a, b, ..] = keyed_hash(key, pan.as_bytes());
    u16::from_be_bytes([a, b]) & 0x0FFF
}

/// HMAC-SHA256 (RFC 2104). Padding the key with zeros to a block is what HMAC itself does.
#[must_use]
pub fn keyed_hash(key: &Key, data: &[u8]) -> [u8; 32] {
    let mut block = Zeroizing::new([0; HASH_BLOCK_BYTES]);
    block[..key.bytes().len()].copy_from_slice(key.bytes());
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// The first half of a hash.
#[must_use]
pub fn first_16(hash: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

/// A card number as people may see it: first 6 and last 4 digits, as many stars between as digits.
#[must_use]
pub fn mask(pan: &str) -> String {
    let len = pan.len();
    pan.chars()
        .enumerate()
        .map(|(at, digit)| if at < 6 || at + 4 >= len { digit } else { '*' })
        .collect()
}

/// Whether the last digit is the check digit of the others (ISO/IEC 7812-1 annex B).
#[must_use]
pub fn check_digit_holds(pan: &str) -> bool {
    let sum: u32 = pan
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, byte)| {
            let digit = u32::from(byte.wrapping_sub(b'0'));
            let doubled = digit * 2;
            match (at % 2 == 1, doubled > 9) {
                (false, _) => digit,
                (true, false) => doubled,
                (true, true) => doubled - 9,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 case 2 judges the hash under the tag.
    #[test]
    fn the_hash_is_hmac_sha256() {
        // "Jefe" is shorter than any of our keys; padding it with zeros is what HMAC does itself.
        let mut jefe = [0; 8];
        jefe[..4].copy_from_slice(b"Jefe");
        let key = Key::new(&jefe).unwrap();
        let hash = keyed_hash(&key, b"what do ya want for nothing?");
        assert_eq!(
            hex::encode(hash),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn tag_and_routing_golden() {
        let key = Key::from_32([0x42; 32]);
        let hash = keyed_hash(&key, b"6200000000000005");
        let tag = card_tag(&key, "6200000000000005");
        assert_eq!(tag[..], hash[..16]);
        assert_eq!(hex::encode(tag), "aeafbe38aae7de8da290cb7236423742");
        assert_ne!(tag, card_tag(&key, "6200000000000013"));
        assert_ne!(tag, card_tag(&Key::from_32([0x43; 32]), "6200000000000005"));
        let bits = routing_bits(&key, "6200000000000005");
        assert_eq!(bits, u16::from_be_bytes([hash[0], hash[1]]) % 4096);
    }

    #[test]
    fn masks_keep_six_and_four() {
        for (pan, expected) in [
            ("4111111111111111", "411111******1111"),
            ("6205500000000000004", "620550*********0004"),
            ("4222222222222", "422222***2222"),
        ] {
            assert_eq!(mask(pan), expected);
        }
    }

    #[test]
    fn check_digits_of_test_cards() {
        for (pan, good) in [
            ("4111111111111111", true),
            ("5555555555554444", true),
            ("2223003122003222", true),
            ("378282246310005", true),
            ("6011111111111117", true),
            ("3530111333300000", true),
            ("6200000000000005", true),
            ("6205500000000000004", true),
            ("6210948000000011", true),
            ("6250946000000016", true),
            ("4111111111111112", false),
        ] {
            assert_eq!(check_digit_holds(pan), good, "{pan}");
        }
    }
}
