//! The primitives under the Noise protocol: one DH, one cipher, one hash, nothing to choose from.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce, Tag};
use sha2::{Digest, Sha256};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::limits::TAG_BYTES;

/// Resolves `25519`, `ChaChaPoly` and `SHA256`; everything else is refused.
pub(crate) struct Primitives;

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(System))
    }
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519::new()) as Box<dyn Dh>)
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(Sha(Sha256::new())) as Box<dyn Hash>)
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly)
            .then(|| Box::new(ChaChaPoly(Zeroizing::new([0; 32]))) as Box<dyn Cipher>)
    }
}

struct System;

impl Random for System {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        getrandom::fill(dest).map_err(|_| Error::Rng)
    }
}

struct X25519 {
    secret: StaticSecret,
    public: PublicKey,
}

impl X25519 {
    fn new() -> Self {
        let secret = StaticSecret::from([0; 32]);
        let public = PublicKey::from(&secret);
        Self { secret, public }
    }
    fn put(&mut self, secret: StaticSecret) {
        self.public = PublicKey::from(&secret);
        self.secret = secret;
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }
    fn pub_len(&self) -> usize {
        32
    }
    fn priv_len(&self) -> usize {
        32
    }
    fn set(&mut self, privkey: &[u8]) {
        let mut bytes = Zeroizing::new([0u8; 32]);
        for (to, from) in bytes.iter_mut().zip(privkey) {
            *to = *from;
        }
        self.put(StaticSecret::from(*bytes));
    }
    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        rng.try_fill_bytes(bytes.as_mut())?;
        self.put(StaticSecret::from(*bytes));
        Ok(())
    }
    fn pubkey(&self) -> &[u8] {
        self.public.as_bytes()
    }
    fn privkey(&self) -> &[u8] {
        self.secret.as_bytes()
    }
    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let theirs: [u8; 32] = pubkey.get(..32).and_then(|p| p.try_into().ok()).ok_or(Error::Dh)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(theirs));
        // A point of small order would let an attacker fix the secret (RFC 7748, 6.1).
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        out.get_mut(..32).ok_or(Error::Dh)?.copy_from_slice(shared.as_bytes());
        Ok(())
    }
}

struct ChaChaPoly(Zeroizing<[u8; 32]>);

/// Noise revision 34, 12.3: 32 zero bits, then the counter in little-endian order.
fn nonce_of(counter: u64) -> Nonce {
    let mut bytes = [0u8; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    bytes.into()
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }
    fn set(&mut self, key: &[u8; 32]) {
        self.0.copy_from_slice(key);
    }
    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let (text, rest) = out.split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        let tag = ChaCha20Poly1305::new((&*self.0).into())
            .encrypt_inout_detached(&nonce_of(nonce), authtext, text.into())
            .expect("a Noise message is far below the cipher's limit of 2^38 bytes");
        rest[..TAG_BYTES].copy_from_slice(&tag);
        plaintext.len() + TAG_BYTES
    }
    fn decrypt(
        &self,
        nonce: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let (text, tag) = ciphertext.split_last_chunk::<TAG_BYTES>().ok_or(Error::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(Error::Decrypt)?;
        out.copy_from_slice(text);
        ChaCha20Poly1305::new((&*self.0).into())
            .decrypt_inout_detached(&nonce_of(nonce), authtext, out.into(), &Tag::from(*tag))
            .map_err(|_| Error::Decrypt)?;
        Ok(text.len())
    }
}

struct Sha(Sha256);

impl Hash for Sha {
    fn name(&self) -> &'static str {
        "SHA256"
    }
    fn block_len(&self) -> usize {
        64
    }
    fn hash_len(&self) -> usize {
        32
    }
    fn reset(&mut self) {
        self.0.reset();
    }
    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }
    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(&self.0.finalize_reset());
    }
}

#[cfg(test)]
mod tests {
    //! Vectors of the public cacophony set, as shipped with snow 0.10 (`tests/vectors/cacophony.txt`).

    use super::*;
    use snow::Builder;

    const INITIATOR: &str = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1";
    const INITIATOR_EPHEMERAL: &str =
        "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
    const RESPONDER: &str = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";
    const RESPONDER_PUBLIC: &str =
        "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62";
    const RESPONDER_EPHEMERAL: &str =
        "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
    const PSK: &[u8; 32] = b"This is my Austrian perspective!";
    const PAYLOADS: [&str; 5] =
        ["Ludwig von Mises", "Murray Rothbard", "F. A. Hayek", "Carl Menger", "Jean-Baptiste Say"];

    struct Vector {
        pattern: &'static str,
        hash: &'static str,
        messages: [&'static str; 5],
    }

    const VECTORS: [Vector; 3] = [
        Vector {
            pattern: "Noise_XX_25519_ChaChaPoly_SHA256",
            hash: "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e",
            messages: [
                "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e204d69736573",
                "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9bd5269c2f1e4f488ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f8814c7194e83f23dbd8d162c9326ad",
                "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a80ae475b9df0f169ae80a89be0865b57f58c9fea0d4ec82a286427402f113e4b6ae769a1d95941d49b25030",
                "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df",
                "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5",
            ],
        },
        Vector {
            pattern: "Noise_IK_25519_ChaChaPoly_SHA256",
            hash: "0b0f68fb0c27e03ce9b97565995ed4838cc0581b762ef72b062f6a546419fad7",
            messages: [
                "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944718da798efbcd91528520204f904b9bd6c7413dccdc214d951e15253e39987f18146e8cd0873654207148333479d4d16c289f0294b29960a72f48e0b7bba2e89083169825e59642148d492020664ccf7",
                "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088435361e70b2ed446e6c9ec387d1d6b3b840f194e373979d241b203c4acafccf5",
                "050e9f3c8fac16b68dbce8f8c4bfbf6617c897f9ada4aa29aa19c8",
                "344233a6cabb7141d80f3da2fedc311d9646bbb0f505afe403a667",
                "62cdeeb172ad7ade7aa7d9e069da5790f12331bfa00177787a1d0810c67dc3b2b4",
            ],
        },
        Vector {
            pattern: "Noise_XXpsk3_25519_ChaChaPoly_SHA256",
            hash: "a477edf6a131bbdb54707f6ea30eab6cd935d9b560f0e5fd1f053a95a99669fb",
            messages: [
                "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944c9f5ff0e8079630cb7e270c20bbf480821b77a384a645c71a2fd9b3db1c16a5f",
                "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843b123def17f71e6ae8e57e0e1dec5949c5f7415c6f33517398747d821a06dc23ad430aa1fd7381d46195c378a819fd574425462cbb2d4ca339e738a0b7001dc91423fbf55a99af0c6f1df21012ceb2f",
                "52187316111b118d4c060364f7b975dc0809b2590779aff2d63113c564f11744493384db7bf32d5ae6686df6ab06d508d2e07caaf1d6afc010b978735fc78900e71ae1d314130d042e729a",
                "eaedc672d4c21e0e2955758756fb98f194c4e90d5deb5b6cf30b27",
                "522d543c5fe799d09a3d9da7ff54d0dc03c8af1dc7751d2ff708339d2290943e98",
            ],
        },
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex).unwrap()
    }

    #[test]
    fn published_vectors() {
        for vector in VECTORS {
            let end = |initiator: bool| {
                let [own, ephemeral] = if initiator {
                    [bytes(INITIATOR), bytes(INITIATOR_EPHEMERAL)]
                } else {
                    [bytes(RESPONDER), bytes(RESPONDER_EPHEMERAL)]
                };
                let theirs = bytes(RESPONDER_PUBLIC);
                let params = vector.pattern.parse().unwrap();
                let mut builder = Builder::with_resolver(params, Box::new(Primitives))
                    .prologue(b"John Galt")
                    .unwrap()
                    .local_private_key(&own)
                    .unwrap()
                    .fixed_ephemeral_key_for_testing_only(&ephemeral);
                if vector.pattern.contains("psk3") {
                    builder = builder.psk(3, PSK).unwrap();
                }
                if initiator && vector.pattern.contains("IK") {
                    builder = builder.remote_public_key(&theirs).unwrap();
                }
                let built =
                    if initiator { builder.build_initiator() } else { builder.build_responder() };
                built.unwrap()
            };
            let mut ends = [end(true), end(false)];
            let (mut out, mut plain) = ([0; 512], [0; 512]);
            let mut at = 0;
            while !ends[0].is_handshake_finished() {
                let (from, to) = (at % 2, 1 - at % 2);
                let length = ends[from].write_message(PAYLOADS[at].as_bytes(), &mut out).unwrap();
                assert_eq!(hex::encode(&out[..length]), vector.messages[at], "{}", vector.pattern);
                let length = ends[to].read_message(&out[..length], &mut plain).unwrap();
                assert_eq!(&plain[..length], PAYLOADS[at].as_bytes());
                at += 1;
            }
            assert_eq!(hex::encode(ends[0].get_handshake_hash()), vector.hash);
            let mut ends = ends.map(|end| end.into_transport_mode().unwrap());
            for (at, payload) in PAYLOADS.iter().enumerate().skip(at) {
                let (from, to) = (at % 2, 1 - at % 2);
                let length = ends[from].write_message(payload.as_bytes(), &mut out).unwrap();
                assert_eq!(hex::encode(&out[..length]), vector.messages[at], "{}", vector.pattern);
                assert!(ends[to].read_message(&out[..length], &mut plain).is_ok());
            }
        }
    }

    /// RFC 7748, 5.2 and 6.1.
    #[test]
    fn x25519_vectors_and_the_zero_point() {
        let cases = [
            (
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
            ),
            (
                "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
                "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
            ),
        ];
        let mut dh = X25519::new();
        let mut out = [0; 32];
        for (scalar, point, shared) in cases {
            dh.set(&bytes(scalar));
            dh.dh(&bytes(point), &mut out).unwrap();
            assert_eq!(hex::encode(out), shared);
        }
        assert_eq!(dh.dh(&[0; 32], &mut out), Err(Error::Dh));
        assert_eq!(dh.dh(&[9; 31], &mut out), Err(Error::Dh));
    }

    #[test]
    fn only_the_three_primitives_are_given() {
        assert!(Primitives.resolve_dh(&DHChoice::Curve448).is_none());
        assert!(Primitives.resolve_hash(&HashChoice::SHA512).is_none());
        assert!(Primitives.resolve_cipher(&CipherChoice::AESGCM).is_none());
    }
}
