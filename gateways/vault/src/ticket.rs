//! The ticket identification code: encrypted, then signed; a gate verifies it without the center.
//!
//! ```text
//! version 1 | epoch 2 | nonce 12 | encrypted claims | tag 16 | Ed25519 signature 64
//! ```
//!
//! The nonce is a keyed hash of epoch and claims. It is as deterministic as a ticket's number, but
//! two different codes for one number (a reprint with another seat) never share a nonce.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use guichet_engine::ids::{OrderId, ProviderId, ServiceId, Slot, TicketNumber};
use guichet_engine::time::Instant;
use guichet_ports::keys::{TicketClaims, TicketVerdict};
use zeroize::Zeroizing;

use crate::crypto::{CryptoError, Key, seal, tag};
use crate::form::{self, Fields, FormError, Kind, Reader};

/// The version byte of a code.
pub const CODE_VERSION: u8 = 1;
/// Bytes of a code at most, so that the Aztec symbol stays small.
pub const CODE_BYTES_MAX: usize = 200;
/// Bytes of a service's name inside a code at most.
pub const SERVICE_NAME_BYTES_MAX: usize = 16;
/// Bytes of a coach's or a seat's label inside a code at most.
pub const SEAT_LABEL_BYTES_MAX: usize = 8;
/// Key epochs that a gate holds at most.
pub const GATE_EPOCHS_MAX: usize = 64;

const HEADER_BYTES: usize = 3;
const SIGNATURE_BYTES: usize = 64;
const CODE_BYTES_MIN: usize =
    HEADER_BYTES + seal::NONCE_BYTES + seal::SEAL_TAG_BYTES + SIGNATURE_BYTES;
/// Put before what is signed, so that a ticket's signature is good for nothing else.
const SIGNATURE_CONTEXT: &[u8] = b"guichet/ticket/1";
const NONCE_CONTEXT: &[u8] = b"guichet/ticket/1/nonce";

/// What one epoch needs to make codes.
pub struct SealingKeys<'a> {
    /// The epoch's number.
    pub epoch: u16,
    /// Ed25519 secret.
    pub signing: &'a Key,
    /// Encryption key.
    pub encryption: &'a Key,
}

/// What one epoch needs to verify codes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct EpochKeys {
    verifying: VerifyingKey,
    encryption: Key,
    until_us: i64,
}

/// All that a gate holds: it opens and verifies codes, and can forge none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    epochs: BTreeMap<u16, EpochKeys>,
    revoked: BTreeSet<u64>,
}

/// Why claims do not become a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// A text is too long, or a validity ends before it begins.
    #[error("a claim is too long or inconsistent")]
    Claims,
    /// An algorithm refused our key.
    #[error("ticket keys fail")]
    Crypto(#[from] CryptoError),
}

/// Makes a ticket's code. The same claims under the same keys give the same code.
///
/// # Errors
/// `Claims` when a text is too long.
pub fn seal_code(keys: &SealingKeys<'_>, claims: &TicketClaims) -> Result<Vec<u8>, SealFault> {
    let plain = write_claims(claims)?;
    let mut code = vec![CODE_VERSION];
    code.extend_from_slice(&keys.epoch.to_be_bytes());
    let mut hashed = Zeroizing::new(code.clone());
    hashed.extend_from_slice(plain.bytes());
    let nonce_key = seal::derive_32(&[], keys.encryption.bytes(), NONCE_CONTEXT)?;
    let hash = tag::keyed_hash(&nonce_key, &hashed);
    let mut nonce = [0; seal::NONCE_BYTES];
    nonce.copy_from_slice(&hash[..seal::NONCE_BYTES]);
    let mut sealed = seal::encrypt(keys.encryption, nonce, &code, plain.bytes())?;
    code.extend_from_slice(&nonce);
    code.append(&mut sealed);
    let signing = SigningKey::from_bytes(keys.signing.bytes_32()?);
    let signature = signing.sign(&signed_bytes(&code));
    code.extend_from_slice(&signature.to_bytes());
    Ok(code)
}

/// The public key of an Ed25519 secret.
///
/// # Errors
/// `KeyLength` unless the key has 32 bytes.
pub fn verifying_key(signing: &Key) -> Result<[u8; 32], CryptoError> {
    Ok(SigningKey::from_bytes(signing.bytes_32()?).verifying_key().to_bytes())
}

fn signed_bytes(body: &[u8]) -> Vec<u8> {
    [SIGNATURE_CONTEXT, body].concat()
}

impl Gate {
    /// Adds an epoch. Codes of it are of an unknown key after `until_us` (microseconds UTC).
    ///
    /// # Errors
    /// `KeyLength`, or `Degenerate` for bytes that are no public key.
    pub fn add_epoch(
        &mut self,
        epoch: u16,
        verifying: &[u8; 32],
        encryption: Key,
        until_us: i64,
    ) -> Result<(), CryptoError> {
        let verifying = VerifyingKey::from_bytes(verifying)
            .ok()
            .filter(|key| !key.is_weak())
            .ok_or(CryptoError::Degenerate)?;
        encryption.bytes_32()?;
        self.epochs.insert(epoch, EpochKeys { verifying, encryption, until_us });
        Ok(())
    }

    /// Puts a ticket on the revocation list.
    pub fn revoke(&mut self, ticket: TicketNumber) {
        self.revoked.insert(ticket.0);
    }

    /// Takes the epochs of another gate and keeps the revocation list.
    pub(crate) fn replace_epochs(&mut self, other: Self) {
        self.epochs = other.epochs;
    }

    /// Says what a code is worth at `now`. A revoked ticket is revoked at any time.
    #[must_use]
    pub fn verify(&self, code: &[u8], now: Instant) -> TicketVerdict {
        if !(CODE_BYTES_MIN..=CODE_BYTES_MAX).contains(&code.len()) || code[0] != CODE_VERSION {
            return TicketVerdict::Malformed;
        }
        let known = self.epochs.get(&u16::from_be_bytes([code[1], code[2]]));
        let Some(keys) = known.filter(|keys| now.0 <= keys.until_us) else {
            return TicketVerdict::UnknownKey;
        };
        let Some(plain) = open_signed(keys, code) else {
            return TicketVerdict::Forged;
        };
        // Signed by us and still unreadable: a code of a program with other claims.
        let Ok(claims) = read_claims(&plain) else {
            return TicketVerdict::Malformed;
        };
        if self.revoked.contains(&claims.ticket.0) {
            TicketVerdict::Revoked(claims)
        } else if now < claims.valid_from {
            TicketVerdict::NotYet(claims)
        } else if now > claims.valid_until {
            TicketVerdict::Expired(claims)
        } else {
            TicketVerdict::Valid(claims)
        }
    }

    /// The form in which a gate is given its keys and the revocation list.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Fields::with_room(6 + self.epochs.len() * 74 + self.revoked.len() * 8);
        let count = u16::try_from(self.epochs.len()).unwrap_or(u16::MAX);
        out.raw(&count.to_be_bytes());
        for (epoch, keys) in &self.epochs {
            out.raw(&epoch.to_be_bytes())
                .raw(keys.verifying.as_bytes())
                .raw(keys.encryption.bytes())
                .raw(&keys.until_us.to_be_bytes());
        }
        out.raw(&u32::try_from(self.revoked.len()).unwrap_or(u32::MAX).to_be_bytes());
        for ticket in &self.revoked {
            out.raw(&ticket.to_be_bytes());
        }
        Zeroizing::new(form::wrap(Kind::Gate, 1, out.bytes()))
    }

    /// Reads what [`Gate::to_bytes`] wrote.
    ///
    /// # Errors
    /// `Kind`, `Newer`, `Length`, `Checksum`, `Field`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let (_, payload) = form::unwrap(Kind::Gate, 1, bytes)?;
        let mut reader = Reader(payload);
        let mut gate = Self::default();
        let epochs = reader.u16()?;
        if usize::from(epochs) > GATE_EPOCHS_MAX {
            return Err(FormError::Field);
        }
        for _ in 0..epochs {
            let epoch = reader.u16()?;
            let verifying = reader.array::<32>()?;
            let encryption = Key::from_32(reader.array()?);
            let until_us = reader.i64()?;
            gate.add_epoch(epoch, &verifying, encryption, until_us)
                .map_err(|_| FormError::Field)?;
        }
        for _ in 0..reader.u32()? {
            gate.revoked.insert(reader.u64()?);
        }
        reader.end()?;
        Ok(gate)
    }
}

/// Verifies the signature first, so that nothing unsigned reaches the cipher or the parser.
fn open_signed(keys: &EpochKeys, code: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (body, signature) = code.split_last_chunk::<SIGNATURE_BYTES>()?;
    let signature = Signature::from_bytes(signature);
    keys.verifying.verify_strict(&signed_bytes(body), &signature).ok()?;
    let (header, sealed) = body.split_at_checked(HEADER_BYTES)?;
    seal::open_record(&keys.encryption, header, sealed).ok()
}

fn write_claims(claims: &TicketClaims) -> Result<Fields, SealFault> {
    let too_long = claims.service_name.len() > SERVICE_NAME_BYTES_MAX
        || claims.seat.0.len() > SEAT_LABEL_BYTES_MAX
        || claims.seat.1.len() > SEAT_LABEL_BYTES_MAX;
    if too_long || claims.valid_until < claims.valid_from {
        return Err(SealFault::Claims);
    }
    let mut out = Fields::with_room(96);
    out.raw(&claims.ticket.0.to_be_bytes())
        .raw(&claims.order.slot.get().to_be_bytes())
        .raw(&claims.order.unique.to_be_bytes())
        .raw(&claims.provider.0.to_be_bytes())
        .raw(&claims.service.slot.get().to_be_bytes())
        .raw(&claims.service.unique.to_be_bytes())
        .short(claims.service_name.as_bytes())
        .raw(&claims.run.0.to_be_bytes())
        .raw(&claims.run.1.to_be_bytes())
        .raw(&[claims.class])
        .short(claims.seat.0.as_bytes())
        .short(claims.seat.1.as_bytes())
        .raw(&claims.valid_from.0.to_be_bytes())
        .raw(&claims.valid_until.0.to_be_bytes());
    Ok(out)
}

fn read_claims(bytes: &[u8]) -> Result<TicketClaims, FormError> {
    let mut reader = Reader(bytes);
    let claims = TicketClaims {
        ticket: TicketNumber(reader.u64()?),
        order: OrderId::new(read_slot(&mut reader)?, reader.u64()?),
        provider: ProviderId(reader.u16()?),
        service: ServiceId::new(read_slot(&mut reader)?, reader.u64()?),
        service_name: form::text(reader.short()?)?,
        run: (reader.u16()?, reader.u16()?),
        class: reader.u8()?,
        seat: (form::text(reader.short()?)?, form::text(reader.short()?)?),
        valid_from: Instant(reader.i64()?),
        valid_until: Instant(reader.i64()?),
    };
    reader.end()?;
    Ok(claims)
}

fn read_slot(reader: &mut Reader<'_>) -> Result<Slot, FormError> {
    let bits = reader.u16()?;
    let slot = Slot::new(bits);
    if slot.get() == bits { Ok(slot) } else { Err(FormError::Field) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Instant = Instant(1_800_000_000_000_000);

    fn keys() -> (Key, Key) {
        (Key::from_32([0x51; 32]), Key::from_32([0x52; 32]))
    }

    fn seal_at(epoch: u16, claims: &TicketClaims) -> Result<Vec<u8>, SealFault> {
        let (signing, encryption) = keys();
        seal_code(&SealingKeys { epoch, signing: &signing, encryption: &encryption }, claims)
    }

    fn gate(until_us: i64) -> Gate {
        let (signing, encryption) = keys();
        let mut gate = Gate::default();
        gate.add_epoch(1, &verifying_key(&signing).unwrap(), encryption, until_us).unwrap();
        gate
    }

    fn claims() -> TicketClaims {
        TicketClaims {
            ticket: TicketNumber(0x0abc_0000_0000_0017),
            order: OrderId::new(Slot::new(0xabc), 42),
            provider: ProviderId(1),
            service: ServiceId::new(Slot::new(0x123), 77),
            service_name: "G1234".to_owned(),
            run: (2, 5),
            class: 2,
            seat: ("07".to_owned(), "12F".to_owned()),
            valid_from: NOW.plus_us(-10),
            valid_until: NOW.plus_us(10),
        }
    }

    #[test]
    fn rfc_8032_vectors() {
        for (secret, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let key = Key::from_hex(secret).unwrap();
            assert_eq!(hex::encode(verifying_key(&key).unwrap()), public);
            let message = hex::decode(message).unwrap();
            let signed = SigningKey::from_bytes(key.bytes_32().unwrap()).sign(&message);
            assert_eq!(hex::encode(signed.to_bytes()), signature);
            let verifying =
                VerifyingKey::from_bytes(&hex::decode(public).unwrap().try_into().unwrap())
                    .unwrap();
            assert!(verifying.verify_strict(&message, &signed).is_ok());
            let above = plus_group_order(signed.to_bytes());
            assert!(verifying.verify_strict(&message, &Signature::from_bytes(&above)).is_err());
        }
    }

    /// S + L in the second half: the same point, but not the one signature that RFC 8032 allows.
    fn plus_group_order(mut signature: [u8; 64]) -> [u8; 64] {
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
            .unwrap();
        let mut carry = 0;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = (sum & 0xFF) as u8;
            carry = sum >> 8;
        }
        signature
    }

    #[test]
    fn golden_code_of_fixed_keys() {
        let code = seal_at(1, &claims()).unwrap();
        // Computed with another implementation (pyca/cryptography) too.
        assert_eq!(
            hex::encode(&code),
            concat!(
                "0100014dcef65be848f3931538970d4feeb64470d119a5b07bc8108a1ad130a5662caa284b850b99e449",
                "952bd098b2b3c9ca6b42efb7f4b7dfad58242cc6dc846bdf0843ee16baa0e411f467f08dbb1ef869f84e",
                "b3fe1b83e2b4bc5a0f1d75cd3d8f9de560a4f3790f2a1e001b7ff337954d2a07e9df763bc442a189c8a0",
                "8b6ef04ffc2b874cef0088fb40fd348b825f99f98c04c09e3c9b734142d590ba06"
            )
        );
        assert_eq!(gate(i64::MAX).verify(&code, NOW), TicketVerdict::Valid(claims()));
    }

    #[test]
    fn every_answer_is_another() {
        let code = seal_at(1, &claims()).unwrap();
        let gate = gate(NOW.0 + 5);
        let rows = [
            (NOW, TicketVerdict::Valid(claims())),
            (claims().valid_from, TicketVerdict::Valid(claims())),
            (claims().valid_from.plus_us(-1), TicketVerdict::NotYet(claims())),
            (NOW.plus_us(5), TicketVerdict::Valid(claims())),
            (NOW.plus_us(6), TicketVerdict::UnknownKey),
        ];
        for (at, verdict) in rows {
            assert_eq!(gate.verify(&code, at), verdict, "{at:?}");
        }
        let gate = self::gate(i64::MAX);
        assert_eq!(gate.verify(&code, NOW.plus_us(10)), TicketVerdict::Valid(claims()));
        assert_eq!(gate.verify(&code, NOW.plus_us(11)), TicketVerdict::Expired(claims()));
        let unknown = seal_at(2, &claims()).unwrap();
        assert_eq!(gate.verify(&unknown, NOW), TicketVerdict::UnknownKey);
        let mut revoking = gate.clone();
        revoking.revoke(claims().ticket);
        assert_eq!(revoking.verify(&code, NOW), TicketVerdict::Revoked(claims()));
        assert_eq!(revoking.verify(&code, Instant(0)), TicketVerdict::Revoked(claims()));
        for malformed in [&b""[..], &[1], &[2; 150], &[1; CODE_BYTES_MAX + 1]] {
            assert_eq!(gate.verify(malformed, NOW), TicketVerdict::Malformed);
        }
    }

    #[test]
    fn every_changed_bit_is_refused() {
        let code = seal_at(1, &claims()).unwrap();
        let gate = gate(i64::MAX);
        for bit in 0..code.len() * 8 {
            let mut bad = code.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let verdict = gate.verify(&bad, NOW);
            let expected = match bit / 8 {
                0 => TicketVerdict::Malformed,
                1 | 2 => TicketVerdict::UnknownKey,
                _ => TicketVerdict::Forged,
            };
            assert_eq!(verdict, expected, "bit {bit}");
        }
        for len in 0..code.len() {
            let verdict = gate.verify(&code[..len], NOW);
            assert!(matches!(verdict, TicketVerdict::Malformed | TicketVerdict::Forged), "{len}");
        }
    }

    #[test]
    fn an_epoch_under_another_epochs_number_is_forged() {
        let mut gate = gate(i64::MAX);
        let other = Key::from_32([0x61; 32]);
        gate.add_epoch(2, &verifying_key(&other).unwrap(), keys().1, i64::MAX).unwrap();
        assert_eq!(gate.verify(&seal_at(2, &claims()).unwrap(), NOW), TicketVerdict::Forged);
    }

    #[test]
    fn a_gate_that_was_stolen_cannot_sign() {
        let code = seal_at(1, &claims()).unwrap();
        let gate = gate(i64::MAX);
        // All that a gate holds, used as if it were the center's.
        let stolen = Key::from_32(gate.epochs[&1].verifying.to_bytes());
        let forged = seal_code(
            &SealingKeys { epoch: 1, signing: &stolen, encryption: &gate.epochs[&1].encryption },
            &claims(),
        )
        .unwrap();
        assert_ne!(forged, code);
        assert_eq!(gate.verify(&forged, NOW), TicketVerdict::Forged);
    }

    #[test]
    fn the_longest_code_fits_and_longer_claims_do_not() {
        let mut longest = claims();
        longest.service_name = "列车".to_owned() + &"x".repeat(10);
        longest.seat = ("x".repeat(8), "y".repeat(8));
        let code = seal_at(1, &longest).unwrap();
        assert_eq!(code.len(), 181);
        assert!(code.len() <= CODE_BYTES_MAX);
        assert_eq!(gate(i64::MAX).verify(&code, NOW), TicketVerdict::Valid(longest));
        let mut bad = [claims(), claims(), claims(), claims()];
        bad[0].service_name = "x".repeat(17);
        bad[1].seat.0 = "x".repeat(9);
        bad[2].seat.1 = "x".repeat(9);
        bad[3].valid_until = bad[3].valid_from.plus_us(-1);
        for claims in bad {
            assert_eq!(seal_at(1, &claims), Err(SealFault::Claims));
        }
    }

    #[test]
    fn a_reprint_with_another_seat_has_another_nonce() {
        let first = seal_at(1, &claims()).unwrap();
        assert_eq!(first, seal_at(1, &claims()).unwrap());
        let mut other = claims();
        other.seat.1 = "12D".to_owned();
        let second = seal_at(1, &other).unwrap();
        assert_ne!(first[3..15], second[3..15]);
    }

    #[test]
    fn golden_gate() {
        let mut gate = gate(100);
        gate.revoke(TicketNumber(9));
        let bytes = gate.to_bytes();
        assert_eq!(
            hex::encode(&bytes[..]),
            concat!(
                "475607010000005856c5ae3d00010001c050c5637a44fa8629fff3cccce2300cb362a63d99d95fc54145",
                "266f4332445a525252525252525252525252525252525252525252525252525252525252525200000000",
                "00000064000000010000000000000009"
            )
        );
        assert_eq!(Gate::parse(&bytes).unwrap(), gate);
        for at in 0..bytes.len() {
            let mut bad = bytes.to_vec();
            bad[at] ^= 0x10;
            assert!(Gate::parse(&bad).is_err(), "{at}");
            assert!(Gate::parse(&bytes[..at]).is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn random_codes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..220)) {
            let verdict = gate(i64::MAX).verify(&bytes, NOW);
            prop_assert!(matches!(
                verdict,
                TicketVerdict::Malformed | TicketVerdict::UnknownKey | TicketVerdict::Forged
            ));
        }

        #[test]
        fn random_claims_and_gates_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..150)) {
            let _ = read_claims(&bytes);
            let _ = Gate::parse(&form::wrap(Kind::Gate, 1, &bytes));
        }
    }
}
