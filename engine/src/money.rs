//! Money: whole minor units and a currency of 0, 2 or 3 decimals. No floats, no operators.

use core::fmt;

use crate::limits::AMOUNT_MINOR_MAX;

/// A currency by its ISO 4217 codes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    numeric: u16,
    alpha: [u8; 3],
    decimals: u8,
}

macro_rules! currencies {
    ($($name:ident $numeric:literal $decimals:literal),* $(,)?) => {
        impl Currency {
            $(#[doc = concat!("ISO 4217 ", stringify!($name), ", ", stringify!($decimals), " decimals.")]
            #[allow(clippy::indexing_slicing, reason = "a constant: out of bounds does not compile")]
            pub const $name: Self = Self {
                numeric: $numeric,
                alpha: {
                    let text = stringify!($name).as_bytes();
                    [text[0], text[1], text[2]]
                },
                decimals: $decimals,
            };)*
            /// Every currency the engine knows.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

currencies! {
    CNY 156 2, EUR 978 2, USD 840 2, GBP 826 2, CHF 756 2, JPY 392 0, KRW 410 0, HKD 344 2,
    SGD 702 2, INR 356 2, KWD 414 3, BHD 48 3, TND 788 3, VND 704 0, AUD 36 2, CAD 124 2,
    DKK 208 2, NOK 578 2, SEK 752 2, PLN 985 2, CZK 203 2, HUF 348 2, BRL 986 2, RUB 643 2,
    TWD 901 2, THB 764 2, MYR 458 2, CLP 152 0, ISK 352 0, OMR 512 3, JOD 400 3,
}

impl Currency {
    /// Finds a currency by its three letters.
    #[must_use]
    pub fn from_alpha(alpha: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.alpha == *alpha.as_bytes())
    }
    /// Finds a currency by its number (ISO 8583:1987 DE 49).
    #[must_use]
    pub fn from_numeric(numeric: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.numeric == numeric)
    }
    /// The number of ISO 4217.
    #[must_use]
    pub const fn numeric(self) -> u16 {
        self.numeric
    }
    /// How many decimals the minor unit stands for: 0, 2 or 3.
    #[must_use]
    pub const fn decimals(self) -> u8 {
        self.decimals
    }
    /// The three letters.
    #[must_use]
    pub fn alpha(self) -> String {
        self.alpha.iter().copied().map(char::from).collect()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.alpha())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.alpha())
    }
}

/// An amount of one currency, in minor units; may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// Why two amounts could not be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyError {
    /// They are of different currencies.
    CurrencyDiffers,
    /// The result has more than 12 digits.
    TooLarge,
}

impl Money {
    /// An amount of minor units.
    ///
    /// # Errors
    /// `TooLarge` beyond 12 digits (ISO 8583:1987 DE 4).
    pub const fn new(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor.unsigned_abs() > AMOUNT_MINOR_MAX.unsigned_abs() {
            return Err(MoneyError::TooLarge);
        }
        Ok(Self { minor, currency })
    }
    /// Nothing, in a currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }
    /// The count of minor units.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.minor
    }
    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }
    /// The sum of both.
    ///
    /// # Errors
    /// When the currencies differ or the sum is too large.
    pub const fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency.numeric != other.currency.numeric {
            return Err(MoneyError::CurrencyDiffers);
        }
        match self.minor.checked_add(other.minor) {
            Some(minor) => Self::new(minor, self.currency),
            None => Err(MoneyError::TooLarge),
        }
    }
    /// This less the other.
    ///
    /// # Errors
    /// When the currencies differ or the difference is too large.
    pub const fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.plus(Self { minor: other.minor.saturating_neg(), currency: other.currency })
    }
}

impl fmt::Display for Money {
    /// As `CNY 553.00`, with the decimals of the currency.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let magnitude = self.minor.unsigned_abs();
        let scale = 10u64.pow(u32::from(self.currency.decimals));
        match self.currency.decimals {
            0 => write!(f, "{} {sign}{magnitude}", self.currency),
            decimals => write!(
                f,
                "{} {sign}{}.{:0width$}",
                self.currency,
                magnitude / scale,
                magnitude % scale,
                width = usize::from(decimals)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_show_the_decimals_of_their_currency() {
        for (minor, currency, text) in [
            (55_300, Currency::CNY, "CNY 553.00"),
            (-5, Currency::EUR, "EUR -0.05"),
            (1200, Currency::JPY, "JPY 1200"),
            (1_234_567, Currency::KWD, "KWD 1234.567"),
        ] {
            assert_eq!(Money::new(minor, currency).map(|m| m.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn sums_refuse_other_currencies_and_thirteen_digits() {
        let one = Money::new(1, Currency::CNY).expect("small");
        let most = Money::new(AMOUNT_MINOR_MAX, Currency::CNY).expect("twelve digits");
        assert_eq!(most.plus(one), Err(MoneyError::TooLarge));
        assert_eq!(one.plus(Money::zero(Currency::EUR)), Err(MoneyError::CurrencyDiffers));
        assert_eq!(one.minus(one), Ok(Money::zero(Currency::CNY)));
        assert_eq!(Money::new(AMOUNT_MINOR_MAX + 1, Currency::CNY), Err(MoneyError::TooLarge));
    }

    #[test]
    fn codes_are_unique() {
        for (i, a) in Currency::ALL.iter().enumerate() {
            for b in &Currency::ALL[i + 1..] {
                assert!(a.numeric != b.numeric && a.alpha != b.alpha, "{a} {b}");
            }
            assert_eq!(Currency::from_alpha(&a.alpha()), Some(*a));
            assert_eq!(Currency::from_numeric(a.numeric()), Some(*a));
        }
    }
}
