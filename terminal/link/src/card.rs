//! Sealing of swiped card data to the center's card key, so that nothing between reader and key server reads it.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::limits::TAG_BYTES;

/// First byte of a sealed box.
pub const SEALED_CARD_VERSION: u8 = 1;
/// Label under which the box's key is derived.
pub const SEALED_CARD_INFO: &[u8] = b"guichet/card/1";
/// Bytes that sealing adds: version, ephemeral public key, tag.
pub const SEALED_CARD_OVERHEAD_BYTES: usize = 1 + 32 + TAG_BYTES;
/// Largest plaintext, in bytes (ISO 7813 track 1 has 79 characters, track 2 has 40).
pub const MAX_CARD_BYTES: usize = 256;

/// Fault of sealing or opening card data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// More than `MAX_CARD_BYTES`.
    #[error("card data is larger than {MAX_CARD_BYTES} bytes")]
    TooLong,
    /// The peer's key gives an all-zero shared secret (RFC 7748, 6.1).
    #[error("the card key is a point of small order")]
    WeakKey,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// Shorter than the overhead, or longer than any box.
    #[error("a sealed card has between {SEALED_CARD_OVERHEAD_BYTES} and {} bytes", SEALED_CARD_OVERHEAD_BYTES + MAX_CARD_BYTES)]
    Length,
    /// A version that this build does not know.
    #[error("sealed card of version {0} is not known")]
    Version(u8),
    /// Changed, for another key, or for another terminal or session.
    #[error("the sealed card does not open")]
    Forged,
}

/// Seals `plaintext` (track 2) to the center's card key, bound to `aad` (terminal and session).
///
/// The box is version 1, the ephemeral public key, then ChaCha20-Poly1305 ciphertext and tag (RFC 8439).
///
/// # Errors
/// `TooLong`, `WeakKey` or `Random`.
pub fn seal_card(
    center_card_key: [u8; 32],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    let mut ephemeral = Zeroizing::new([0u8; 32]);
    getrandom::fill(ephemeral.as_mut()).map_err(|_| SealError::Random)?;
    seal_with(&ephemeral, center_card_key, aad, plaintext)
}

/// Opens what `seal_card` made; for judges of the format (the key server has its own).
///
/// # Errors
/// `Length`, `Version`, `WeakKey` or `Forged`.
pub fn open_card(
    card_secret: &[u8; 32],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let longest = SEALED_CARD_OVERHEAD_BYTES + MAX_CARD_BYTES;
    if sealed.len() < SEALED_CARD_OVERHEAD_BYTES || sealed.len() > longest {
        return Err(SealError::Length);
    }
    let (head, ciphertext) = sealed.split_first_chunk::<33>().ok_or(SealError::Length)?;
    if head[0] != SEALED_CARD_VERSION {
        return Err(SealError::Version(head[0]));
    }
    let mut ephemeral = [0u8; 32];
    ephemeral.copy_from_slice(&head[1..]);
    let secret = StaticSecret::from(*card_secret);
    let recipient = PublicKey::from(&secret).to_bytes();
    let key = box_key(&secret, ephemeral, ephemeral, recipient)?;
    ChaCha20Poly1305::new((&*key).into())
        .decrypt(&Nonce::default(), Payload { msg: ciphertext, aad })
        .map(Zeroizing::new)
        .map_err(|_| SealError::Forged)
}

fn seal_with(
    ephemeral: &[u8; 32],
    recipient: [u8; 32],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, SealError> {
    if plaintext.len() > MAX_CARD_BYTES {
        return Err(SealError::TooLong);
    }
    let secret = StaticSecret::from(*ephemeral);
    let public = PublicKey::from(&secret).to_bytes();
    let key = box_key(&secret, recipient, public, recipient)?;
    // The key is used once, so a fixed nonce is safe.
    let ciphertext = ChaCha20Poly1305::new((&*key).into())
        .encrypt(&Nonce::default(), Payload { msg: plaintext, aad })
        .map_err(|_| SealError::TooLong)?;
    let mut sealed = Vec::with_capacity(SEALED_CARD_OVERHEAD_BYTES + plaintext.len());
    sealed.push(SEALED_CARD_VERSION);
    sealed.extend_from_slice(&public);
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

fn box_key(
    mine: &StaticSecret,
    theirs: [u8; 32],
    ephemeral: [u8; 32],
    recipient: [u8; 32],
) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let shared = mine.diffie_hellman(&PublicKey::from(theirs));
    if !shared.was_contributory() {
        return Err(SealError::WeakKey);
    }
    let salt = [ephemeral, recipient].concat();
    let mut key = Zeroizing::new([0u8; 32]);
    Hkdf::<Sha256>::new(Some(&salt), shared.as_bytes())
        .expand(SEALED_CARD_INFO, key.as_mut())
        .expect("32 bytes is below HKDF's limit of 8160");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACK: &[u8] = b"6222021234567890128=29122010000012300000";

    fn pair() -> ([u8; 32], [u8; 32]) {
        let secret = [7u8; 32];
        (secret, PublicKey::from(&StaticSecret::from(secret)).to_bytes())
    }

    #[test]
    fn what_is_sealed_opens_and_differs_each_time() {
        let (secret, public) = pair();
        let first = seal_card(public, b"T0000001/5", TRACK).unwrap();
        let second = seal_card(public, b"T0000001/5", TRACK).unwrap();
        assert_ne!(first, second);
        assert_eq!(first.len(), TRACK.len() + SEALED_CARD_OVERHEAD_BYTES);
        assert_eq!(open_card(&secret, b"T0000001/5", &first).unwrap().as_slice(), TRACK);
    }

    /// The layout is a promise to the key server; computed with the Python package `cryptography` (ephemeral 09…, recipient 07…).
    #[test]
    fn golden_box() {
        let (secret, public) = pair();
        let sealed = seal_with(&[9; 32], public, b"aad", b"4761739001010010=2512").unwrap();
        let hex = hex::encode(&sealed);
        assert_eq!(hex, GOLDEN);
        assert!(open_card(&secret, b"aad", &sealed).is_ok());
    }
    const GOLDEN: &str = "0157db4b359f23ae5e146e4e2512056704722506348c150c14753d0c933d04d421cdf89c9ef5bc428bdb2df955c6b834fb378fe4369518dd8579aa2229cae09e27cbd7d39126";

    #[test]
    fn one_flipped_bit_or_another_session_does_not_open() {
        let (secret, public) = pair();
        let sealed = seal_card(public, b"T0000001/5", TRACK).unwrap();
        assert_eq!(open_card(&secret, b"T0000001/6", &sealed), Err(SealError::Forged));
        assert_eq!(open_card(&[8; 32], b"T0000001/5", &sealed), Err(SealError::Forged));
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let outcome = open_card(&secret, b"T0000001/5", &bad);
            // The high bit of the ephemeral key is masked by X25519, but it is part of the salt.
            assert!(matches!(outcome, Err(SealError::Forged | SealError::Version(_))), "bit {bit}");
        }
    }

    #[test]
    fn weak_keys_and_long_data_are_refused() {
        let mut order_eight = [0u8; 32];
        order_eight[0] = 1;
        for weak in [[0; 32], order_eight] {
            assert_eq!(seal_card(weak, b"", TRACK), Err(SealError::WeakKey));
        }
        let (_, public) = pair();
        assert!(seal_card(public, b"", &[b'1'; MAX_CARD_BYTES]).is_ok());
        assert_eq!(seal_card(public, b"", &[b'1'; MAX_CARD_BYTES + 1]), Err(SealError::TooLong));
    }

    proptest! {
        #[test]
        fn random_bytes_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(open_card(&[7; 32], b"", &bytes).is_err());
        }
    }
}
