//! The algorithms of the key server: pure functions of bytes, without files, clocks or randomness.

pub mod block;
pub mod dukpt_aes;
pub mod dukpt_tdes;
pub mod key;
pub mod mac;
pub mod pin;
pub mod seal;
pub mod tag;

pub use key::Key;

/// Why a cryptographic operation was refused. Carries no secret and no input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// A key of a length that the algorithm does not have.
    #[error("key of {got} bytes where the algorithm has none of that length")]
    KeyLength {
        /// Bytes given.
        got: usize,
    },
    /// A PAN that is not 12 to 19 decimal digits (13 and more for formats 0 and 3).
    #[error("card number is not made of 13 to 19 digits")]
    Pan,
    /// A PIN that is not 4 to 12 decimal digits.
    #[error("pin is not made of 4 to 12 digits")]
    Pin,
    /// A PIN block that does not decode.
    #[error("pin block refused: {0}")]
    PinBlock(#[from] pin::PinBlockFault),
    /// A key serial number that DUKPT does not use.
    #[error("key serial number refused: {0}")]
    Ksn(#[from] dukpt_aes::KsnFault),
    /// A sealed box or record that was changed, is for another key, or stands at another place.
    #[error("sealed data does not open")]
    Unsealed,
    /// A sealed box whose sender chose a point that gives no secret.
    #[error("sealed data with a degenerate public key")]
    Degenerate,
    /// A sealed form of a version or length that is not known.
    #[error("sealed data is not of a known form")]
    SealedForm,
}
