//! The port of the key server module (part 14), which holds all keys.

use guichet_engine::ids::{
    AcquirerId, CardTag, OrderId, ProviderId, ServiceId, Slot, TerminalId, TicketNumber,
};
use guichet_engine::time::Instant;

use crate::secret::{Pan, PinEntry, SealedSwipe, Track2};

/// Why the key server refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// No key of that name or epoch.
    #[error("no such key")]
    UnknownKey,
    /// The key was revoked.
    #[error("the key is revoked")]
    Revoked,
    /// A box, block or code does not open: garbled, forged or for another key.
    #[error("the data does not open under the key")]
    DoesNotOpen,
    /// The clear data has the wrong form (PIN block filler, PAN digits, track).
    #[error("the clear data has the wrong form")]
    BadForm,
    /// A counter was used before.
    #[error("the key serial number was used before")]
    Replayed,
    /// A check value or MAC differs.
    #[error("the check value differs")]
    CheckFailed,
    /// The store could not be read or written.
    #[error("the key store failed")]
    Store,
}

/// A swipe in clear, for the bank gateway and the tag only.
#[derive(Clone, Debug)]
pub struct SwipedCard {
    /// Track 2 without sentinels.
    pub track2: Track2,
    /// The PAN in it.
    pub pan: Pan,
    /// Expiry `YYMM`, if the track has one.
    pub expiry_yymm: Option<[u8; 4]>,
    /// ISO/IEC 7813 service code, if the track has one.
    pub service_code: Option<[u8; 3]>,
}

/// What identifies a card without its PAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardIdentity {
    /// The center's tag.
    pub tag: CardTag,
    /// The slot of orders made with this card first.
    pub routing: Slot,
    /// First six and last four digits.
    pub mask: String,
}

/// The keys that are injected into a terminal's PIN pad, once.
#[derive(Clone, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct PadKeys {
    /// AES-128 DUKPT initial key.
    pub ik: [u8; 16],
    /// Initial key id (first 8 bytes of the KSN).
    pub ikid: [u8; 8],
    /// The terminal's card-tag key.
    pub tag_key: [u8; 32],
}

/// MAC algorithms of bank links (ISO 9797-1, ANSI X9.9, X9.19, UnionPay POS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MacAlgorithm {
    /// ANSI X9.19 retail MAC: ISO 9797-1 algorithm 3, padding 1.
    X919,
    /// ISO 9797-1 algorithm 3, padding 2.
    Iso9797Alg3Pad2,
    /// UnionPay POS "ECB MAC": 8 ASCII characters.
    UnionPayEcb,
    /// AES-CMAC (RFC 4493), first 8 bytes.
    AesCmac,
}

/// Working keys as a bank delivers them in its sign-on answer, under the zone master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedZoneKeys {
    /// PIN key (ZPK), TDES-ECB encrypted under the ZMK, 16 bytes.
    pub pin_key: Vec<u8>,
    /// First bytes of TDES(ZPK, zeros); 3 or 4 bytes.
    pub pin_check: Vec<u8>,
    /// MAC key (ZAK), encrypted, 8 or 16 bytes.
    pub mac_key: Vec<u8>,
    /// First bytes of TDES(ZAK, zeros).
    pub mac_check: Vec<u8>,
}

/// What a ticket's code says, encrypted and signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketClaims {
    /// The ticket's number.
    pub ticket: TicketNumber,
    /// The order.
    pub order: OrderId,
    /// The provider.
    pub provider: ProviderId,
    /// The service.
    pub service: ServiceId,
    /// The service's name, at most 16 bytes.
    pub service_name: String,
    /// Slots sold, from and to.
    pub run: (u16, u16),
    /// Class.
    pub class: u8,
    /// Coach and seat labels, at most 8 bytes each.
    pub seat: (String, String),
    /// Valid from.
    pub valid_from: Instant,
    /// Valid until.
    pub valid_until: Instant,
}

/// What a gate says of a code: every answer is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketVerdict {
    /// Good.
    Valid(TicketClaims),
    /// Not a code of ours at all.
    Malformed,
    /// Made under a key epoch the gate does not know.
    UnknownKey,
    /// Decryption or signature fails.
    Forged,
    /// On the revocation list.
    Revoked(TicketClaims),
    /// Its time is over.
    Expired(TicketClaims),
    /// Its time has not come.
    NotYet(TicketClaims),
}

/// The key server module.
pub trait KeyServer: Send + Sync {
    /// The public X25519 key that terminals seal swipes to.
    fn card_key(&self) -> [u8; 32];
    /// Opens a swipe.
    ///
    /// # Errors
    /// `DoesNotOpen`, `BadForm`.
    fn open_swipe(&self, swipe: &SealedSwipe) -> Result<SwipedCard, KeyFault>;
    /// Tag, routing slot and mask of a PAN.
    ///
    /// # Errors
    /// `BadForm` when it is no PAN (13 to 19 digits, Luhn).
    fn identify(&self, pan: &Pan) -> Result<CardIdentity, KeyFault>;
    /// The tag of a PAN under one terminal's key.
    ///
    /// # Errors
    /// `Revoked`, `BadForm`.
    fn terminal_tag(&self, terminal: TerminalId, pan: &Pan) -> Result<[u8; 16], KeyFault>;
    /// The keys to inject into a terminal's PIN pad.
    ///
    /// # Errors
    /// `Revoked`, `Store`.
    fn pad_keys(&self, terminal: TerminalId) -> Result<PadKeys, KeyFault>;
    /// Voids a terminal's tag and PIN pad keys.
    ///
    /// # Errors
    /// `Store`.
    fn revoke_terminal(&self, terminal: TerminalId) -> Result<(), KeyFault>;
    /// Takes in a bank's working keys.
    ///
    /// # Errors
    /// `UnknownKey` without a zone master key, `CheckFailed`, `BadForm`.
    fn import_zone_keys(
        &self,
        acquirer: AcquirerId,
        keys: &WrappedZoneKeys,
    ) -> Result<(), KeyFault>;
    /// Translates a PIN from the pad's key to ISO 9564-1 format 0 under the bank's zone PIN key (DE 52).
    ///
    /// # Errors
    /// `Replayed`, `BadForm`, `UnknownKey`, `Revoked`.
    fn translate_pin(
        &self,
        terminal: TerminalId,
        pan: &Pan,
        pin: &PinEntry,
        acquirer: AcquirerId,
    ) -> Result<[u8; 8], KeyFault>;
    /// The MAC of a message under the bank's zone MAC key (DE 64).
    ///
    /// # Errors
    /// `UnknownKey` before the sign-on.
    fn mac(
        &self,
        acquirer: AcquirerId,
        algorithm: MacAlgorithm,
        message: &[u8],
    ) -> Result<[u8; 8], KeyFault>;
    /// Compares a MAC, which may be cut to no less than 4 bytes, in constant time.
    ///
    /// # Errors
    /// `CheckFailed`, `UnknownKey`.
    fn verify_mac(
        &self,
        acquirer: AcquirerId,
        algorithm: MacAlgorithm,
        message: &[u8],
        mac: &[u8],
    ) -> Result<(), KeyFault>;
    /// Seals and signs a ticket's code.
    ///
    /// # Errors
    /// `BadForm` when a text is too long.
    fn seal_ticket(&self, claims: &TicketClaims) -> Result<Vec<u8>, KeyFault>;
    /// Verifies a code as a gate would, at `now`.
    fn verify_ticket(&self, code: &[u8], now: Instant) -> TicketVerdict;
    /// Puts a ticket's number on the revocation list.
    ///
    /// # Errors
    /// `Store`.
    fn revoke_ticket(&self, ticket: TicketNumber) -> Result<(), KeyFault>;
}
