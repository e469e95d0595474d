//! The words of the site: data files, one per language, with the same keys.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::LazyLock;

use guichet_engine::time::Instant;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::language::Language;

type Words = BTreeMap<String, String>;

const ENGLISH: &str = include_str!("../i18n/en.toml");
const CHINESE: &str = include_str!("../i18n/zh.toml");

static WORDS: LazyLock<(Words, Words)> = LazyLock::new(|| (read(ENGLISH), read(CHINESE)));

fn read(source: &str) -> Words {
    let mut words = Words::new();
    if let Ok(table) = source.parse::<toml::Table>() {
        flatten("", &table, &mut words);
    }
    words
}

fn flatten(prefix: &str, table: &toml::Table, words: &mut Words) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&name, inner, words),
            toml::Value::String(text) => {
                words.insert(name, text.clone());
            }
            _ => {}
        }
    }
}

/// The words of one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text(pub Language);

impl Text {
    fn words(self) -> &'static Words {
        match self.0 {
            Language::English => &WORDS.0,
            Language::Chinese => &WORDS.1,
        }
    }

    /// The words of a key; a key that is missing shows itself.
    #[must_use]
    pub fn get(self, key: &str) -> String {
        self.words().get(key).cloned().unwrap_or_else(|| format!("[{key}]"))
    }

    /// The words of a key with one `{name}` filled in.
    #[must_use]
    pub fn with(self, key: &str, name: &str, value: impl Display) -> String {
        fill(&self.get(key), &[(name, value.to_string())])
    }

    /// The words of a key with two filled in.
    #[must_use]
    pub fn with2(
        self,
        key: &str,
        &(first, second): &(&str, &str),
        one: impl Display,
        two: impl Display,
    ) -> String {
        fill(&self.get(key), &[(first, one.to_string()), (second, two.to_string())])
    }

    /// The words of a key with three filled in.
    #[must_use]
    pub fn with3(self, key: &str, values: &[(&str, String); 3]) -> String {
        fill(&self.get(key), values)
    }

    /// The words of a key for a count, with `{n}` filled in.
    #[must_use]
    pub fn count(self, key: &str, n: impl Display) -> String {
        let n = n.to_string();
        let form = if n == "1" { "one" } else { "other" };
        self.with(&format!("{key}.{form}"), "n", n)
    }

    /// A travel class.
    #[must_use]
    pub fn class(self, class: u8) -> String {
        match class {
            1 => self.get("class.first"),
            2 => self.get("class.second"),
            other => self.with("class.other", "n", other),
        }
    }

    /// A date with its weekday.
    #[must_use]
    pub fn date(self, date: Date) -> String {
        let pick = |key: &str, n: i8| {
            let list = self.get(key);
            let n = usize::try_from(n).unwrap_or(0);
            list.split(' ').nth(n).unwrap_or_default().to_owned()
        };
        let weekday = pick("date.weekdays", date.weekday().to_monday_zero_offset());
        let month = pick("date.months", date.month() - 1);
        fill(
            &self.get("date.form"),
            &[
                ("weekday", weekday),
                ("day", date.day().to_string()),
                ("month", month),
                ("year", date.year().to_string()),
            ],
        )
    }

    /// Date and time of an instant in a zone.
    #[must_use]
    pub fn moment(self, at: Instant, zone: &str) -> String {
        self.with2("date.moment", &("date", "time"), self.date(day(at, zone)), clock(at, zone))
    }

    /// How long something takes.
    #[must_use]
    pub fn duration(self, us: i64) -> String {
        let minutes = us.max(0) / 60_000_000;
        let (h, m) = (minutes / 60, minutes % 60);
        if h == 0 {
            return self.with("duration.minutes", "m", m);
        }
        if m == 0 {
            return self.with("duration.whole", "h", h);
        }
        self.with2("duration.hours", &("h", "m"), h, format!("{m:02}"))
    }

    /// How long ago something was.
    #[must_use]
    pub fn ago(self, us: i64) -> String {
        let seconds = us.max(0) / 1_000_000;
        match seconds {
            0..=119 => self.with("duration.ago_seconds", "n", seconds),
            _ => self.with("duration.ago_minutes", "n", seconds / 60),
        }
    }

    /// An amount as people of the language write it.
    #[must_use]
    pub fn money(self, minor: i64, currency: &str, decimals: u8) -> String {
        let symbol = match (currency, self.0) {
            ("CNY", Language::Chinese) => "¥".to_owned(),
            ("CNY", Language::English) => "CN¥".to_owned(),
            ("EUR", _) => "€".to_owned(),
            ("GBP", _) => "£".to_owned(),
            ("USD", Language::English) => "$".to_owned(),
            ("USD", Language::Chinese) => "US$".to_owned(),
            (other, _) => format!("{other}\u{a0}"),
        };
        let sign = if minor < 0 { "-" } else { "" };
        let scale = 10u64.pow(u32::from(decimals.min(9)));
        let (whole, part) = (minor.unsigned_abs() / scale, minor.unsigned_abs() % scale);
        let whole = grouped(whole);
        if decimals == 0 {
            return format!("{sign}{symbol}{whole}");
        }
        format!("{sign}{symbol}{whole}.{part:0width$}", width = usize::from(decimals))
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Fills `{name}` in, once from left to right, so that a value that looks like a name stays as it is.
fn fill(pattern: &str, values: &[(&str, String)]) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => out.push_str(value),
            None => {
                out.push('{');
                out.push_str(name);
                out.push('}');
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn local(at: Instant, zone: &str) -> DateTime {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    zone.to_datetime(Timestamp::from_microsecond(at.0).unwrap_or_default())
}

/// The local date of an instant.
#[must_use]
pub fn day(at: Instant, zone: &str) -> Date {
    local(at, zone).date()
}

/// The local time of an instant, `HH:MM`.
#[must_use]
pub fn clock(at: Instant, zone: &str) -> String {
    local(at, zone).strftime("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::view::ended_word;

    const EN: Text = Text(Language::English);
    const ZH: Text = Text(Language::Chinese);

    #[test]
    fn both_languages_have_the_same_keys_and_the_same_gaps() {
        let (en, zh) = (&WORDS.0, &WORDS.1);
        let keys = |w: &Words| w.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(en), keys(zh));
        assert!(en.len() > 200, "{} words were read", en.len());
        let gaps = |text: &str| -> BTreeSet<String> {
            text.split('{')
                .skip(1)
                .filter_map(|p| p.split_once('}'))
                .map(|p| p.0.to_owned())
                .collect()
        };
        for (key, text) in en {
            // "1 train" in English says no number.
            if !key.ends_with(".one") && key != "date.form" {
                assert_eq!(gaps(text), gaps(&zh[key]), "{key}");
            }
            assert!(!text.trim().is_empty() && !zh[key].trim().is_empty(), "{key}");
        }
    }

    /// Every file that asks for words.
    fn sources() -> Vec<String> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        ["templates", "src", "src/site"]
            .iter()
            .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("a folder").flatten())
            .filter(|entry| entry.path().is_file() && entry.file_name() != "text.rs")
            .map(|entry| std::fs::read_to_string(entry.path()).expect("text"))
            .chain(std::iter::once(
                include_str!("text.rs")
                    .split("#[cfg(test)]")
                    .next()
                    .map_or_else(String::new, str::to_owned),
            ))
            .collect()
    }

    #[test]
    fn every_word_is_used_and_every_word_that_is_asked_for_is_there() {
        let sources = sources();
        let quoted: BTreeSet<&str> = sources.iter().flat_map(|s| s.split('"')).collect();
        let built = ["state.", "line.", "ended.", "refund.", "book.kind_", "problem."];
        for key in WORDS.0.keys() {
            let stem = key.trim_end_matches(".one").trim_end_matches(".other");
            let is_built = built.iter().any(|prefix| key.starts_with(prefix));
            assert!(
                is_built || quoted.contains(key.as_str()) || quoted.contains(stem),
                "{key} is not used"
            );
        }
        for source in &sources {
            for ask in ["t.get(\"", "t.with(\"", "t.with2(\"", "t.with3(\"", "t.count(\""] {
                for piece in source.split(ask).skip(1) {
                    let key = piece.split('"').next().unwrap_or_default();
                    let found =
                        WORDS.0.contains_key(key) || WORDS.0.contains_key(&format!("{key}.other"));
                    assert!(found, "{key} is asked for and is not there");
                }
            }
        }
    }

    #[test]
    fn built_keys_are_there() {
        use guichet_engine::event::LineEnd as E;
        let states = [
            "pending",
            "held",
            "refused",
            "paying",
            "issued",
            "partly_issued",
            "disrupted",
            "cancelled",
            "expired",
            "refunded",
            "closed",
        ];
        let lines = [
            "asking",
            "held",
            "paying",
            "printing",
            "print_in_doubt",
            "issued",
            "exchanging",
            "disrupted",
            "not_used",
            "ended",
        ];
        let ends = [
            E::SoldOut,
            E::SeatTaken,
            E::ProviderRefused,
            E::Expired,
            E::Cancelled,
            E::OrderAbandoned,
            E::NotPrinted,
            E::Disrupted,
            E::Refunded,
            E::Exchanged,
            E::Voided,
        ];
        let keys =
            states
                .iter()
                .flat_map(|s| [format!("state.{s}"), format!("state.{s}_text")])
                .chain(lines.iter().map(|l| format!("line.{l}")))
                .chain(["asked", "done", "refused"].map(|r| format!("refund.{r}")))
                .chain(ends.iter().map(|e| format!("ended.{}", ended_word(*e))))
                .chain(crate::site::PROBLEMS.iter().flat_map(|p| {
                    ["title", "text", "do"].map(|part| format!("problem.{p}_{part}"))
                }))
                .chain(["identity_card", "passport", "other"].map(|k| format!("book.kind_{k}")));
        for key in keys {
            assert!(WORDS.0.contains_key(&key), "{key}");
        }
    }

    #[test]
    fn amounts_dates_and_times_are_local() {
        assert_eq!(EN.money(123_456_789, "EUR", 2), "€1,234,567.89");
        assert_eq!(EN.money(5, "CNY", 2), "CN¥0.05");
        assert_eq!(ZH.money(55_300, "CNY", 2), "¥553.00");
        assert_eq!(ZH.money(1200, "JPY", 0), "JPY\u{a0}1,200");
        assert_eq!(EN.money(-1_234_567, "KWD", 3), "-KWD\u{a0}1,234.567");
        // 2026-03-29 00:30 and 01:30 UTC: clocks in Berlin go forward in between.
        let (a, b) = (Instant(1_774_744_200_000_000), Instant(1_774_747_800_000_000));
        assert_eq!(
            (clock(a, "Europe/Berlin"), clock(b, "Europe/Berlin")),
            ("01:30".to_owned(), "03:30".to_owned())
        );
        assert_eq!(EN.moment(a, "Europe/Berlin"), "Sun 29 Mar 2026, 01:30");
        assert_eq!(ZH.moment(a, "Asia/Shanghai"), "2026年3月29日 周日 08:30");
        assert_eq!(clock(a, "No/Where"), "00:30", "an unknown zone is shown in UTC");
        assert_eq!(EN.duration(125 * 60_000_000), "2 h 05 min");
        assert_eq!(EN.duration(120 * 60_000_000), "2 h");
        assert_eq!(ZH.duration(59 * 60_000_000), "59分钟");
        assert_eq!(EN.ago(119_000_000), "119 s ago");
        assert_eq!(ZH.ago(120_000_000), "2分钟前");
    }

    #[test]
    fn a_value_that_looks_like_a_gap_stays_as_it_is() {
        assert_eq!(fill("{a} {b} {c} {", &[("a", "{b}".into()), ("b", "x".into())]), "{b} x {c} {");
    }
}
