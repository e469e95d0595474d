//! GTFS fares V1: fare_attributes.txt and fare_rules.txt.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::archive::Archive;
use super::error::{GtfsError, GtfsErrorKind};
use super::table::{Table, clip};

/// Digits of a price before the decimal point at most.
pub const PRICE_DIGITS_MAX: usize = 9;

/// All fares of a feed; empty when it has none.
#[derive(Debug, Default)]
pub struct Fares {
    /// By their place in the file.
    pub fares: Vec<Fare>,
}

/// One fare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fare {
    /// Its key.
    pub id: String,
    /// The price as decimal text, checked: `12`, `12.5`, `12.50`.
    pub price: String,
    /// ISO 4217 letters.
    pub currency: String,
    /// The rules; without any the fare holds everywhere.
    pub rules: Vec<Rule>,
}

/// One row of fare_rules.txt; an empty part holds for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The line's key.
    pub route: String,
    /// The fare zone where the trip begins.
    pub origin: String,
    /// The fare zone where it ends.
    pub destination: String,
    /// A fare zone that is passed; all such rows of one group must be, and no other zone.
    pub contains: String,
}

impl Fare {
    /// The price in minor units of a currency with so many decimals; half up when it has more.
    pub fn price_minor(&self, decimals: u8) -> Option<i64> {
        minor_of(&self.price, decimals)
    }
}

/// A ride as fare rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The line's key.
    pub route: &'a str,
    /// The fare zone where it begins.
    pub from: &'a str,
    /// The fare zone where it ends.
    pub to: &'a str,
    /// All fare zones passed, both ends included.
    pub zones: &'a [&'a str],
}

/// Rules of one fare that differ in `contains` alone and so belong together.
struct Group<'a> {
    fare: &'a Fare,
    route: &'a str,
    contains: BTreeSet<&'a str>,
}

/// Finds the fares of a ride by its two zones: a feed may have a fare for each pair of its zones.
#[derive(Default)]
pub struct FareIndex<'a>(HashMap<(&'a str, &'a str), Vec<Group<'a>>>);

impl<'a> FareIndex<'a> {
    /// Sorts fares by the zones of their rules.
    pub fn new(fares: &'a Fares) -> Self {
        let mut index: HashMap<_, Vec<Group<'a>>> = HashMap::new();
        for fare in &fares.fares {
            let mut groups: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
            if fare.rules.is_empty() {
                groups.insert(("", "", ""), BTreeSet::new());
            }
            for rule in &fare.rules {
                let key = (rule.origin.as_str(), rule.destination.as_str(), rule.route.as_str());
                let contains = groups.entry(key).or_default();
                if !rule.contains.is_empty() {
                    contains.insert(&rule.contains);
                }
            }
            for ((origin, destination, route), contains) in groups {
                let place = index.entry((origin, destination)).or_default();
                place.push(Group { fare, route, contains });
            }
        }
        Self(index)
    }

    /// The fares that hold for a ride; one of several rules may be there several times.
    pub fn of<'w>(&'w self, way: &'w Way<'w>) -> impl Iterator<Item = &'a Fare> + 'w {
        let keys = [(way.from, way.to), (way.from, ""), ("", way.to), ("", "")];
        let passed: BTreeSet<&str> = way.zones.iter().copied().collect();
        keys.into_iter()
            .filter_map(|key| self.0.get(&key))
            .flatten()
            .filter(|group| group.route.is_empty() || group.route == way.route)
            .filter(move |group| group.contains.is_empty() || group.contains == passed)
            .map(|group| group.fare)
    }
}

/// Decimal text as minor units, half up; `None` when it is not a price.
pub fn minor_of(text: &str, decimals: u8) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && part.is_empty() || whole.len() > PRICE_DIGITS_MAX {
        return None;
    }
    if !digits(whole) || !digits(part) {
        return None;
    }
    let mut minor: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part = part.as_bytes();
    for i in 0..usize::from(decimals) {
        let digit = part.get(i).map_or(0, |b| i64::from(b - b'0'));
        minor = minor.checked_mul(10)?.checked_add(digit)?;
    }
    let up = part.get(usize::from(decimals)).is_some_and(|&b| b >= b'5');
    minor.checked_add(i64::from(up))
}

/// Reads both files when they are there.
///
/// # Errors
/// A damaged row, or a rule of an unknown fare.
pub fn read(archive: &mut Archive<'_>, warnings: &mut Vec<String>) -> Result<Fares, GtfsError> {
    let mut fares = Fares::default();
    let Some(bytes) = archive.optional("fare_attributes.txt")? else {
        if archive.has("fare_products.txt") {
            warnings.push("fares V2 are not read: the distance tariff is used".to_owned());
        }
        return Ok(fares);
    };
    let mut table = Table::open("fare_attributes.txt", &bytes)?;
    let (id, price) = (table.required("fare_id")?, table.required("price")?);
    let currency = table.required("currency_type")?;
    let mut index = HashMap::new();
    while let Some(row) = table.next_row()? {
        let (key, amount, unit) = (row.need(id)?, row.need(price)?, row.need(currency)?);
        if index.insert(key.to_owned(), fares.fares.len()).is_some() {
            return Err(row.error(id, GtfsErrorKind::DuplicateKey(clip(key))));
        }
        if minor_of(amount, 3).is_none() {
            let kind = GtfsErrorKind::BadNumber { text: clip(amount), wanted: "a price" };
            return Err(row.error(price, kind));
        }
        if unit.len() != 3 || !unit.bytes().all(|b| b.is_ascii_uppercase()) {
            let kind = GtfsErrorKind::BadNumber { text: clip(unit), wanted: "a currency code" };
            return Err(row.error(currency, kind));
        }
        let (id, price, currency) = (key.to_owned(), amount.to_owned(), unit.to_owned());
        fares.fares.push(Fare { id, price, currency, rules: Vec::new() });
    }
    if let Some(bytes) = archive.optional("fare_rules.txt")? {
        read_rules(&bytes, &mut fares, &index)?;
    }
    Ok(fares)
}

fn read_rules(
    bytes: &[u8],
    fares: &mut Fares,
    index: &HashMap<String, usize>,
) -> Result<(), GtfsError> {
    let mut table = Table::open("fare_rules.txt", bytes)?;
    let id = table.required("fare_id")?;
    let route = table.optional("route_id");
    let (origin, destination) = (table.optional("origin_id"), table.optional("destination_id"));
    let contains = table.optional("contains_id");
    while let Some(row) = table.next_row()? {
        let key = row.need(id)?;
        let Some(fare) = index.get(key).and_then(|&at| fares.fares.get_mut(at)) else {
            let kind =
                GtfsErrorKind::UnknownReference { id: clip(key), file: "fare_attributes.txt" };
            return Err(row.error(id, kind));
        };
        fare.rules.push(Rule {
            route: row.text(route)?.to_owned(),
            origin: row.text(origin)?.to_owned(),
            destination: row.text(destination)?.to_owned(),
            contains: row.text(contains)?.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_decimals_and_never_floats() {
        for (text, decimals, minor) in [
            ("12", 2, Some(1200)),
            ("12.5", 2, Some(1250)),
            ("12.505", 2, Some(1251)),
            ("12.504", 2, Some(1250)),
            ("15000", 0, Some(15_000)),
            ("0.5", 0, Some(1)),
            ("1.2345", 3, Some(1235)),
            (".5", 2, Some(50)),
            ("5.", 2, Some(500)),
            ("", 2, None),
            (".", 2, None),
            ("-1", 2, None),
            ("1e3", 2, None),
            ("1,50", 2, None),
            ("1234567890", 2, None),
        ] {
            assert_eq!(minor_of(text, decimals), minor, "{text}");
        }
    }

    #[test]
    fn rules_match_route_and_zones_and_all_contained() {
        let fare = |rules: &[[&str; 4]]| Fare {
            id: String::new(),
            price: "1".to_owned(),
            currency: "EUR".to_owned(),
            rules: rules
                .iter()
                .map(|[route, origin, destination, contains]| Rule {
                    route: (*route).to_owned(),
                    origin: (*origin).to_owned(),
                    destination: (*destination).to_owned(),
                    contains: (*contains).to_owned(),
                })
                .collect(),
        };
        let holds = |fare: Fare, route: &str, from: &str, to: &str, zones: &[&str]| {
            let fares = Fares { fares: vec![fare] };
            FareIndex::new(&fares).of(&Way { route, from, to, zones }).next().is_some()
        };
        let everywhere = fare(&[]);
        assert!(holds(everywhere, "r", "a", "b", &["a", "b"]));
        let pair = fare(&[["r", "a", "b", ""], ["r", "b", "a", ""]]);
        assert!(holds(pair.clone(), "r", "b", "a", &["b", "a"]));
        assert!(!holds(pair.clone(), "q", "a", "b", &["a", "b"]));
        assert!(!holds(pair, "r", "a", "c", &["a", "c"]));
        let through = fare(&[["", "", "", "a"], ["", "", "", "b"]]);
        assert!(holds(through.clone(), "r", "a", "b", &["a", "b"]));
        assert!(!holds(through.clone(), "r", "a", "a", &["a"]), "not all are passed");
        assert!(!holds(through, "r", "a", "c", &["a", "b", "c"]), "one too many is passed");
        for (rule, yes) in [
            (["", "a", "", ""], true),
            (["", "", "b", ""], true),
            (["r", "", "", ""], true),
            (["", "b", "", ""], false),
            (["", "", "a", ""], false),
            (["q", "", "", ""], false),
        ] {
            assert_eq!(holds(fare(&[rule]), "r", "a", "b", &["a", "b"]), yes, "{rule:?}");
        }
        let nowhere = fare(&[["", "a", "b", ""]]);
        assert!(!holds(nowhere, "r", "", "", &[]), "a stop without a zone");
    }
}
