//! A key server for tests: swipes and PINs in clear, TDES and MACs by the twin's own functions.

use std::sync::Mutex;

use guichet_engine::ids::{AcquirerId, CardTag, Slot, TerminalId, TicketNumber};
use guichet_engine::time::Instant;
use guichet_ports::keys::{
    CardIdentity, KeyFault, KeyServer, MacAlgorithm, PadKeys, SwipedCard, TicketClaims,
    TicketVerdict, WrappedZoneKeys,
};
use guichet_ports::secret::{Pan, PinEntry, SealedSwipe, Track2};
use guichet_sandbox::bank::crypto::{ZoneKey, mac, make_pin_block};

pub struct TestKeys {
    master: ZoneKey,
    working: Mutex<Option<(ZoneKey, ZoneKey)>>,
}

impl TestKeys {
    pub fn new(master: &str) -> TestKeys {
        let master = ZoneKey::new(&hex::decode(master).expect("hex")).expect("key");
        TestKeys { master, working: Mutex::new(None) }
    }

    /// The one acquirer whose zone master key is here.
    fn is_ours(&self, acquirer: AcquirerId) -> Result<(), KeyFault> {
        if acquirer == AcquirerId(1) { Ok(()) } else { Err(KeyFault::UnknownKey) }
    }

    fn unwrap(&self, wrapped: &[u8]) -> Option<ZoneKey> {
        let clear: Vec<u8> = wrapped
            .chunks_exact(8)
            .flat_map(|chunk| self.master.decrypt(chunk.try_into().expect("block")))
            .collect();
        ZoneKey::new(&clear)
    }
}

/// A swipe that holds the track in clear.
pub fn swipe(track2: &str) -> SealedSwipe {
    SealedSwipe { terminal: 1, session: 1, bytes: track2.as_bytes().to_vec() }
}

/// A PIN entry that holds the PIN in clear.
pub fn pin(digits: &str) -> PinEntry {
    let mut block = [0; 16];
    block[..digits.len()].copy_from_slice(digits.as_bytes());
    PinEntry { ksn: [0; 12], block }
}

pub fn tag(pan: &str) -> CardTag {
    let mut tag = [0; 16];
    for (at, byte) in pan.bytes().enumerate() {
        tag[at % 16] ^= byte;
    }
    CardTag(tag)
}

impl KeyServer for TestKeys {
    fn card_key(&self) -> [u8; 32] {
        [0; 32]
    }

    fn open_swipe(&self, swipe: &SealedSwipe) -> Result<SwipedCard, KeyFault> {
        let track = String::from_utf8(swipe.bytes.clone()).map_err(|_| KeyFault::DoesNotOpen)?;
        let (pan, rest) = track.split_once('=').ok_or(KeyFault::BadForm)?;
        let pan = Pan::new(pan.to_string());
        let expiry_yymm = rest.as_bytes().get(..4).and_then(|four| four.try_into().ok());
        Ok(SwipedCard { track2: Track2::new(track.clone()), pan, expiry_yymm, service_code: None })
    }

    fn identify(&self, pan: &Pan) -> Result<CardIdentity, KeyFault> {
        Ok(CardIdentity { tag: tag(pan.expose()), routing: Slot::new(0), mask: String::new() })
    }

    fn terminal_tag(&self, _: TerminalId, _: &Pan) -> Result<[u8; 16], KeyFault> {
        Err(KeyFault::UnknownKey)
    }

    fn pad_keys(&self, _: TerminalId) -> Result<PadKeys, KeyFault> {
        Err(KeyFault::UnknownKey)
    }

    fn revoke_terminal(&self, _: TerminalId) -> Result<(), KeyFault> {
        Err(KeyFault::Store)
    }

    fn import_zone_keys(
        &self,
        acquirer: AcquirerId,
        keys: &WrappedZoneKeys,
    ) -> Result<(), KeyFault> {
        self.is_ours(acquirer)?;
        if keys.pin_key.len() != 16 || !matches!(keys.mac_key.len(), 8 | 16) {
            return Err(KeyFault::BadForm);
        }
        let pin = self.unwrap(&keys.pin_key).ok_or(KeyFault::BadForm)?;
        let code = self.unwrap(&keys.mac_key).ok_or(KeyFault::BadForm)?;
        if pin.check_value(keys.pin_check.len()) != keys.pin_check
            || code.check_value(keys.mac_check.len()) != keys.mac_check
        {
            return Err(KeyFault::CheckFailed);
        }
        *self.working.lock().expect("lock") = Some((pin, code));
        Ok(())
    }

    fn translate_pin(
        &self,
        _: TerminalId,
        pan: &Pan,
        pin: &PinEntry,
        _: AcquirerId,
    ) -> Result<[u8; 8], KeyFault> {
        let working = self.working.lock().expect("lock");
        let (key, _) = working.as_ref().ok_or(KeyFault::UnknownKey)?;
        let digits: String =
            pin.block.iter().take_while(|byte| **byte != 0).map(|b| char::from(*b)).collect();
        make_pin_block(key, &digits, pan.expose()).ok_or(KeyFault::BadForm)
    }

    fn mac(
        &self,
        acquirer: AcquirerId,
        algorithm: MacAlgorithm,
        message: &[u8],
    ) -> Result<[u8; 8], KeyFault> {
        self.is_ours(acquirer)?;
        let working = self.working.lock().expect("lock");
        let (_, key) = working.as_ref().ok_or(KeyFault::UnknownKey)?;
        let algorithm = match algorithm {
            MacAlgorithm::X919 => guichet_iso8583::MacAlgorithm::Iso9797Alg3Pad1,
            MacAlgorithm::Iso9797Alg3Pad2 => guichet_iso8583::MacAlgorithm::Iso9797Alg3Pad2,
            MacAlgorithm::UnionPayEcb => guichet_iso8583::MacAlgorithm::UnionpayEcb,
            MacAlgorithm::AesCmac => guichet_iso8583::MacAlgorithm::AesCmac,
        };
        Ok(mac(key, algorithm, message))
    }

    fn verify_mac(
        &self,
        acquirer: AcquirerId,
        algorithm: MacAlgorithm,
        message: &[u8],
        code: &[u8],
    ) -> Result<(), KeyFault> {
        let found = self.mac(acquirer, algorithm, message)?;
        if (4..=8).contains(&code.len()) && found.starts_with(code) {
            Ok(())
        } else {
            Err(KeyFault::CheckFailed)
        }
    }

    fn seal_ticket(&self, _: &TicketClaims) -> Result<Vec<u8>, KeyFault> {
        Err(KeyFault::UnknownKey)
    }

    fn verify_ticket(&self, _: &[u8], _: Instant) -> TicketVerdict {
        TicketVerdict::Malformed
    }

    fn revoke_ticket(&self, _: TicketNumber) -> Result<(), KeyFault> {
        Err(KeyFault::Store)
    }
}
