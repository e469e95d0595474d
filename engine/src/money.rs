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
    AED 784 2, AFN 971 2, AMD 51 2, AOA 973 2, ARS 32 2, AWG 533 2, AZN 944 2, BAM 977 2, BBD 52 2,
    BDT 50 2, BIF 108 0, BMD 60 2, BND 96 2, BOB 68 2, BSD 44 2, BTN 64 2, BWP 72 2, BYN 933 2,
    BZD 84 2, CDF 976 2, COP 170 2, CRC 188 2, CUP 192 2, CVE 132 2, DJF 262 0, DOP 214 2, DZD 12 2,
    EGP 818 2, ERN 232 2, ETB 230 2, FJD 242 2, FKP 238 2, GEL 981 2, GHS 936 2, GIP 292 2, GMD 270 2,
    GNF 324 0, GTQ 320 2, GYD 328 2, HNL 340 2, HTG 332 2, IDR 360 2, ILS 376 2, IQD 368 3, IRR 364 2,
    JMD 388 2, KES 404 2, KGS 417 2, KHR 116 2, KMF 174 0, KPW 408 2, KYD 136 2, KZT 398 2, LAK 418 2,
    LBP 422 2, LKR 144 2, LRD 430 2, LSL 426 2, LYD 434 3, MAD 504 2, MDL 498 2, MGA 969 2, MKD 807 2,
    MMK 104 2, MNT 496 2, MOP 446 2, MRU 929 2, MUR 480 2, MVR 462 2, MWK 454 2, MXN 484 2, MZN 943 2,
    NAD 516 2, NGN 566 2, NIO 558 2, NPR 524 2, NZD 554 2, PAB 590 2, PEN 604 2, PGK 598 2, PHP 608 2,
    PKR 586 2, PYG 600 0, QAR 634 2, RON 946 2, RSD 941 2, RWF 646 0, SAR 682 2, SBD 90 2, SCR 690 2,
    SDG 938 2, SHP 654 2, SLE 925 2, SOS 706 2, SRD 968 2, SSP 728 2, STN 930 2, SVC 222 2, SYP 760 2,
    SZL 748 2, TJS 972 2, TMT 934 2, TOP 776 2, TRY 949 2, TTD 780 2, TZS 834 2, UAH 980 2, UGX 800 0,
    UYU 858 2, UZS 860 2, VES 928 2, VUV 548 0, WST 882 2, XAF 950 0, XCD 951 2, XCG 532 2, XOF 952 0,
    XPF 953 0, YER 886 2, ZAR 710 2, ZMW 967 2, ZWG 924 2,
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
