//! The key server module's port: what is asked of keys without seeing them.

use guichet_engine::ids::{AcquirerId, CardTag, Slot, TerminalId, TicketNumber};
use guichet_engine::time::Instant;
use guichet_ports::keys::{
    CardIdentity, KeyFault, KeyServer, MacAlgorithm, PadKeys, SwipedCard, TicketClaims,
    TicketVerdict, WrappedZoneKeys,
};
use guichet_ports::secret::{Pan, PinEntry, SealedSwipe};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::block::Tdes;
use crate::crypto::dukpt_aes::{self, Algorithm, Ksn, KsnFault, Usage};
use crate::crypto::pin::{self, PinEnd, PinFormat};
use crate::crypto::{CryptoError, Key, mac, seal, tag};
use crate::db::{Change, Table};
use crate::error::VaultError;
use crate::keyring::KeyUse;
use crate::pads::PadFault;
use crate::records::TerminalRow;
use crate::ticket::{self, SealFault, SealingKeys};
use crate::{Vault, track};

/// Bytes of a check value, as banks send them.
const CHECK_BYTES: core::ops::RangeInclusive<usize> = 3..=8;
/// Bound into the derivation of terminals' tag keys.
const TERMINAL_TAG_CONTEXT: &[u8] = b"guichet/terminal-tag/1";

impl KeyServer for Vault {
    fn card_key(&self) -> [u8; 32] {
        self.fixed.card_public
    }

    fn open_swipe(&self, swipe: &SealedSwipe) -> Result<SwipedCard, KeyFault> {
        let context = SealedSwipe::context(swipe.terminal, swipe.session);
        let clear = seal::open_box(&self.fixed.card_secret, &context, &swipe.bytes)
            .map_err(|_| KeyFault::DoesNotOpen)?;
        track::read_track_2(&clear).ok_or(KeyFault::BadForm)
    }

    fn identify(&self, pan: &Pan) -> Result<CardIdentity, KeyFault> {
        let digits = pan.expose();
        pin::check_pan(digits).map_err(|_| KeyFault::BadForm)?;
        if !tag::check_digit_holds(digits) {
            return Err(KeyFault::BadForm);
        }
        Ok(CardIdentity {
            tag: CardTag(tag::card_tag(&self.fixed.center_tag, digits)),
            routing: Slot::new(tag::routing_bits(&self.fixed.routing, digits)),
            mask: tag::mask(digits),
        })
    }

    fn terminal_tag(&self, terminal: TerminalId, pan: &Pan) -> Result<[u8; 16], KeyFault> {
        pin::check_pan(pan.expose()).map_err(|_| KeyFault::BadForm)?;
        let row = self.unrevoked(terminal)?;
        let key = self.terminal_tag_key(terminal, row)?;
        Ok(tag::card_tag(&key, pan.expose()))
    }

    fn pad_keys(&self, terminal: TerminalId) -> Result<PadKeys, KeyFault> {
        let mut row = self.unrevoked(terminal)?;
        if row.derivation_id == 0 {
            let fresh = self.pads.assign(terminal.0).map_err(store)?;
            self.change_terminal(terminal, |now| {
                // Another caller may have been faster: the first injection's keys stay.
                let kept = if now.derivation_id == 0 { fresh } else { now.derivation_id };
                row = TerminalRow { derivation_id: kept, ..now };
                row
            })
            .map_err(store)?;
        }
        let ikid = self.initial_key_id(row.derivation_id);
        let initial =
            dukpt_aes::initial_key(&self.fixed.pad_base, ikid).map_err(|_| KeyFault::Store)?;
        let tag_key = self.terminal_tag_key(terminal, row)?;
        Ok(PadKeys {
            ik: initial.bytes().try_into().map_err(|_| KeyFault::Store)?,
            ikid,
            tag_key: *tag_key.bytes_32().map_err(|_| KeyFault::Store)?,
        })
    }

    fn revoke_terminal(&self, terminal: TerminalId) -> Result<(), KeyFault> {
        let old = self.terminal(terminal).derivation_id;
        self.change_terminal(terminal, |row| TerminalRow { revoked: true, ..row })
            .map_err(store)?;
        self.pads.retire(old).map_err(store)
    }

    fn import_zone_keys(
        &self,
        acquirer: AcquirerId,
        keys: &WrappedZoneKeys,
    ) -> Result<(), KeyFault> {
        let scope = u32::from(acquirer.0);
        let ring = self.keys();
        let master = ring.newest(KeyUse::ZoneMaster, scope).ok_or(KeyFault::UnknownKey)?;
        let pin_key = unwrap_zone_key(&master.key, &keys.pin_key, &keys.pin_check, &[16])?;
        let mac_key = unwrap_zone_key(&master.key, &keys.mac_key, &keys.mac_check, &[8, 16])?;
        // One key for two purposes would let a MAC command decrypt a PIN block.
        if pin_key == mac_key {
            return Err(KeyFault::BadForm);
        }
        self.change_keys(|ring| {
            ring.put(KeyUse::ZonePin, scope, 1, pin_key);
            ring.put(KeyUse::ZoneMac, scope, 1, mac_key);
            Ok(())
        })
        .map_err(store)
    }

    fn translate_pin(
        &self,
        terminal: TerminalId,
        pan: &Pan,
        pin: &PinEntry,
        acquirer: AcquirerId,
    ) -> Result<[u8; 8], KeyFault> {
        // Everything that can fail without the pad comes first, so that no counter is spent on it.
        pin::check_pan(pan.expose()).map_err(|_| KeyFault::BadForm)?;
        let row = self.unrevoked(terminal)?;
        let zone_pin = self.zone_key(KeyUse::ZonePin, acquirer)?;
        let ksn = Ksn::parse(&pin.ksn).map_err(|_| KeyFault::BadForm)?;
        if row.derivation_id == 0 || ksn.initial_key_id != self.initial_key_id(row.derivation_id) {
            return Err(KeyFault::UnknownKey);
        }
        self.pads.spend(terminal.0, ksn).map_err(|fault| match fault {
            PadFault::Ksn(KsnFault::Replayed) => KeyFault::Replayed,
            PadFault::Ksn(KsnFault::Length | KsnFault::Counter) => KeyFault::BadForm,
            PadFault::Ksn(KsnFault::Unknown) => KeyFault::UnknownKey,
            PadFault::Retired => KeyFault::Revoked,
            PadFault::Store(error) => store(error),
        })?;
        let initial = dukpt_aes::initial_key(&self.fixed.pad_base, ksn.initial_key_id);
        let pad_key = initial
            .and_then(|key| dukpt_aes::working_key(&key, ksn, Usage::Pin, Algorithm::Aes128))
            .map_err(|_| KeyFault::Store)?;
        let from = PinEnd { key: &pad_key, format: PinFormat::Iso4 };
        let to = PinEnd { key: &zone_pin, format: PinFormat::Iso0 };
        // Which part of the block was wrong is told to nobody: it would make an oracle.
        let block = pin::translate(from, to, pan.expose(), &pin.block, [0; 10])
            .map_err(|_| KeyFault::BadForm)?;
        block.try_into().map_err(|_| KeyFault::BadForm)
    }

    fn mac(
        &self,
        acquirer: AcquirerId,
        algorithm: MacAlgorithm,
        message: &[u8],
    ) -> Result<[u8; 8], KeyFault> {
        let key = self.zone_key(KeyUse::ZoneMac, acquirer)?;
        let mac = mac::generate(algorithm_of(algorithm), &key, message)
            .map_err(|_: CryptoError| KeyFault::UnknownKey)?;
        mac.bytes().first_chunk::<8>().copied().ok_or(KeyFault::BadForm)
    }

    fn verify_mac(
        &self,
        acquirer: AcquirerId,
        algorithm: MacAlgorithm,
        message: &[u8],
        mac: &[u8],
    ) -> Result<(), KeyFault> {
        let key = self.zone_key(KeyUse::ZoneMac, acquirer)?;
        let good = mac::verify(algorithm_of(algorithm), &key, message, mac)
            .map_err(|_: CryptoError| KeyFault::UnknownKey)?;
        if good { Ok(()) } else { Err(KeyFault::CheckFailed) }
    }

    fn seal_ticket(&self, claims: &TicketClaims) -> Result<Vec<u8>, KeyFault> {
        let ring = self.keys();
        let signing = ring.newest(KeyUse::TicketSigning, 0).ok_or(KeyFault::UnknownKey)?;
        let encryption =
            ring.epoch(KeyUse::TicketEncryption, signing.epoch).ok_or(KeyFault::UnknownKey)?;
        let keys = SealingKeys {
            epoch: u16::try_from(signing.epoch).map_err(|_| KeyFault::UnknownKey)?,
            signing: &signing.key,
            encryption: &encryption.key,
        };
        ticket::seal_code(&keys, claims).map_err(|fault| match fault {
            SealFault::Claims => KeyFault::BadForm,
            SealFault::Crypto(_) => KeyFault::Store,
        })
    }

    fn verify_ticket(&self, code: &[u8], now: Instant) -> TicketVerdict {
        self.gate.read().verify(code, now)
    }

    fn revoke_ticket(&self, ticket: TicketNumber) -> Result<(), KeyFault> {
        let key = ticket.0.to_be_bytes().to_vec();
        self.db.commit(vec![Change::Put(Table::RevokedTickets, key, Vec::new())]).map_err(store)?;
        self.gate.write().revoke(ticket);
        Ok(())
    }
}

impl Vault {
    fn unrevoked(&self, terminal: TerminalId) -> Result<TerminalRow, KeyFault> {
        let row = self.terminal(terminal);
        if row.revoked { Err(KeyFault::Revoked) } else { Ok(row) }
    }

    fn terminal_tag_key(&self, terminal: TerminalId, row: TerminalRow) -> Result<Key, KeyFault> {
        let info = Zeroizing::new(
            [TERMINAL_TAG_CONTEXT, &terminal.0.to_be_bytes(), &row.tag_epoch.to_be_bytes()]
                .concat(),
        );
        seal::derive_32(&[], self.fixed.terminal_tags.bytes(), &info).map_err(|_| KeyFault::Store)
    }

    /// BDK id, then the pad's derivation id (ANSI X9.24-3).
    fn initial_key_id(&self, derivation_id: u32) -> [u8; 8] {
        let [a, b, c, d] = self.fixed.bdk_id.to_be_bytes();
        let [e, f, g, h] = derivation_id.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }

    fn zone_key(&self, key_use: KeyUse, acquirer: AcquirerId) -> Result<Key, KeyFault> {
        let ring = self.keys();
        let entry = ring.newest(key_use, u32::from(acquirer.0)).ok_or(KeyFault::UnknownKey)?;
        Ok(entry.key.clone())
    }
}

/// Logs a failed store once, here where the chain would be lost in the port's answer.
fn store(error: VaultError) -> KeyFault {
    let source = std::error::Error::source(&error).map(ToString::to_string);
    tracing::error!(%error, source, "the key server cannot keep or find something");
    KeyFault::Store
}

const fn algorithm_of(algorithm: MacAlgorithm) -> mac::MacAlgorithm {
    match algorithm {
        MacAlgorithm::X919 => mac::MacAlgorithm::X919,
        MacAlgorithm::Iso9797Alg3Pad2 => mac::MacAlgorithm::Iso9797Alg3(mac::Padding::Bit),
        MacAlgorithm::UnionPayEcb => mac::MacAlgorithm::UnionPayEcb,
        MacAlgorithm::AesCmac => mac::MacAlgorithm::AesCmac,
    }
}

/// Decrypts a working key and compares its check value.
fn unwrap_zone_key(
    master: &Key,
    wrapped: &[u8],
    check: &[u8],
    lengths: &[usize],
) -> Result<Key, KeyFault> {
    if !lengths.contains(&wrapped.len()) || !CHECK_BYTES.contains(&check.len()) {
        return Err(KeyFault::BadForm);
    }
    let clear = Tdes::new(master)
        .and_then(|cipher| cipher.decrypt_ecb(wrapped))
        .map_err(|_| KeyFault::BadForm)?;
    let key = Key::new(&clear).map_err(|_| KeyFault::BadForm)?;
    let value = Tdes::new(&key).map_err(|_| KeyFault::BadForm)?.encrypt([0; 8]);
    if bool::from(value[..check.len()].ct_eq(check)) { Ok(key) } else { Err(KeyFault::CheckFailed) }
}
