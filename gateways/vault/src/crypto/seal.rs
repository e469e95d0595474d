//! Authenticated encryption: records under a symmetric key, and boxes that terminals seal to the center.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{CryptoError, Key};

/// Bytes of a nonce in front of a sealed record.
pub const NONCE_BYTES: usize = 12;
/// Bytes of the authentication tag after a ciphertext.
pub const SEAL_TAG_BYTES: usize = 16;
/// The version byte of a sealed box.
pub const BOX_VERSION: u8 = 1;
/// Bytes of a sealed box without its content.
pub const BOX_OVERHEAD: usize = 1 + 32 + SEAL_TAG_BYTES;
/// Bytes of a sealed box at most: a box holds one track, so anything longer is no card.
pub const BOX_BYTES_MAX: usize = 1024;
/// What a sealed box is for, bound into its key.
pub const CARD_CONTEXT: &[u8] = b"guichet/card/1";

fn cipher(key: &Key) -> Result<ChaCha20Poly1305, CryptoError> {
    Ok(ChaCha20Poly1305::new(key.bytes_32()?.into()))
}

/// Encrypts with a nonce that the caller never uses again under this key.
///
/// # Errors
/// `KeyLength` unless the key has 32 bytes; `Unsealed` beyond the cipher's 256 GiB.
pub fn encrypt(
    key: &Key,
    nonce: [u8; NONCE_BYTES],
    aad: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    cipher(key)?
        .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad })
        .map_err(|_| CryptoError::Unsealed)
}

/// Decrypts; the result is wiped when dropped.
///
/// # Errors
/// `Unsealed` when key, nonce, context or bytes are not those of the encryption; `KeyLength`.
pub fn decrypt(
    key: &Key,
    nonce: [u8; NONCE_BYTES],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    cipher(key)?
        .decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad })
        .map(Zeroizing::new)
        .map_err(|_| CryptoError::Unsealed)
}

/// Encrypts a record and puts the nonce before it.
///
/// # Errors
/// As [`encrypt`].
pub fn seal_record(
    key: &Key,
    nonce: [u8; NONCE_BYTES],
    aad: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let mut out = nonce.to_vec();
    out.append(&mut encrypt(key, nonce, aad, plain)?);
    Ok(out)
}

/// Opens what [`seal_record`] made.
///
/// # Errors
/// `SealedForm` when too short, else as [`decrypt`].
pub fn open_record(
    key: &Key,
    aad: &[u8],
    record: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let (nonce, sealed) =
        record.split_first_chunk::<NONCE_BYTES>().ok_or(CryptoError::SealedForm)?;
    decrypt(key, *nonce, aad, sealed)
}

/// Expands one key into another for a named purpose (HKDF-SHA256, RFC 5869).
///
/// # Errors
/// `KeyLength` is not expected: 32 bytes are always within HKDF's reach.
pub fn derive_32(salt: &[u8], material: &[u8], info: &[u8]) -> Result<Key, CryptoError> {
    let mut out = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), material)
        .expand(info, &mut out[..])
        .map_err(|_| CryptoError::KeyLength { got: 32 })?;
    Ok(Key::from_32(*out))
}

fn box_key(
    secret: &StaticSecret,
    theirs: &PublicKey,
    ephemeral: &[u8; 32],
    recipient: &[u8; 32],
) -> Result<Key, CryptoError> {
    let shared = secret.diffie_hellman(theirs);
    if !shared.was_contributory() {
        return Err(CryptoError::Degenerate);
    }
    let mut salt = [0; 64];
    salt[..32].copy_from_slice(ephemeral);
    salt[32..].copy_from_slice(recipient);
    derive_32(&salt, shared.as_bytes(), CARD_CONTEXT)
}

/// Seals to a public key: version, ephemeral public key, ciphertext and tag. Each ephemeral secret
/// is for one box, which is why the nonce may be zero.
///
/// # Errors
/// `Degenerate` for a recipient that gives no secret.
pub fn seal_box(
    recipient: [u8; 32],
    ephemeral_secret: &Key,
    aad: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let secret = StaticSecret::from(*ephemeral_secret.bytes_32()?);
    let ephemeral = PublicKey::from(&secret).to_bytes();
    let key = box_key(&secret, &PublicKey::from(recipient), &ephemeral, &recipient)?;
    let mut out = vec![BOX_VERSION];
    out.extend_from_slice(&ephemeral);
    out.append(&mut encrypt(&key, [0; NONCE_BYTES], aad, plain)?);
    Ok(out)
}

/// Opens what was sealed to this secret's public key in the same context.
///
/// # Errors
/// `SealedForm` (version, length), `Degenerate`, `Unsealed`.
pub fn open_box(
    recipient_secret: &Key,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    if !(BOX_OVERHEAD..=BOX_BYTES_MAX).contains(&sealed.len()) || sealed[0] != BOX_VERSION {
        return Err(CryptoError::SealedForm);
    }
    let (ephemeral, ciphertext) =
        sealed[1..].split_first_chunk::<32>().ok_or(CryptoError::SealedForm)?;
    let secret = StaticSecret::from(*recipient_secret.bytes_32()?);
    let recipient = PublicKey::from(&secret).to_bytes();
    let key = box_key(&secret, &PublicKey::from(*ephemeral), ephemeral, &recipient)?;
    decrypt(&key, [0; NONCE_BYTES], aad, ciphertext)
}

/// The public key of an X25519 secret.
///
/// # Errors
/// `KeyLength` unless the key has 32 bytes.
pub fn box_public_key(secret: &Key) -> Result<[u8; 32], CryptoError> {
    Ok(PublicKey::from(&StaticSecret::from(*secret.bytes_32()?)).to_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn rfc_8439_aead() {
        let key = Key::from_32(core::array::from_fn(|n| 0x80 + n as u8));
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
                      for the future, sunscreen would be it.";
        let nonce = bytes("070000004041424344454647");
        let aad: [u8; 12] = bytes("50515253c0c1c2c3c4c5c6c7");
        let sealed = encrypt(&key, nonce, &aad, plain).unwrap();
        assert_eq!(
            hex::encode(&sealed),
            concat!(
                "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca96712",
                "82fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58",
                "fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
                "1ae10b594f09e26a7e902ecbd0600691"
            )
        );
        assert_eq!(decrypt(&key, nonce, &aad, &sealed).unwrap()[..], plain[..]);
    }

    #[test]
    fn rfc_5869_case_1_extract() {
        // The first 32 of the 42 published bytes: HKDF's output does not depend on its length.
        let salt: [u8; 13] = bytes("000102030405060708090a0b0c");
        let info: [u8; 10] = bytes("f0f1f2f3f4f5f6f7f8f9");
        let okm = derive_32(&salt, &[0x0b; 22], &info).unwrap();
        assert_eq!(
            hex::encode(okm.bytes()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
        );
    }

    #[test]
    fn rfc_7748_vectors() {
        for (scalar, u, result) in [
            (
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
            ),
            (
                "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
                "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
            ),
            (
                "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
                "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
            ),
        ] {
            let shared = StaticSecret::from(bytes::<32>(scalar))
                .diffie_hellman(&PublicKey::from(bytes::<32>(u)));
            assert_eq!(hex::encode(shared.as_bytes()), result);
        }
        let a = Key::new(&bytes::<32>(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        ))
        .unwrap();
        assert_eq!(
            hex::encode(box_public_key(&a).unwrap()),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
        );
    }

    fn sealed_card() -> (Key, Vec<u8>) {
        let secret = Key::from_32([7; 32]);
        let public = box_public_key(&secret).unwrap();
        let boxed =
            seal_box(public, &Key::from_32([9; 32]), b"T1/5", b"6200000000000005=3012").unwrap();
        (secret, boxed)
    }

    /// Computed with another implementation (pyca/cryptography), so that both ends can be held to it.
    #[test]
    fn golden_box() {
        let (_, boxed) = sealed_card();
        assert_eq!(
            hex::encode(boxed),
            concat!(
                "0157db4b359f23ae5e146e4e2512056704722506348c150c14753d0c933d04d421cffd9a9ff2bf4b8b",
                "db2cf954c6b835fe378ee13695905125e08b9aeaec987a3c6961b25acf"
            )
        );
    }

    /// The box that the terminals' side promises in its own tests.
    #[test]
    fn a_box_of_the_terminals_side_opens() {
        let boxed = hex::decode(concat!(
            "0157db4b359f23ae5e146e4e2512056704722506348c150c14753d0c933d04d421cdf89c9ef5bc428b",
            "db2df955c6b834fb378fe4369518dd8579aa2229cae09e27cbd7d39126"
        ))
        .unwrap();
        let clear = open_box(&Key::from_32([7; 32]), b"aad", &boxed).unwrap();
        assert_eq!(clear[..], b"4761739001010010=2512"[..]);
    }

    #[test]
    fn boxes_open_only_for_key_and_context() {
        let (secret, boxed) = sealed_card();
        assert_eq!(boxed.len(), BOX_OVERHEAD + 21);
        assert_eq!(open_box(&secret, b"T1/5", &boxed).unwrap()[..], b"6200000000000005=3012"[..]);
        assert_eq!(open_box(&secret, b"T1/6", &boxed).err(), Some(CryptoError::Unsealed));
        let other = Key::from_32([8; 32]);
        assert_eq!(open_box(&other, b"T1/5", &boxed).err(), Some(CryptoError::Unsealed));
    }

    #[test]
    fn boxes_with_one_bit_changed_or_cut_do_not_open() {
        let (secret, boxed) = sealed_card();
        for bit in 0..boxed.len() * 8 {
            let mut bad = boxed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // The top bit of an X25519 point is ignored (RFC 7748), but it is part of the salt.
            assert!(open_box(&secret, b"T1/5", &bad).is_err(), "{bit}");
        }
        for len in 0..boxed.len() {
            assert!(open_box(&secret, b"T1/5", &boxed[..len]).is_err(), "{len}");
        }
        let long = vec![BOX_VERSION; BOX_BYTES_MAX + 1];
        assert_eq!(open_box(&secret, b"T1/5", &long).err(), Some(CryptoError::SealedForm));
    }

    #[test]
    fn points_without_a_secret_are_refused() {
        let (secret, mut boxed) = sealed_card();
        boxed[1..33].fill(0);
        assert_eq!(open_box(&secret, b"T1/5", &boxed).err(), Some(CryptoError::Degenerate));
        let refused = seal_box([0; 32], &Key::from_32([9; 32]), b"", b"x");
        assert_eq!(refused.err(), Some(CryptoError::Degenerate));
    }

    proptest! {
        #[test]
        fn random_bytes_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = Key::from_32([7; 32]);
            prop_assert!(open_box(&key, b"", &bytes).is_err());
            prop_assert!(open_record(&key, b"", &bytes).is_err());
        }
    }
}
