//! The host's own cryptography: TDES, ISO 9564-1 format 0, MACs, key wrapping. It shares no code
//! with the key server, so that each is the other's judge.

use aes::Aes128;
use cmac::{Cmac, Mac};
use des::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use des::{Des, TdesEde2};
use guichet_iso8583::MacAlgorithm;
use zeroize::Zeroizing;

/// A DES key of 8 bytes or a TDES key of 16.
#[derive(Clone)]
pub struct ZoneKey(Zeroizing<Vec<u8>>);

/// Why a PIN block was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinFault {
    /// Not a format 0 block for this card: wrong key, wrong card or garbage.
    BadBlock,
}

impl ZoneKey {
    /// A key of 8 or 16 bytes; `None` for another length.
    pub fn new(bytes: &[u8]) -> Option<ZoneKey> {
        matches!(bytes.len(), 8 | 16).then(|| ZoneKey(Zeroizing::new(bytes.to_vec())))
    }

    /// A fresh random key of odd parity.
    ///
    /// # Errors
    /// The operating system's random source failing.
    pub fn random(length: usize) -> anyhow::Result<ZoneKey> {
        let mut bytes = Zeroizing::new(vec![0u8; length]);
        getrandom::fill(&mut bytes)?;
        for byte in bytes.iter_mut() {
            if byte.count_ones().is_multiple_of(2) {
                *byte ^= 1;
            }
        }
        ZoneKey::new(&bytes).ok_or_else(|| anyhow::anyhow!("a zone key has 8 or 16 bytes"))
    }

    fn left(&self) -> &[u8] {
        &self.0[..8]
    }

    fn right(&self) -> &[u8] {
        &self.0[self.0.len() - 8..]
    }

    /// One block under DES or TDES, by the key's length.
    pub fn encrypt(&self, block: [u8; 8]) -> [u8; 8] {
        let mut out = Array::from(block);
        match TdesEde2::new_from_slice(&self.0) {
            Ok(cipher) => cipher.encrypt_block(&mut out),
            Err(_) => single(self.left(), |cipher| cipher.encrypt_block(&mut out)),
        }
        out.into()
    }

    /// The inverse of [`ZoneKey::encrypt`].
    pub fn decrypt(&self, block: [u8; 8]) -> [u8; 8] {
        let mut out = Array::from(block);
        match TdesEde2::new_from_slice(&self.0) {
            Ok(cipher) => cipher.decrypt_block(&mut out),
            Err(_) => single(self.left(), |cipher| cipher.decrypt_block(&mut out)),
        }
        out.into()
    }

    /// This key encrypted under another, block by block.
    pub fn wrapped_under(&self, master: &ZoneKey) -> Vec<u8> {
        self.0.chunks_exact(8).flat_map(|chunk| master.encrypt(block_of(chunk))).collect()
    }

    /// The first bytes of zeros encrypted under this key.
    pub fn check_value(&self, length: usize) -> Vec<u8> {
        self.encrypt([0; 8])[..length.min(8)].to_vec()
    }
}

fn single(key: &[u8], run: impl FnOnce(&Des)) {
    if let Ok(cipher) = Des::new_from_slice(key) {
        run(&cipher);
    }
}

fn block_of(chunk: &[u8]) -> [u8; 8] {
    let mut block = [0; 8];
    block[..chunk.len()].copy_from_slice(chunk);
    block
}

fn xor(a: [u8; 8], b: [u8; 8]) -> [u8; 8] {
    std::array::from_fn(|at| a[at] ^ b[at])
}

/// The second operand of format 0: zeros and the twelve digits before the check digit.
fn pan_block(pan: &str) -> Option<[u8; 8]> {
    let digits: Vec<u8> =
        pan.bytes().map(|b| b.is_ascii_digit().then(|| b - b'0')).collect::<Option<_>>()?;
    if digits.len() < 13 {
        return None;
    }
    let twelve = &digits[digits.len() - 13..digits.len() - 1];
    let mut block = [0; 8];
    for (at, pair) in twelve.chunks_exact(2).enumerate() {
        block[at + 2] = pair[0] << 4 | pair[1];
    }
    Some(block)
}

/// Reads the PIN out of an encrypted format 0 block.
///
/// # Errors
/// [`PinFault::BadBlock`] if control, length, digits or filler are wrong.
pub fn read_pin(
    key: &ZoneKey,
    encrypted: [u8; 8],
    pan: &str,
) -> Result<Zeroizing<String>, PinFault> {
    let clear = xor(key.decrypt(encrypted), pan_block(pan).ok_or(PinFault::BadBlock)?);
    let nibbles: Zeroizing<Vec<u8>> =
        Zeroizing::new(clear.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect());
    let length = usize::from(nibbles[1]);
    if nibbles[0] != 0 || !(4..=12).contains(&length) {
        return Err(PinFault::BadBlock);
    }
    let (digits, filler) = nibbles[2..].split_at(length);
    if digits.iter().any(|digit| *digit > 9) || filler.iter().any(|nibble| *nibble != 15) {
        return Err(PinFault::BadBlock);
    }
    Ok(Zeroizing::new(digits.iter().map(|digit| char::from(b'0' + digit)).collect()))
}

/// Makes an encrypted format 0 block; `None` for a PIN or PAN of wrong form. For tests of hosts.
pub fn make_pin_block(key: &ZoneKey, pin: &str, pan: &str) -> Option<[u8; 8]> {
    let length = pin.len();
    if !(4..=12).contains(&length) || !pin.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut nibbles = vec![0u8, length as u8];
    nibbles.extend(pin.bytes().map(|b| b - b'0'));
    nibbles.resize(16, 15);
    let clear = std::array::from_fn(|at| nibbles[at * 2] << 4 | nibbles[at * 2 + 1]);
    Some(key.encrypt(xor(clear, pan_block(pan)?)))
}

/// The MAC of a message, eight bytes.
pub fn mac(key: &ZoneKey, algorithm: MacAlgorithm, message: &[u8]) -> [u8; 8] {
    match algorithm {
        MacAlgorithm::Iso9797Alg1Pad1 => chain(key.left(), &pad1(message)),
        MacAlgorithm::Iso9797Alg3Pad1 => retail(key, &pad1(message)),
        MacAlgorithm::Iso9797Alg3Pad2 => retail(key, &pad2(message)),
        MacAlgorithm::UnionpayEcb => unionpay(key, message),
        MacAlgorithm::AesCmac => aes_cmac(&key.0, message),
    }
}

fn pad1(message: &[u8]) -> Vec<u8> {
    let mut padded = message.to_vec();
    padded.resize(message.len().div_ceil(8).max(1) * 8, 0);
    padded
}

fn pad2(message: &[u8]) -> Vec<u8> {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().div_ceil(8) * 8, 0);
    padded
}

/// CBC-MAC with single DES.
fn chain(key: &[u8], padded: &[u8]) -> [u8; 8] {
    let Some(key) = ZoneKey::new(key) else { return [0; 8] };
    padded.chunks_exact(8).fold([0; 8], |state, chunk| key.encrypt(xor(state, block_of(chunk))))
}

/// ISO 9797-1 algorithm 3: the chain, then decrypt with the right half and encrypt with the left.
fn retail(key: &ZoneKey, padded: &[u8]) -> [u8; 8] {
    let state = chain(key.left(), padded);
    match (ZoneKey::new(key.left()), ZoneKey::new(key.right())) {
        (Some(left), Some(right)) => left.encrypt(right.decrypt(state)),
        _ => state,
    }
}

/// UnionPay POS: XOR of all blocks as hexadecimal text, its halves through two encryptions.
fn unionpay(key: &ZoneKey, message: &[u8]) -> [u8; 8] {
    let folded =
        pad1(message).chunks_exact(8).fold([0; 8], |state, chunk| xor(state, block_of(chunk)));
    let text = hex_text(&folded);
    let first = key.encrypt(block_of(&text[..8]));
    let second = key.encrypt(xor(first, block_of(&text[8..])));
    block_of(&hex_text(&second)[..8])
}

fn hex_text(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect()
}

fn aes_cmac(key: &[u8], message: &[u8]) -> [u8; 8] {
    match Cmac::<Aes128>::new_from_slice(key) {
        Ok(mut cmac) => {
            cmac.update(message);
            block_of(&cmac.finalize().into_bytes()[..8])
        }
        Err(_) => [0; 8],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ZoneKey {
        ZoneKey::new(&hex::decode(text).expect("hex")).expect("key")
    }

    fn block(text: &str) -> [u8; 8] {
        hex::decode(text).expect("hex").try_into().expect("8 bytes")
    }

    const DOUBLE: &str = "0123456789ABCDEFFEDCBA9876543210";

    #[test]
    fn clear_pin_blocks_are_the_published_ones() {
        // psec tests and the annex of X9.24-1.
        let rows = [
            ("1234", "5555555551234567", "041261AAAAEDCBA9"),
            ("123456789", "5555555551234567", "091261032D8DCBA9"),
            ("123456789012", "5555555551234567", "0C1261032D8226A9"),
            ("1234", "43219876543210987", "0412AC89ABCDEF67"),
            ("1234", "4012345678909", "041274EDCBA9876F"),
        ];
        let key = key(DOUBLE);
        for (pin, pan, clear) in rows {
            let encrypted = make_pin_block(&key, pin, pan).expect("block");
            assert_eq!(hex::encode_upper(key.decrypt(encrypted)), clear);
            assert_eq!(read_pin(&key, encrypted, pan).as_deref().map(String::as_str), Ok(pin));
        }
    }

    #[test]
    fn an_encrypted_block_is_the_published_one() {
        let found = make_pin_block(&key(DOUBLE), "1234", "4111111111111111").expect("block");
        assert_eq!(hex::encode_upper(found), "2A3D408A1977DDE9");
        let other = key("89ABCDEF0123456776543210FEDCBA98");
        let found = make_pin_block(&other, "1234", "4111111111111111").expect("block");
        assert_eq!(hex::encode_upper(found), "58B583E21EEB26B5");
    }

    #[test]
    fn blocks_of_wrong_form_are_refused() {
        let key = key(DOUBLE);
        for clear in
            ["241261AAAAEDCBA9", "0F1261AAAAEDCBA9", "041261AAAAEDCBAA", "051261AAAAEDCBA9"]
        {
            let encrypted = key.encrypt(block(clear));
            let found = read_pin(&key, encrypted, "5555555551234567");
            assert_eq!(found.err(), Some(PinFault::BadBlock), "{clear}");
        }
        let good = make_pin_block(&key, "1234", "5555555551234567").expect("block");
        assert!(read_pin(&key, good, "5555555559994567").is_err(), "other card");
        assert!(read_pin(&key, good, "123").is_err());
    }

    #[test]
    fn macs_are_the_published_ones() {
        use MacAlgorithm as M;
        let long = "Now is the time for all ";
        let short = "Now is the time for it";
        let rows = [
            (M::Iso9797Alg3Pad1, DOUBLE, long, "A1C72E74EA3FA9B6"),
            (M::Iso9797Alg3Pad2, DOUBLE, long, "E9086230CA3BE796"),
            (M::Iso9797Alg1Pad1, "0123456789ABCDEF", long, "70A30640CC76DD8B"),
            (M::Iso9797Alg3Pad1, DOUBLE, short, "2E2B1428CC78254F"),
            (M::Iso9797Alg3Pad2, DOUBLE, short, "5A692CE64F404145"),
            (M::Iso9797Alg1Pad1, "0123456789ABCDEF", short, "E45B3AD2B7CC0856"),
            (M::UnionpayEcb, "0123456789ABCDEF", long, "3145374141423738"),
            (M::UnionpayEcb, DOUBLE, short, "3041383734463334"),
            (M::AesCmac, "2B7E151628AED2A6ABF7158809CF4F3C", "", "BB1D6929E9593728"),
        ];
        for (algorithm, text, message, expected) in rows {
            let found = mac(&key(text), algorithm, message.as_bytes());
            assert_eq!(hex::encode_upper(found), expected, "{algorithm:?} {message}");
        }
    }

    #[test]
    fn the_mac_of_the_published_message_is_its_own() {
        let body = hex::decode(
            "02003020048000C0801500000000000000123400000203009930303030303030313935\
             3237313831383232313738373531353600192600000100060000000000435F01123238\
             343431323334353637383930313233345F03063136303033365F04063230303832365C\
             023031",
        )
        .expect("hex");
        assert_eq!(body.len(), 108);
        let found = mac(&key("0723C80DB5F4CD3D0723C80DB5F4CD3D"), MacAlgorithm::UnionpayEcb, &body);
        assert_eq!(&found, b"B3A092AE");
    }

    #[test]
    fn wrapped_keys_unwrap_and_have_the_published_check_values() {
        assert_eq!(hex::encode_upper(key(DOUBLE).check_value(3)), "08D7B4");
        let other = key("89ABCDEF0123456776543210FEDCBA98");
        assert_eq!(hex::encode_upper(other.check_value(3)), "EB7A8D");
        let wrapped = other.wrapped_under(&key(DOUBLE));
        let clear: Vec<u8> = wrapped
            .chunks_exact(8)
            .flat_map(|chunk| key(DOUBLE).decrypt(block_of(chunk)))
            .collect();
        assert_eq!(hex::encode_upper(clear), "89ABCDEF0123456776543210FEDCBA98");
        let random = ZoneKey::random(16).expect("random");
        assert!(random.0.iter().all(|byte| byte.count_ones() % 2 == 1));
    }
}
