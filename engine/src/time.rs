//! Instants, durations and dates as integers; calendars and zones live outside the engine.

use core::fmt;

/// A UTC instant, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub i64);

impl Instant {
    /// The instant `us` microseconds later, saturating.
    #[must_use]
    pub const fn plus_us(self, us: i64) -> Self {
        Self(self.0.saturating_add(us))
    }
    /// Microseconds from `earlier` to this, negative when this is before it.
    #[must_use]
    pub const fn since_us(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
    /// ISO 8583:1987 DE 7, transmission date and time `MMDDhhmmss` in UTC.
    #[must_use]
    pub fn transmission(self) -> [u8; 10] {
        let seconds = self.0.div_euclid(1_000_000);
        let (_, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let mut out = [b'0'; 10];
        let parts = [month, day, of_day / 3600, of_day / 60 % 60, of_day % 60];
        for (pair, value) in out.chunks_exact_mut(2).zip(parts) {
            if let [tens, ones] = pair {
                (*tens, *ones) = (digit(value / 10), digit(value % 10));
            }
        }
        out
    }
}

fn digit(value: i64) -> u8 {
    b'0'.saturating_add(u8::try_from(value.rem_euclid(10)).unwrap_or(0))
}

/// Year, month and day of a count of days since 1970-01-01 (proleptic Gregorian).
#[must_use]
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    // Eras of 400 years that begin on 1 March, so that the leap day is the last of its year.
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// A date of business (of an acquirer or an operator, in its own zone) as the number `YYYYMMDD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusinessDate(pub u32);

impl fmt::Display for BusinessDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transmission_is_month_day_and_time_in_utc() {
        for (us, text) in [
            (0, "0101000000"),
            (1_772_323_200_000_000, "0301000000"),
            (951_782_399_999_999, "0228235959"),
            (951_782_400_000_000, "0229000000"),
            (1_767_225_599_000_000, "1231235959"),
            (-1, "1231235959"),
        ] {
            assert_eq!(Instant(us).transmission().as_slice(), text.as_bytes(), "{us}");
        }
    }
}
