//! Who this terminal is, who its center is, and the session in progress.

use guichet_link::keys::{PublicKey, StaticKey};
use redb::{ReadableTable, Table};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{BOOKINGS, FORM, META, OUTBOX, PRINTS, RECEIPTS, Store, decode, encode};
use crate::error::KioskError;
use crate::steps::Step;

/// What the center said at its last welcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The operator's name.
    pub operator: String,
    /// The place's name.
    pub place_name: String,
    /// Its zone (IANA).
    pub zone: String,
    /// The key to seal swipes to, hexadecimal.
    pub card_key: String,
    /// Fewest digits of a PIN.
    pub pin_length_min: u8,
    /// Most digits of a PIN.
    pub pin_length_max: u8,
    /// Epoch of the tag key under which bookings are pushed.
    pub tag_epoch: u32,
}

impl Standing {
    /// The key to seal swipes to; `None` before the first welcome.
    #[must_use]
    pub fn card_key(&self) -> Option<[u8; 32]> {
        let mut key = [0; 32];
        hex::decode_to_slice(&self.card_key, &mut key).ok()?;
        Some(key)
    }
}

/// A payment that was asked for and has not ended here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// The session.
    pub session: u64,
    /// Its order.
    pub order: String,
    /// The payment, once the center has named it.
    pub payment: Option<u8>,
}

fn get<T: DeserializeOwned>(
    meta: &Table<'_, &'static str, &'static [u8]>,
    name: &'static str,
    doing: &'static str,
) -> Result<Option<T>, KioskError> {
    let found = meta.get(name).map_err(KioskError::journal(doing))?;
    found.map(|bytes| decode(bytes.value(), name)).transpose()
}

impl Store {
    pub(super) fn begin(&self, terminal: u32) -> Result<(), KioskError> {
        let doing = "opening";
        self.write(doing, |write| {
            let mut meta = write.open_table(META).map_err(KioskError::journal(doing))?;
            write.open_table(BOOKINGS).map_err(KioskError::journal(doing))?;
            write.open_table(PRINTS).map_err(KioskError::journal(doing))?;
            write.open_table(RECEIPTS).map_err(KioskError::journal(doing))?;
            write.open_table(OUTBOX).map_err(KioskError::journal(doing))?;
            let found: Option<u64> = get(&meta, "form", doing)?;
            if let Some(found) = found {
                if found > FORM {
                    return Err(KioskError::Newer { found, known: FORM });
                }
                let theirs: Option<u32> = get(&meta, "terminal", doing)?;
                let theirs = theirs.ok_or(KioskError::Damaged { what: "no terminal number" })?;
                if theirs != terminal {
                    return Err(KioskError::OtherTerminal { theirs, ours: terminal });
                }
                return Ok(());
            }
            let key = StaticKey::generate()?;
            let mut put = |name: &str, value: &[u8]| {
                meta.insert(name, value).map(drop).map_err(KioskError::journal(doing))
            };
            put("terminal", &encode(&terminal)?)?;
            put("key", key.expose())?;
            put("form", &encode(&FORM)?)
        })
    }

    fn meta(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KioskError> {
        let doing = "reading";
        let read = self.read(doing)?;
        let meta = read.open_table(META).map_err(KioskError::journal(doing))?;
        let found = meta.get(name).map_err(KioskError::journal(doing))?;
        Ok(found.map(|bytes| Zeroizing::new(bytes.value().to_vec())))
    }

    fn put_meta(&self, name: &str, value: Option<&[u8]>) -> Result<(), KioskError> {
        let doing = "writing";
        self.write(doing, |write| {
            let mut meta = write.open_table(META).map_err(KioskError::journal(doing))?;
            let outcome = match value {
                Some(value) => meta.insert(name, value).map(drop),
                None => meta.remove(name).map(drop),
            };
            outcome.map_err(KioskError::journal(doing))
        })
    }

    /// The terminal's own key.
    ///
    /// # Errors
    /// `Journal`, `Damaged`, `Key`.
    pub fn key(&self) -> Result<StaticKey, KioskError> {
        let bytes = self.meta("key")?.ok_or(KioskError::Damaged { what: "no key" })?;
        let bytes: [u8; 32] =
            bytes[..].try_into().map_err(|_| KioskError::Damaged { what: "its key" })?;
        Ok(StaticKey::from_bytes(bytes)?)
    }

    /// The center's key, once enrolled.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn center(&self) -> Result<Option<PublicKey>, KioskError> {
        self.meta("center")?.map(|bytes| decode(&bytes, "the center's key")).transpose()
    }

    /// Remembers the center for good.
    ///
    /// # Errors
    /// `Journal`.
    pub fn set_center(&self, center: &PublicKey) -> Result<(), KioskError> {
        self.put_meta("center", Some(&encode(center)?))
    }

    /// What the center said at its last welcome.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn standing(&self) -> Result<Standing, KioskError> {
        let found = self.meta("standing")?;
        Ok(found
            .map(|bytes| decode(&bytes, "the center's welcome"))
            .transpose()?
            .unwrap_or_default())
    }

    /// Keeps a welcome; bookings under another epoch's tags are forgotten with it.
    ///
    /// # Errors
    /// `Journal`.
    pub fn set_standing(&self, standing: &Standing) -> Result<(), KioskError> {
        let doing = "keeping the welcome";
        let bytes = encode(standing)?;
        self.write(doing, |write| {
            let mut meta = write.open_table(META).map_err(KioskError::journal(doing))?;
            let before = meta.insert("standing", &bytes[..]).map_err(KioskError::journal(doing))?;
            let before: Option<Standing> =
                before.and_then(|bytes| decode(bytes.value(), "the center's welcome").ok());
            if before.is_some_and(|before| before.tag_epoch != standing.tag_epoch) {
                let mut bookings =
                    write.open_table(BOOKINGS).map_err(KioskError::journal(doing))?;
                bookings.retain(|_, _| false).map_err(KioskError::journal(doing))?;
            }
            Ok(())
        })
    }

    /// Gives out a session number, higher than any before, and not below `now_ms`: a terminal whose journal was
    /// replaced does not repeat old ones.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn next_session(&self, now_ms: u64) -> Result<u64, KioskError> {
        let doing = "numbering a session";
        let session = self.write(doing, |write| {
            let mut meta = write.open_table(META).map_err(KioskError::journal(doing))?;
            let last: Option<u64> = get(&meta, "session", doing)?;
            let session = now_ms.max(last.unwrap_or(0).saturating_add(1));
            meta.insert("session", &encode(&session)?[..]).map_err(KioskError::journal(doing))?;
            Ok(session)
        })?;
        self.steps.reach(Step::SessionNumbered);
        Ok(session)
    }

    /// The payment that was in progress.
    ///
    /// # Errors
    /// `Journal`, `Damaged`.
    pub fn open_session(&self) -> Result<Option<OpenSession>, KioskError> {
        self.meta("open-session")?.map(|bytes| decode(&bytes, "the open session")).transpose()
    }

    /// Remembers the payment in progress, before it is asked for; `None` once it has ended.
    ///
    /// # Errors
    /// `Journal`.
    pub fn set_open_session(&self, open: Option<&OpenSession>) -> Result<(), KioskError> {
        let bytes = open.map(encode).transpose()?;
        self.put_meta("open-session", bytes.as_deref())?;
        self.steps.reach(match open {
            Some(OpenSession { payment: None, .. }) => Step::SessionBegun,
            Some(OpenSession { payment: Some(_), .. }) => Step::PaymentNoted,
            None => Step::SessionEnded,
        });
        Ok(())
    }
}
