//! Accounts and cards, read from a table.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The table that comes with the twin.
const SHIPPED: &str = include_str!("../../data/bank.toml");

/// A text in the languages of the product.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Words {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

/// An account and what is in it, in minor units of its currency.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountData {
    /// Its number.
    pub id: String,
    /// ISO 4217 number.
    pub currency: u16,
    /// Opening balance.
    pub balance: i64,
    /// Whose it is.
    pub holder: String,
}

/// A test card. All of it is public: these numbers are published for tests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardData {
    /// Card number.
    pub pan: String,
    /// Account it draws on.
    pub account: String,
    /// Expiry YYMM.
    pub expiry: String,
    /// Service code of the track.
    pub service_code: String,
    /// PIN.
    pub pin: String,
    /// Response code that refuses everything.
    #[serde(default)]
    pub refuse: Option<String>,
    /// Response code that refuses completions only.
    #[serde(default)]
    pub refuse_completion: Option<String>,
    /// Highest amount of one payment.
    #[serde(default)]
    pub limit: Option<i64>,
    /// What the card is for, in one word.
    pub behaviour: String,
    /// The same for people.
    pub description: Words,
}

impl CardData {
    /// What its magnetic stripe holds: track 2 without sentinels.
    pub fn track2(&self) -> String {
        format!("{}={}{}0000000000", self.pan, self.expiry, self.service_code)
    }
}

/// The whole table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankData {
    /// The acquirer's institution code (DE 32).
    pub institution: String,
    /// The bank's name.
    pub name: Words,
    /// Exchange rates: minor units of an account per million minor units, by ISO 4217 number.
    pub rates: BTreeMap<String, i64>,
    /// Accounts.
    #[serde(rename = "account")]
    pub accounts: Vec<AccountData>,
    /// Cards.
    #[serde(rename = "card")]
    pub cards: Vec<CardData>,
}

impl BankData {
    /// Reads the table at a path, or the shipped one.
    ///
    /// # Errors
    /// A file that cannot be read, is no such table, or names an account that it lacks.
    pub fn load(path: Option<&Path>) -> anyhow::Result<BankData> {
        let text = match path {
            None => SHIPPED.to_string(),
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read bank data {}", path.display()))?,
        };
        let data: BankData = toml::from_str(&text).context("bank data is not a usable table")?;
        for card in &data.cards {
            anyhow::ensure!(
                data.accounts.iter().any(|account| account.id == card.account),
                "bank data: card {} names no account",
                guichet_iso8583::mask_pan(&card.pan)
            );
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_cards_have_tracks_that_fit_and_words_in_both_languages() {
        let data = BankData::load(None).expect("shipped");
        assert_eq!(data.cards.len(), 9);
        for card in &data.cards {
            assert!(card.track2().len() <= 37, "{}", card.pan);
            assert!(luhn(&card.pan), "{}", card.pan);
            assert!(!card.description.en.is_empty() && !card.description.zh.is_empty());
            assert!((4..=12).contains(&card.pin.len()));
        }
        let behaviours: std::collections::BTreeSet<_> =
            data.cards.iter().map(|card| card.behaviour.as_str()).collect();
        for wanted in ["approved", "expired", "blocked", "insufficient_funds", "foreign_issuer"] {
            assert!(behaviours.contains(wanted), "{wanted}");
        }
    }

    fn luhn(pan: &str) -> bool {
        let sum: u32 = pan
            .bytes()
            .rev()
            .enumerate()
            .map(|(at, byte)| {
                let digit = u32::from(byte - b'0') * if at % 2 == 1 { 2 } else { 1 };
                digit / 10 + digit % 10
            })
            .sum();
        sum.is_multiple_of(10)
    }
}
