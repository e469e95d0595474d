//! Message authentication codes of bank links: ISO 9797-1, X9.9, X9.19, UnionPay's ECB MAC, AES-CMAC.

use cmac::{Cmac, KeyInit, Mac as _};
use subtle::ConstantTimeEq;

use super::block::Tdes;
use super::{CryptoError, Key};

/// How the last block is filled (ISO/IEC 9797-1:2011 clause 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Method 1: zeros, none when the data are whole blocks.
    Zeros,
    /// Method 2: one bit, then zeros, always.
    Bit,
    /// Method 3: the length in bits as a first block, then zeros.
    Length,
}

/// A MAC algorithm, as a dialect names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// ISO 9797-1 algorithm 1: CBC-MAC under DES or TDES, by the key's length.
    Iso9797Alg1(Padding),
    /// ISO 9797-1 algorithm 3: the retail MAC, under a double-length DES key.
    Iso9797Alg3(Padding),
    /// ANSI X9.9: single DES CBC-MAC, zeros, leftmost 4 bytes.
    X99,
    /// ANSI X9.19: the retail MAC, zeros.
    X919,
    /// UnionPay POS "ECB MAC": 8 ASCII characters of hexadecimal.
    UnionPayEcb,
    /// AES-CMAC (RFC 4493), 16 bytes.
    AesCmac,
}

/// A computed MAC of 4 to 16 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Mac {
    bytes: [u8; 16],
    len: usize,
}

impl Mac {
    fn new(from: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..from.len()].copy_from_slice(from);
        Self { bytes, len: from.len() }
    }

    /// The MAC's bytes, all that the algorithm gives.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Computes a MAC.
///
/// # Errors
/// `KeyLength` for a key that the algorithm cannot have.
pub fn generate(algorithm: MacAlgorithm, key: &Key, data: &[u8]) -> Result<Mac, CryptoError> {
    match algorithm {
        MacAlgorithm::Iso9797Alg1(padding) => Ok(Mac::new(&cbc(&Tdes::new(key)?, data, padding))),
        MacAlgorithm::Iso9797Alg3(padding) => retail(key, data, padding),
        MacAlgorithm::X99 => {
            // X9.9 is single DES: a double-length key would silently be another algorithm.
            if key.bytes().len() != 8 {
                return Err(CryptoError::KeyLength { got: key.bytes().len() });
            }
            let [a, b, c, d, ..] = cbc(&Tdes::new(key)?, data, Padding::Zeros);
            Ok(Mac::new(&[a, b, c, d]))
        }
        MacAlgorithm::X919 => retail(key, data, Padding::Zeros),
        MacAlgorithm::UnionPayEcb => union_pay(key, data),
        MacAlgorithm::AesCmac => aes_cmac(key, data),
    }
}

/// Compares a received MAC in constant time. It may be cut to no less than 4 bytes, and no bytes
/// may follow it.
///
/// # Errors
/// `KeyLength` for a key that the algorithm cannot have.
pub fn verify(
    algorithm: MacAlgorithm,
    key: &Key,
    data: &[u8],
    received: &[u8],
) -> Result<bool, CryptoError> {
    let mac = generate(algorithm, key, data)?;
    // UnionPay's characters carry half a byte each, so that cutting them would leave too little.
    let least = if algorithm == MacAlgorithm::UnionPayEcb { mac.len } else { MAC_BYTES_MIN };
    let right_length = (least..=mac.len).contains(&received.len());
    Ok(right_length && bool::from(mac.bytes()[..received.len()].ct_eq(received)))
}

/// Bytes of a cut MAC at least.
pub const MAC_BYTES_MIN: usize = 4;

fn xor(into: &mut [u8; 8], block: &[u8]) {
    for (byte, other) in into.iter_mut().zip(block) {
        *byte ^= other;
    }
}

fn cbc(cipher: &Tdes, data: &[u8], padding: Padding) -> [u8; 8] {
    let mut state = [0; 8];
    let mut step = |block: &[u8]| {
        xor(&mut state, block);
        state = cipher.encrypt(state);
    };
    if padding == Padding::Length {
        step(&(data.len() as u64 * 8).to_be_bytes());
    }
    let (whole, rest) = data.as_chunks::<8>();
    whole.iter().for_each(|block| step(block));
    match padding {
        Padding::Bit => {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            last[rest.len()] = 0x80;
            step(&last);
        }
        // Nothing at all is one block of zeros; whole blocks need nothing more.
        Padding::Zeros if !rest.is_empty() || data.is_empty() => step(rest),
        Padding::Length if !rest.is_empty() => step(rest),
        Padding::Zeros | Padding::Length => {}
    }
    state
}

fn retail(key: &Key, data: &[u8], padding: Padding) -> Result<Mac, CryptoError> {
    if key.bytes().len() != 16 {
        return Err(CryptoError::KeyLength { got: key.bytes().len() });
    }
    let (first, second) = key.halves();
    algorithm_3(first, second, data, padding)
}

fn algorithm_3(
    first: &[u8],
    second: &[u8],
    data: &[u8],
    padding: Padding,
) -> Result<Mac, CryptoError> {
    let (first, second) = (Tdes::from_bytes(first)?, Tdes::from_bytes(second)?);
    Ok(Mac::new(&first.encrypt(second.decrypt(cbc(&first, data, padding)))))
}

fn union_pay(key: &Key, data: &[u8]) -> Result<Mac, CryptoError> {
    let cipher = Tdes::new(key)?;
    let mut folded = [0; 8];
    data.chunks(8).for_each(|block| xor(&mut folded, block));
    let text = upper_hex(folded);
    let (left, right) = text.split_at(8);
    let mut state = [0; 8];
    xor(&mut state, left);
    state = cipher.encrypt(state);
    xor(&mut state, right);
    Ok(Mac::new(&upper_hex(cipher.encrypt(state))[..8]))
}

fn upper_hex(bytes: [u8; 8]) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = [0; 16];
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xF)]];
    }
    out
}

fn aes_cmac(key: &Key, data: &[u8]) -> Result<Mac, CryptoError> {
    let bytes = key.bytes();
    let wrong = |_| CryptoError::KeyLength { got: bytes.len() };
    match bytes.len() {
        16 => {
            let mut mac = Cmac::<aes::Aes128>::new_from_slice(bytes).map_err(wrong)?;
            mac.update(data);
            Ok(Mac::new(&mac.finalize().into_bytes()))
        }
        32 => {
            let mut mac = Cmac::<aes::Aes256>::new_from_slice(bytes).map_err(wrong)?;
            mac.update(data);
            Ok(Mac::new(&mac.finalize().into_bytes()))
        }
        got => Err(CryptoError::KeyLength { got }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use MacAlgorithm::*;
    use Padding::*;

    const TIME_ALL: &[u8] = b"Now is the time for all ";
    const TIME_IT: &[u8] = b"Now is the time for it";
    const DOUBLE: &str = "0123456789ABCDEFFEDCBA9876543210";
    const SINGLE: &str = "0123456789ABCDEF";

    fn mac(algorithm: MacAlgorithm, key: &str, data: &[u8]) -> String {
        let mac = generate(algorithm, &Key::from_hex(key).unwrap(), data).unwrap();
        hex::encode_upper(mac.bytes())
    }

    #[test]
    fn published_values() {
        let cmac_key = "2B7E151628AED2A6ABF7158809CF4F3C";
        let cmac_block = hex::decode("6BC1BEE22E409F96E93D7E117393172A").unwrap();
        let rows: [(MacAlgorithm, &str, &[u8], &str); 12] = [
            (Iso9797Alg3(Zeros), DOUBLE, TIME_ALL, "A1C72E74EA3FA9B6"),
            (Iso9797Alg3(Bit), DOUBLE, TIME_ALL, "E9086230CA3BE796"),
            (Iso9797Alg1(Zeros), SINGLE, TIME_ALL, "70A30640CC76DD8B"),
            (Iso9797Alg3(Zeros), DOUBLE, TIME_IT, "2E2B1428CC78254F"),
            (X919, DOUBLE, TIME_IT, "2E2B1428CC78254F"),
            (Iso9797Alg3(Bit), DOUBLE, TIME_IT, "5A692CE64F404145"),
            (Iso9797Alg1(Zeros), SINGLE, TIME_IT, "E45B3AD2B7CC0856"),
            (X99, SINGLE, TIME_IT, "E45B3AD2"),
            (
                Iso9797Alg1(Zeros),
                "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBB",
                b"hello world",
                "68D9038F23360DF3",
            ),
            (AesCmac, cmac_key, b"", "BB1D6929E95937287FA37D129B756746"),
            (AesCmac, cmac_key, &cmac_block, "070A16B46B4D4144F79BDD9DD04A287C"),
            (UnionPayEcb, SINGLE, TIME_ALL, "3145374141423738"),
        ];
        for (algorithm, key, data, expected) in rows {
            assert_eq!(mac(algorithm, key, data), expected, "{algorithm:?}");
        }
        assert_eq!(mac(UnionPayEcb, DOUBLE, TIME_IT), hex::encode_upper("0A874F34"));
    }

    /// Two whole TDES keys instead of two halves, from the tests of the Python package psec.
    #[test]
    fn algorithm_3_over_tdes() {
        for (padding, expected) in [(Zeros, "3DDE5C5511661CBF"), (Bit, "E16941032C3BC7D4")] {
            let mac = algorithm_3(&[b'A'; 16], &[b'B'; 16], b"hello world", padding).unwrap();
            assert_eq!(hex::encode_upper(mac.bytes()), expected);
        }
    }

    /// A message published with its host-made MAC (q.cnblogs.com/q/128930). Its payment code of 18
    /// digits has the length byte 12h; only so does the published XOR block come out.
    #[test]
    fn union_pay_published_message() {
        // The MAC covers neither the length (2 bytes) nor TPDU (5) nor header (6).
        let frame = hex::decode(concat!(
            "007F600003000060321032007202003020048000C08015000000000000001234000002030099",
            "303030303030303139353237313831383232313738373531353600192600000100060000000000",
            "435F01123238343431323334353637383930313233345F03063136303033365F04063230303832",
            "365C0230314233413039324145"
        ))
        .unwrap();
        let data = &frame[13..frame.len() - 8];
        assert_eq!(&data[..2], [0x02, 0x00]);
        assert_eq!(data.len(), 108);
        let expected = hex::encode_upper("B3A092AE");
        assert_eq!(mac(UnionPayEcb, "0723C80DB5F4CD3D", data), expected);
        assert_eq!(mac(UnionPayEcb, "0723C80DB5F4CD3D0723C80DB5F4CD3D", data), expected);
        assert_eq!(&frame[frame.len() - 8..], b"B3A092AE");
    }

    #[test]
    fn padding_3_puts_the_length_first() {
        let mut by_hand = (TIME_IT.len() as u64 * 8).to_be_bytes().to_vec();
        by_hand.extend_from_slice(TIME_IT);
        for key in [SINGLE, DOUBLE] {
            let expected = mac(Iso9797Alg1(Zeros), key, &by_hand);
            assert_eq!(mac(Iso9797Alg1(Length), key, TIME_IT), expected);
        }
        assert_eq!(mac(Iso9797Alg1(Length), SINGLE, b""), mac(Iso9797Alg1(Zeros), SINGLE, &[0; 8]));
        assert_eq!(mac(Iso9797Alg1(Zeros), SINGLE, b""), mac(Iso9797Alg1(Zeros), SINGLE, &[0; 8]));
    }

    #[test]
    fn verification_takes_no_other_length_and_no_other_bit() {
        let key = Key::from_hex(DOUBLE).unwrap();
        let whole = generate(X919, &key, TIME_IT).unwrap();
        for len in 0..=8 {
            let good = verify(X919, &key, TIME_IT, &whole.bytes()[..len]).unwrap();
            assert_eq!(good, len >= MAC_BYTES_MIN, "{len}");
        }
        let mut longer = whole.bytes().to_vec();
        longer.push(0);
        assert!(!verify(X919, &key, TIME_IT, &longer).unwrap());
        for bit in 0..64 {
            let mut bad = whole.bytes().to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(X919, &key, TIME_IT, &bad).unwrap(), "{bit}");
        }
        let text = generate(UnionPayEcb, &key, TIME_IT).unwrap();
        assert!(verify(UnionPayEcb, &key, TIME_IT, text.bytes()).unwrap());
        assert!(!verify(UnionPayEcb, &key, TIME_IT, &text.bytes()[..7]).unwrap());
    }

    #[test]
    fn keys_of_another_algorithm_are_refused() {
        let rows = [
            (X99, 16),
            (X919, 8),
            (X919, 24),
            (Iso9797Alg3(Bit), 8),
            (AesCmac, 8),
            (UnionPayEcb, 32),
        ];
        for (algorithm, len) in rows {
            let refused = generate(algorithm, &Key::new(&vec![1; len]).unwrap(), b"x");
            assert_eq!(refused.err(), Some(CryptoError::KeyLength { got: len }), "{algorithm:?}");
        }
    }

    proptest! {
        #[test]
        fn any_data_has_a_mac_that_verifies(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let key = Key::from_hex(DOUBLE).unwrap();
            for algorithm in
                [Iso9797Alg1(Bit), Iso9797Alg3(Length), X919, UnionPayEcb, AesCmac]
            {
                let mac = generate(algorithm, &key, &data).unwrap();
                prop_assert!(verify(algorithm, &key, &data, mac.bytes()).unwrap());
            }
        }
    }
}
