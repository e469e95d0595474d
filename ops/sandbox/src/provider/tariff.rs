//! Prices: the fares of the feed, or a distance tariff as data.

use serde::Deserialize;

use crate::gtfs::fares::{FareIndex, Way};

/// The repository's own tariff.
pub const DEFAULT_TARIFF: &str = include_str!("../../data/provider/tariff.toml");
const FULL_BP: i64 = 10_000;

/// A tariff file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tariff {
    /// Its version; orders freeze it.
    pub version: u32,
    /// ISO 4217 letters.
    pub currency: String,
    /// For every ticket, in minor units.
    pub base_minor: i64,
    /// No ticket is cheaper, in minor units.
    pub minimum_minor: i64,
    /// Prices are rounded up to a multiple of this, in minor units.
    pub step_minor: i64,
    /// Way travelled over great-circle distance, in basis points.
    pub detour_bp: i64,
    /// What a refund before departure keeps back, in basis points.
    pub refund_fee_bp: u16,
    band: Vec<Band>,
    class: Vec<ClassFactor>,
    #[serde(default)]
    kind: Vec<KindFactor>,
    #[serde(default)]
    fare: Vec<FareWord>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Band {
    to_km: i64,
    per_km_milli: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassFactor {
    class: u8,
    factor_bp: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KindFactor {
    kind: String,
    factor_bp: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FareWord {
    word: String,
    class: Option<u8>,
}

/// What is wrong with a tariff file.
#[derive(Debug, thiserror::Error)]
pub enum TariffError {
    /// Not TOML, or not of the right shape.
    #[error("the tariff cannot be read: {0}")]
    Shape(#[from] toml::de::Error),
    /// A number that would give no sensible price.
    #[error("the tariff's {0} is out of range")]
    Range(&'static str),
}

/// Reads a tariff file.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Tariff, TariffError> {
    const MOST: i64 = 1_000_000_000;
    let tariff: Tariff = toml::from_str(text)?;
    let within = |value: i64, least: i64, what| {
        if (least..=MOST).contains(&value) { Ok(()) } else { Err(TariffError::Range(what)) }
    };
    within(tariff.base_minor, 0, "base_minor")?;
    within(tariff.minimum_minor, 0, "minimum_minor")?;
    within(tariff.step_minor, 1, "step_minor")?;
    within(tariff.detour_bp, FULL_BP, "detour_bp")?;
    within(FULL_BP - i64::from(tariff.refund_fee_bp), 0, "refund_fee_bp")?;
    let mut before = 0;
    for band in &tariff.band {
        within(band.to_km, before + 1, "to_km")?;
        within(band.per_km_milli, 0, "per_km_milli")?;
        before = band.to_km;
    }
    for factor in
        tariff.class.iter().map(|c| c.factor_bp).chain(tariff.kind.iter().map(|k| k.factor_bp))
    {
        within(factor, 1, "factor_bp")?;
    }
    let letters =
        tariff.currency.len() == 3 && tariff.currency.bytes().all(|b| b.is_ascii_uppercase());
    if tariff.band.is_empty() || tariff.class.is_empty() || !letters {
        return Err(TariffError::Range(if letters { "band or class list" } else { "currency" }));
    }
    Ok(tariff)
}

impl Tariff {
    /// The price of a way, in minor units; `None` for a class that is not in the tariff.
    pub fn price_minor(&self, kind: &str, class: u8, distance_m: i64) -> Option<i64> {
        let class_bp = self.class.iter().find(|c| c.class == class)?.factor_bp;
        let kind_bp = self.kind.iter().find(|k| k.kind == kind).map_or(FULL_BP, |k| k.factor_bp);
        let way_m = distance_m.max(0).saturating_mul(self.detour_bp) / FULL_BP;
        let mut micro = 0i64;
        let mut from_m = 0;
        for (i, band) in self.band.iter().enumerate() {
            let last = i + 1 == self.band.len();
            let to_m = if last { way_m } else { way_m.min(band.to_km.saturating_mul(1000)) };
            // Meters times thousandths per kilometre: millionths of a minor unit.
            let part = (to_m - from_m).max(0).saturating_mul(band.per_km_milli);
            micro = micro.saturating_add(part);
            from_m = to_m.max(from_m);
        }
        let plain = (self.base_minor + micro / 1_000_000).max(self.minimum_minor);
        let price = plain.saturating_mul(class_bp) / FULL_BP;
        let price = price.saturating_mul(kind_bp) / FULL_BP;
        let steps = price.saturating_add(self.step_minor - 1) / self.step_minor;
        Some(steps.saturating_mul(self.step_minor))
    }

    /// The class a fare of a feed is for; `None` when it is not for adults. `lowest` when no word says.
    fn class_of(&self, fare: &str, lowest: u8) -> Option<u8> {
        let folded = fare.to_lowercase();
        match self.fare.iter().find(|row| folded.contains(&row.word)) {
            Some(row) => row.class,
            None => Some(lowest),
        }
    }

    /// The feed's own price of a ride, in minor units: the cheapest adult fare of that class that holds.
    ///
    /// A fare of nothing is not on sale: there is nothing to pay with a card.
    pub fn feed_price_minor(
        &self,
        fares: &FareIndex<'_>,
        ride: &Ride<'_>,
        class: u8,
    ) -> Option<i64> {
        let decimals = decimals_of(ride.currency)?;
        fares
            .of(&ride.way)
            .filter(|fare| fare.currency == ride.currency)
            .filter(|fare| {
                // In a vehicle of one class every adult fare is for that class.
                match self.class_of(&fare.id, ride.lowest) {
                    Some(named) => named == class || ride.only_class,
                    None => false,
                }
            })
            .filter_map(|fare| fare.price_minor(decimals))
            .filter(|price| *price > 0)
            .min()
    }
}

/// A ride whose price is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ride<'a> {
    /// Its line and fare zones.
    pub way: Way<'a>,
    /// The currency on sale.
    pub currency: &'a str,
    /// The lowest class of the vehicle.
    pub lowest: u8,
    /// It has no other.
    pub only_class: bool,
}

/// How many decimals a currency in use has; `None` for what is none.
pub fn decimals_of(currency: &str) -> Option<u8> {
    currencies().find(|(known, _)| *known == currency).map(|(_, decimals)| decimals)
}

/// Every currency in use with its decimals (ISO 4217:2015, list one).
pub fn currencies() -> impl Iterator<Item = (&'static str, u8)> {
    const NONE: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
    const TWO: &str = "AED AFN AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN \
                       BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR \
                       FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES \
                       KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR \
                       MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON \
                       RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS \
                       TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG";
    const THREE: &str = "BHD IQD JOD KWD LYD OMR TND";
    let lists = [(NONE, 0), (TWO, 2), (THREE, 3)];
    lists.into_iter().flat_map(|(list, decimals)| {
        list.split_whitespace().map(move |currency| (currency, decimals))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gtfs::fares::{Fare, Fares};

    #[test]
    fn distance_prices_follow_the_bands() {
        let tariff = parse(DEFAULT_TARIFF).expect("tariff");
        for (kind, class, meters, price) in [
            ("train", 2, 0, 690),        // 4.00 is below the minimum
            ("train", 2, 40_000, 1450),  // 50 km: 4.00 + 50 × 0.21 = 14.50
            ("train", 2, 80_000, 2500),  // 100 km: 4.00 + 21.00
            ("train", 2, 80_800, 2520),  // 101 km: 25.00 + 0.16, up to the next 0.10
            ("train", 1, 80_000, 4130),  // × 1.65 = 41.25
            ("coach", 2, 80_000, 1380),  // × 0.55 = 13.75
            ("train", 2, 400_000, 8400), // 500 km: 4 + 21 + 48 + 11
            ("train", 2, 20_000_000, 277_900),
        ] {
            assert_eq!(
                tariff.price_minor(kind, class, meters),
                Some(price),
                "{kind} {class} {meters}"
            );
        }
        assert_eq!(tariff.price_minor("train", 9, 1000), None);
    }

    #[test]
    fn fares_of_a_feed_are_for_adults_and_a_class() {
        let tariff = parse(DEFAULT_TARIFF).expect("tariff");
        let fare = |id: &str, price: &str, currency: &str| Fare {
            id: id.to_owned(),
            price: price.to_owned(),
            currency: currency.to_owned(),
            rules: Vec::new(),
        };
        let fares = Fares {
            fares: vec![
                fare("adult_special_class", "15000", "JPY"),
                fare("child_special_class", "7500", "JPY"),
                fare("adult_second_class_berth", "8000", "JPY"),
                fare("adult_second_class", "6000", "JPY"),
                fare("adult_second_class_saver", "5500", "JPY"),
                fare("plain", "5000", "EUR"),
                fare("plain_free", "0.00", "EUR"),
                fare("old", "5000", "HRK"),
            ],
        };
        let fares = FareIndex::new(&fares);
        let ride = Ride {
            way: Way { route: "r", from: "", to: "", zones: &[] },
            currency: "JPY",
            lowest: 4,
            only_class: false,
        };
        for (class, price) in [(1, Some(15_000)), (2, None), (3, Some(8000)), (4, Some(5500))] {
            assert_eq!(tariff.feed_price_minor(&fares, &ride, class), price, "{class}");
        }
        let single = Ride { currency: "EUR", lowest: 2, only_class: true, ..ride };
        assert_eq!(tariff.feed_price_minor(&fares, &single, 2), Some(500_000));
        let old = Ride { currency: "HRK", ..single };
        assert_eq!(tariff.feed_price_minor(&fares, &old, 2), None, "no longer a currency");
    }

    #[test]
    fn wrong_tariffs_are_refused() {
        for (from, to, words) in [
            ("step_minor = 10", "step_minor = 0", "step_minor"),
            ("base_minor = 400", "base_minor = -1", "base_minor"),
            ("to_km = 400", "to_km = 100", "to_km"),
            ("refund_fee_bp = 1_000", "refund_fee_bp = 10_001", "refund_fee_bp"),
            ("currency = \"EUR\"", "currency = \"Euro\"", "currency"),
            ("version = 1", "versions = 1", "cannot be read"),
        ] {
            let error = parse(&DEFAULT_TARIFF.replace(from, to)).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
