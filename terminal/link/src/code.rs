//! The one-time code that a technician types at a new terminal.
//!
//! 35 bytes as 56 characters of Crockford base 32, in groups of four: form (1), fingerprint of the
//! center's key (16), secret (16), check (2: the first bytes of a SHA-256 over the rest). The letters
//! I, L, O read as 1, 1, 0; case, blanks and hyphens do not matter.

use std::fmt;

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::keys::{FINGERPRINT_BYTES, Fingerprint, KeyError, PublicKey};

/// Form of the code that this build writes and reads.
pub const CODE_FORM: u8 = 1;
/// Characters of a code without its hyphens.
pub const CODE_CHARACTERS: usize = 56;

const SECRET_BYTES: usize = 16;
const CODE_BYTES: usize = 1 + FINGERPRINT_BYTES + SECRET_BYTES + 2;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Fault of reading a typed code; says what the technician should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Wrong number of characters.
    #[error("the code has {found} characters instead of {CODE_CHARACTERS}")]
    Length {
        /// How many there were.
        found: usize,
    },
    /// A character outside the alphabet.
    #[error("character {at} of the code is not one of its letters and digits")]
    Character {
        /// Its place, from 1, hyphens and blanks not counted.
        at: usize,
    },
    /// The check does not fit: a typing error.
    #[error("the code has a typing error: its check does not fit")]
    Check,
    /// A form of another version.
    #[error("the code is of form {0}, which this program does not know")]
    Form(u8),
}

/// The 128-bit secret of a code; the only thing the center keeps of it. Masked, wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EnrolmentSecret([u8; SECRET_BYTES]);

impl EnrolmentSecret {
    /// Makes a new secret from the system's randomness.
    ///
    /// # Errors
    /// `KeyError::Random` if the system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut secret = Self([0; SECRET_BYTES]);
        getrandom::fill(&mut secret.0).map_err(|_| KeyError::Random)?;
        Ok(secret)
    }
    /// Takes the 16 bytes of a stored secret.
    #[must_use]
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }
    /// The 16 secret bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
    /// The pre-shared key of the handshake: HKDF-SHA256 of the secret (RFC 5869).
    pub(crate) fn psk(&self) -> Zeroizing<[u8; 32]> {
        let mut psk = Zeroizing::new([0u8; 32]);
        Hkdf::<Sha256>::new(None, &self.0)
            .expand(b"guichet/enrol-psk/1", psk.as_mut())
            .expect("32 bytes is below HKDF's limit of 8160");
        psk
    }
}

impl fmt::Debug for EnrolmentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentSecret(****)")
    }
}

/// A one-time enrolment code: which center to trust, and the secret to show it.
#[derive(Clone)]
pub struct EnrolmentCode {
    /// Fingerprint of the center's link key.
    pub center: Fingerprint,
    /// The secret.
    pub secret: EnrolmentSecret,
}

impl EnrolmentCode {
    /// Joins the center's key and a secret.
    #[must_use]
    pub fn new(center: &PublicKey, secret: EnrolmentSecret) -> Self {
        Self { center: center.fingerprint(), secret }
    }

    /// The code as it is shown once to the operator: 14 groups of four characters.
    #[must_use]
    pub fn to_printable(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0u8; CODE_BYTES]);
        bytes[0] = CODE_FORM;
        bytes[1..17].copy_from_slice(&self.center.0);
        bytes[17..33].copy_from_slice(&self.secret.0);
        let check = check_of(&bytes[..33]);
        bytes[33..].copy_from_slice(&check);
        let mut text = Zeroizing::new(String::with_capacity(CODE_CHARACTERS + 13));
        for (at, chunk) in bytes.chunks_exact(5).enumerate() {
            let mut wide = [0u8; 8];
            wide[3..].copy_from_slice(chunk);
            let bits = u64::from_be_bytes(wide);
            for place in 0..8u32 {
                if place % 4 == 0 && (at, place) != (0, 0) {
                    text.push('-');
                }
                let index = bits >> (35 - 5 * place) & 31;
                text.push(char::from(ALPHABET[usize::try_from(index).unwrap_or(0)]));
            }
        }
        text
    }

    /// Reads a code as a person types it.
    ///
    /// # Errors
    /// `CodeError` with the place of the fault.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let mut digits = Zeroizing::new([0u8; CODE_CHARACTERS]);
        let mut found = 0usize;
        for letter in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let value = value_of(letter).ok_or(CodeError::Character { at: found + 1 })?;
            if let Some(digit) = digits.get_mut(found) {
                *digit = value;
            }
            found += 1;
        }
        if found != CODE_CHARACTERS {
            return Err(CodeError::Length { found });
        }
        let mut bytes = Zeroizing::new([0u8; CODE_BYTES]);
        for (chunk, group) in bytes.chunks_exact_mut(5).zip(digits.chunks_exact(8)) {
            let bits = group.iter().fold(0u64, |bits, digit| bits << 5 | u64::from(*digit));
            chunk.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        if check_of(&bytes[..33]) != bytes[33..] {
            return Err(CodeError::Check);
        }
        if bytes[0] != CODE_FORM {
            return Err(CodeError::Form(bytes[0]));
        }
        let mut center = [0; FINGERPRINT_BYTES];
        center.copy_from_slice(&bytes[1..17]);
        let mut secret = EnrolmentSecret([0; SECRET_BYTES]);
        secret.0.copy_from_slice(&bytes[17..33]);
        Ok(Self { center: Fingerprint(center), secret })
    }
}

impl fmt::Debug for EnrolmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentCode({}, ****)", self.center)
    }
}

fn check_of(bytes: &[u8]) -> [u8; 2] {
    let digest = Sha256::new().chain_update(b"guichet/enrol-code").chain_update(bytes).finalize();
    [digest[0], digest[1]]
}

fn value_of(letter: char) -> Option<u8> {
    let letter = match letter.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let at = ALPHABET.iter().position(|&symbol| char::from(symbol) == letter)?;
    u8::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code() -> EnrolmentCode {
        EnrolmentCode::new(&PublicKey([3; 32]), EnrolmentSecret([0xA5; SECRET_BYTES]))
    }

    #[test]
    fn a_code_reads_back_however_it_is_typed() {
        let shown = code().to_printable();
        assert_eq!(shown.len(), CODE_CHARACTERS + 13);
        assert!(shown.split('-').all(|group| group.len() == 4));
        let sloppy = shown.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        for typed in [shown.as_str(), &sloppy, &shown.replace('-', "")] {
            let read = EnrolmentCode::parse(typed).unwrap();
            assert_eq!(read.center, code().center);
            assert_eq!(read.secret.expose(), code().secret.expose());
        }
    }

    #[test]
    fn faults_are_named() {
        let shown = code().to_printable();
        let cut = &shown[..shown.len() - 1];
        let cases = [
            ("", CodeError::Length { found: 0 }),
            (cut, CodeError::Length { found: CODE_CHARACTERS - 1 }),
            ("0U", CodeError::Character { at: 2 }),
            (&format!("{}0", *shown), CodeError::Length { found: CODE_CHARACTERS + 1 }),
        ];
        for (text, fault) in cases {
            assert_eq!(EnrolmentCode::parse(text).unwrap_err(), fault, "{text}");
        }
    }

    #[test]
    fn any_single_wrong_character_is_caught_by_the_check() {
        let shown = code().to_printable().replace('-', "");
        for at in 0..shown.len() {
            let mut wrong = shown.clone().into_bytes();
            wrong[at] = if wrong[at] == b'7' { b'8' } else { b'7' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert_eq!(EnrolmentCode::parse(&wrong).unwrap_err(), CodeError::Check, "place {at}");
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let shown = format!("{:?}", code());
        assert!(shown.ends_with("****)") && !shown.to_lowercase().contains("a5a5"), "{shown}");
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in "\\PC{0,80}") {
            let _ = EnrolmentCode::parse(&text);
        }
    }
}
