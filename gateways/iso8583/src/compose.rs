//! Request templates: how a dialect writes each transaction, as data.
//!
//! A template is text with `{name}` places. `{name:06}` fills with zeros on the left,
//! `{name:<40}` with spaces on the right. `{name?}` leaves the element out when the value is
//! absent; a template that begins with `[name]` is left out unless that value is given.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::dialect::{Dialect, Kind};
use crate::error::DialectError;
use crate::schema::{RawDialect, RawTransaction};
use crate::{MAX_DE, Message, Mti};

/// Every name that a template may use.
const VALUE_NAMES: [&str; 31] = [
    "pan",
    "expiry",
    "track2",
    "amount",
    "stan",
    "rrn",
    "transmission",
    "local_time",
    "local_date",
    "merchant_type",
    "acquirer",
    "forwarder",
    "terminal",
    "merchant",
    "merchant_name",
    "currency",
    "auth_code",
    "pin_block",
    "entry_mode",
    "reason",
    "icc",
    "card_sequence",
    "batch",
    "operator",
    "original",
    "original.mti",
    "original.stan",
    "original.transmission",
    "original.local_date",
    "original.local_time",
    "business_date",
];

/// Widest fill that a template may ask for.
const MAX_WIDTH: usize = 999;

/// Values for templates, by name; zeroised when dropped.
#[derive(Default)]
pub struct Values(BTreeMap<String, Zeroizing<Vec<u8>>>);

impl Values {
    /// No values.
    pub fn new() -> Values {
        Values::default()
    }

    /// Sets a text.
    pub fn set(&mut self, name: &str, text: &str) -> &mut Values {
        self.set_bytes(name, text.as_bytes())
    }

    /// Sets bytes.
    pub fn set_bytes(&mut self, name: &str, bytes: &[u8]) -> &mut Values {
        self.0.insert(name.to_string(), Zeroizing::new(bytes.to_vec()));
        self
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(|value| value.as_slice())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

/// Why a message could not be written from its templates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// The dialect has no such transaction.
    #[error("dialect has no transaction {0:?}")]
    NoTransaction(String),
    /// A value that an element needs was not given.
    #[error("DE {de} needs the value {name:?}")]
    MissingValue {
        /// The element.
        de: u8,
        /// The value's name.
        name: String,
    },
    /// A value is longer than the place for it, or is no digits where digits are due.
    #[error("the value {name:?} does not fit into DE {de}")]
    DoesNotFit {
        /// The element.
        de: u8,
        /// The value's name.
        name: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    None,
    ZeroLeft(usize),
    SpaceRight(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Value { name: String, optional: bool, fill: Fill },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Template {
    guard: Option<String>,
    segments: Vec<Segment>,
}

impl Template {
    fn parse(text: &str) -> Result<Template, String> {
        let mut rest = text;
        let mut guard = None;
        if let Some(after) = rest.strip_prefix('[') {
            let (name, tail) = after.split_once(']').ok_or("a guard is not closed")?;
            guard = Some(known(name)?);
            rest = tail;
        }
        let mut segments = Vec::new();
        while !rest.is_empty() {
            match rest.split_once('{') {
                None => {
                    segments.push(Segment::Literal(rest.to_string()));
                    rest = "";
                }
                Some((before, after)) => {
                    if !before.is_empty() {
                        segments.push(Segment::Literal(before.to_string()));
                    }
                    let (inside, tail) = after.split_once('}').ok_or("a place is not closed")?;
                    segments.push(parse_place(inside)?);
                    rest = tail;
                }
            }
        }
        if segments.is_empty() {
            return Err("a template is empty".to_string());
        }
        Ok(Template { guard, segments })
    }

    fn is_optional(&self) -> bool {
        self.guard.is_some()
            || self
                .segments
                .iter()
                .any(|segment| matches!(segment, Segment::Value { optional: true, .. }))
    }

    fn literal(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::Literal(_)))
    }

    /// Whether a text could have come from this template. Only literals and widths are compared.
    fn matches(&self, text: &str) -> bool {
        let mut rest = text;
        for (at, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Literal(literal) => match rest.strip_prefix(literal.as_str()) {
                    Some(tail) => rest = tail,
                    None => return false,
                },
                Segment::Value {
                    fill: Fill::ZeroLeft(width) | Fill::SpaceRight(width), ..
                } => match rest.get(*width..) {
                    Some(tail) => rest = tail,
                    None => return false,
                },
                Segment::Value { fill: Fill::None, .. } => {
                    // Without a width nothing can be said about what follows.
                    return at + 1 == self.segments.len() || !self.literal() || rest.is_ascii();
                }
            }
        }
        rest.is_empty()
    }
}

fn known(name: &str) -> Result<String, String> {
    if VALUE_NAMES.contains(&name) {
        Ok(name.to_string())
    } else {
        Err(format!("unknown value {name:?}; known: {VALUE_NAMES:?}"))
    }
}

fn parse_place(inside: &str) -> Result<Segment, String> {
    let (name, fill) = match inside.split_once(':') {
        None => (inside, Fill::None),
        Some((name, spec)) => {
            let space = spec.strip_prefix('<');
            let width: usize = space
                .or_else(|| spec.strip_prefix('0'))
                .and_then(|digits| digits.parse().ok())
                .filter(|width| (1..=MAX_WIDTH).contains(width))
                .ok_or("a width is written :0N or :<N")?;
            let fill =
                if space.is_some() { Fill::SpaceRight(width) } else { Fill::ZeroLeft(width) };
            (name, fill)
        }
    };
    let (name, optional) = match name.strip_suffix('?') {
        Some(name) => (name, true),
        None => (name, false),
    };
    Ok(Segment::Value { name: known(name)?, optional, fill })
}

/// How a dialect writes one kind of transaction.
#[derive(Debug, Clone)]
pub struct TransactionSpec {
    /// Type of the first transmission.
    pub mti: Mti,
    /// Type of a repeat.
    pub repeat_mti: Mti,
    fields: BTreeMap<u8, Template>,
}

impl TransactionSpec {
    /// The elements that it may carry.
    pub fn elements(&self) -> impl Iterator<Item = u8> + '_ {
        self.fields.keys().copied()
    }

    pub(crate) fn check_all(
        raw: &mut RawDialect,
    ) -> Result<BTreeMap<String, TransactionSpec>, DialectError> {
        let transactions = std::mem::take(&mut raw.transactions);
        let mut checked = BTreeMap::new();
        for (name, transaction) in transactions {
            let spec = TransactionSpec::check(&name, transaction, &raw.templates)?;
            checked.insert(name, spec);
        }
        Ok(checked)
    }

    fn check(
        name: &str,
        raw: RawTransaction,
        shared: &BTreeMap<String, BTreeMap<String, String>>,
    ) -> Result<TransactionSpec, DialectError> {
        let place = format!("transactions.{name}");
        let invalid = |reason: String| DialectError::invalid(place.clone(), reason);
        let mti = |text: &str| {
            Mti::parse(text)
                .filter(|mti| !mti.is_answer())
                .ok_or_else(|| invalid(format!("{text:?} is no request type")))
        };
        let first = mti(&raw.mti)?;
        let repeat = raw.repeat_mti.as_deref().map(mti).transpose()?.unwrap_or(first);
        let mut texts: BTreeMap<u8, &String> = BTreeMap::new();
        let mut sources = Vec::new();
        for base in &raw.extends {
            let fields = shared.get(base).ok_or_else(|| invalid(format!("no templates.{base}")))?;
            sources.push(fields);
        }
        sources.push(&raw.fields);
        for (de, text) in sources.into_iter().flatten() {
            let de = de
                .parse()
                .ok()
                .filter(|de| (2..=MAX_DE).contains(de))
                .ok_or_else(|| invalid(format!("{de:?} is no element")))?;
            texts.insert(de, text);
        }
        let mut fields = BTreeMap::new();
        // An empty text takes back what a shared template gave.
        for (de, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            let template =
                Template::parse(text).map_err(|reason| invalid(format!("DE {de}: {reason}")))?;
            fields.insert(de, template);
        }
        Ok(TransactionSpec { mti: first, repeat_mti: repeat, fields })
    }
}

impl Dialect {
    /// How a kind of transaction is written.
    pub fn transaction(&self, kind: &str) -> Option<&TransactionSpec> {
        self.transactions.get(kind)
    }

    /// Names of the transactions that the dialect has.
    pub fn transactions(&self) -> impl Iterator<Item = &str> {
        self.transactions.keys().map(String::as_str)
    }

    /// Writes a message of a kind from values.
    ///
    /// # Errors
    /// [`ComposeError`] if the kind is unknown, or a value is missing or does not fit.
    pub fn compose(&self, kind: &str, values: &Values) -> Result<Message, ComposeError> {
        let spec =
            self.transaction(kind).ok_or_else(|| ComposeError::NoTransaction(kind.to_string()))?;
        let original = self.original().and_then(|original| {
            original.compose(|part| {
                values.text(&format!("original.{part}")).or_else(|| match part {
                    "acquirer" | "forwarder" | "batch" => values.text(part),
                    _ => None,
                })
            })
        });
        let mut message = Message::new(spec.mti);
        for (de, template) in &spec.fields {
            if let Some(guard) = &template.guard
                && values.get(guard).is_none()
            {
                continue;
            }
            if let Some(value) = self.expand(*de, template, values, original.as_deref())? {
                message.set_bytes(*de, &value);
            }
        }
        Ok(message)
    }

    fn expand(
        &self,
        de: u8,
        template: &Template,
        values: &Values,
        original: Option<&str>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ComposeError> {
        let mut out = Zeroizing::new(Vec::new());
        for segment in &template.segments {
            let (name, optional, fill) = match segment {
                Segment::Literal(literal) => {
                    out.extend_from_slice(literal.as_bytes());
                    continue;
                }
                Segment::Value { name, optional, fill } => (name, *optional, *fill),
            };
            let value = match name.as_str() {
                "original" => original.map(str::as_bytes),
                other => values.get(other),
            };
            let Some(value) = value else {
                if optional {
                    return Ok(None);
                }
                return Err(ComposeError::MissingValue { de, name: name.clone() });
            };
            let (width, before) = match fill {
                Fill::None => (value.len(), true),
                Fill::ZeroLeft(width) => (width, true),
                Fill::SpaceRight(width) => (width, false),
            };
            let missing = width
                .checked_sub(value.len())
                .ok_or_else(|| ComposeError::DoesNotFit { de, name: name.clone() })?;
            if before {
                out.extend(std::iter::repeat_n(b'0', missing));
            }
            out.extend_from_slice(value);
            if !before {
                out.extend(std::iter::repeat_n(b' ', missing));
            }
        }
        Ok(Some(out))
    }

    /// The kind of transaction that a request is, by type and by the literals of the templates;
    /// of several that fit, the one with most literals compared, then the first by name.
    pub fn classify(&self, message: &Message) -> Option<&str> {
        self.transactions
            .iter()
            .filter(|(_, spec)| spec.mti == message.mti || spec.repeat_mti == message.mti)
            .filter_map(|(name, spec)| Some((self.literals_matching(spec, message)?, name)))
            .max_by(|(a, name_a), (b, name_b)| a.cmp(b).then_with(|| name_b.cmp(name_a)))
            .map(|(_, name)| name.as_str())
    }

    fn literals_matching(&self, spec: &TransactionSpec, message: &Message) -> Option<usize> {
        let mut compared = 0;
        for (de, template) in spec.fields.iter().filter(|(_, template)| template.literal()) {
            if self.field(*de).is_some_and(|field| field.kind == Kind::B) {
                continue;
            }
            match message.text(*de) {
                Some(text) if template.matches(text) => compared += 1,
                None if template.is_optional() => {}
                Some(_) | None => return None,
            }
        }
        Some(compared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_read_and_matched() {
        let rows = [
            ("030000", "030000", true),
            ("030000", "000000", false),
            ("10{batch:06}000", "10000024000", true),
            ("10{batch:06}000", "20000024000", false),
            ("10{batch:06}000", "1000002400", false),
            ("{terminal}", "anything", true),
        ];
        for (template, text, expected) in rows {
            let parsed = Template::parse(template).expect("template");
            assert_eq!(parsed.matches(text), expected, "{template} on {text}");
        }
        for bad in ["{", "{nothing}", "[pan", "[nothing]1", "{pan:7}", "{pan:0}", "{pan:01000}", ""]
        {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
