//! The shape of a dialect table as it stands in a file, before it is checked.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::coding::{BinaryCoding, Coding, Side};
use crate::dialect::Kind;
use crate::frame::LengthForm;
use crate::profile::{Action, KeyForm, KeyPart, MacAlgorithm, PaymentFlow, Verdict};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDialect {
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub framing: RawFraming,
    pub coding: RawCoding,
    pub field: Vec<RawField>,
    pub mac: Option<RawMac>,
    #[serde(default)]
    pub payment_flow: PaymentFlow,
    #[serde(default)]
    pub entry_modes: BTreeMap<String, RawEntryMode>,
    pub original: Option<RawOriginal>,
    pub keys: Option<RawKeys>,
    #[serde(default)]
    pub reasons: BTreeMap<String, String>,
    #[serde(default)]
    pub templates: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    pub transactions: BTreeMap<String, RawTransaction>,
    #[serde(default)]
    pub matching: RawMatching,
    #[serde(default)]
    pub codes: BTreeMap<String, RawCode>,
    #[serde(default)]
    pub reversal_codes: RawAdviceCodes,
    #[serde(default)]
    pub refund_codes: RawAdviceCodes,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFraming {
    pub length: LengthForm,
    #[serde(default)]
    pub inclusive: bool,
    pub tpdu: Option<String>,
    pub header: Option<String>,
    pub max_body: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCoding {
    pub mti: Coding,
    pub bitmap: BinaryCoding,
    pub secondary_bitmap: bool,
    pub numeric: Coding,
    pub text: Coding,
    pub length: Coding,
    pub binary: BinaryCoding,
    pub track_separator: char,
    #[serde(default = "left")]
    pub odd_fixed: Side,
    #[serde(default = "right")]
    pub odd_variable: Side,
    #[serde(default)]
    pub pad_nibble: u8,
}

fn left() -> Side {
    Side::Left
}

fn right() -> Side {
    Side::Right
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawField {
    pub de: u8,
    pub kind: Kind,
    pub length: RawLength,
    pub max: usize,
    #[serde(default)]
    pub min: usize,
    pub coding: Option<Coding>,
    pub binary: Option<BinaryCoding>,
    pub pad: Option<Side>,
    pub nibble: Option<u8>,
    pub counts: Option<RawCounts>,
    pub signs: Option<String>,
    #[serde(default)]
    pub any_byte: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawLength {
    Fixed,
    Ll,
    Lll,
}

/// What a length prefix counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawCounts {
    Digits,
    Bytes,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMac {
    pub algorithm: MacAlgorithm,
    pub carrier: u8,
    pub carrier_extended: Option<u8>,
    pub classes: Vec<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEntryMode {
    pub pin: String,
    pub no_pin: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOriginal {
    pub field: u8,
    pub parts: Vec<RawOriginalPart>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOriginalPart {
    pub name: String,
    pub length: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKeys {
    pub field: u8,
    pub form: KeyForm,
    pub parts: Vec<RawKeyPart>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKeyPart {
    pub part: KeyPart,
    pub bytes: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTransaction {
    pub mti: String,
    pub repeat_mti: Option<String>,
    #[serde(default)]
    pub extends: Vec<String>,
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMatching {
    #[serde(default)]
    pub key: Vec<u8>,
    #[serde(default)]
    pub echo: Vec<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCode {
    pub verdict: Verdict,
    #[serde(default)]
    pub action: Action,
    pub meaning: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAdviceCodes {
    #[serde(default)]
    pub done: Vec<String>,
    #[serde(default)]
    pub operator: Vec<String>,
}
