//! Times and dates as GTFS writes them.

use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Hours of a time at most: a trip of a week and more is a mistake.
pub const HOURS_MAX: u32 = 240;
const DAY_SECONDS: i64 = 86_400;

/// Reads `H:MM:SS` or `HH:MM:SS` (hours may pass 24) as seconds from noon minus 12 hours.
pub fn parse_time(text: &str) -> Option<u32> {
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = |part: &str, least: usize, most: usize| -> Option<u32> {
        let right =
            (least..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if right { part.parse().ok() } else { None }
    };
    let (hours, minutes, seconds) =
        (whole(hours, 1, 3)?, whole(minutes, 2, 2)?, whole(seconds, 2, 2)?);
    if parts.next().is_some() || hours > HOURS_MAX || minutes > 59 || seconds > 59 {
        return None;
    }
    Some(hours * 3600 + minutes * 60 + seconds)
}

/// Reads `YYYYMMDD` as days since 1970-01-01.
pub fn parse_date(text: &str) -> Option<i32> {
    if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let date =
        Date::new(text[..4].parse().ok()?, text[4..6].parse().ok()?, text[6..].parse().ok()?)
            .ok()?;
    Some(day_of(date))
}

/// Days since 1970-01-01.
pub fn day_of(date: Date) -> i32 {
    let since = date.duration_since(Date::constant(1970, 1, 1));
    i32::try_from(since.as_secs().div_euclid(DAY_SECONDS)).unwrap_or(0)
}

/// The date of a day count; the calendar's end when beyond it.
pub fn date_of(day: i32) -> Date {
    Date::constant(1970, 1, 1)
        .saturating_add(jiff::SignedDuration::from_secs(i64::from(day) * DAY_SECONDS))
}

/// The date as the number YYYYMMDD.
pub fn number_of(day: i32) -> u32 {
    let date = date_of(day);
    let part = |n: i64| u32::try_from(n).unwrap_or(0);
    part(date.year().into()) * 10_000 + part(date.month().into()) * 100 + part(date.day().into())
}

/// Monday is 0.
pub fn weekday_of(day: i32) -> u8 {
    // 1970-01-01 was a Thursday.
    u8::try_from((i64::from(day) + 3).rem_euclid(7)).unwrap_or(0)
}

/// Noon of the service day minus 12 hours, as UTC seconds: what a feed's times count from.
///
/// On the days when clocks change this is not midnight.
pub fn base_of(day: i32, zone: &TimeZone) -> i64 {
    let noon = date_of(day).at(12, 0, 0, 0);
    zone.to_ambiguous_timestamp(noon)
        .compatible()
        .map_or(i64::from(day) * DAY_SECONDS, |noon| noon.as_second() - DAY_SECONDS / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_pass_midnight_and_nothing_else_is_a_time() {
        for (text, seconds) in [
            ("00:00:00", Some(0)),
            ("8:05:00", Some(29_100)),
            ("25:35:00", Some(92_100)),
            ("30:00:00", Some(108_000)),
            ("240:00:00", Some(864_000)),
            ("241:00:00", None),
            ("24:60:00", None),
            ("12:00", None),
            ("12:00:00:00", None),
            ("12:0:00", None),
            ("-1:00:00", None),
            ("+1:00:00", None),
            ("noon", None),
            ("", None),
            ("1２:00:00", None),
        ] {
            assert_eq!(parse_time(text), seconds, "{text}");
        }
    }

    #[test]
    fn dates_are_real_days() {
        for (text, number) in [
            ("19700101", Some(0)),
            ("20240229", Some(19_782)),
            ("20230229", None),
            ("20231301", None),
            ("2023121", None),
            ("2023-1-1", None),
            ("２０２３", None),
        ] {
            assert_eq!(parse_date(text), number, "{text}");
        }
        assert_eq!(number_of(19_782), 20_240_229);
        assert_eq!(weekday_of(19_782), 3, "2024-02-29 was a Thursday");
        assert_eq!(weekday_of(0), 3);
        assert_eq!(weekday_of(-1), 2);
    }

    #[test]
    fn the_base_is_noon_minus_twelve_hours_on_days_when_clocks_change() {
        let zone = TimeZone::get("Europe/Berlin").expect("zone");
        for (date, utc) in [
            // Plain winter and summer days begin at local midnight.
            ("20240115", "2024-01-14T23:00:00Z"),
            ("20240715", "2024-07-14T22:00:00Z"),
            // Clocks go forward: noon is 10:00Z, so the base is 22:00Z, local 23:00 of the day before.
            ("20240331", "2024-03-30T22:00:00Z"),
            // Clocks go back: noon is 11:00Z, so the base is 23:00Z, local 01:00 (summer time).
            ("20241027", "2024-10-26T23:00:00Z"),
        ] {
            let base = base_of(parse_date(date).expect(date), &zone);
            let expected: jiff::Timestamp = utc.parse().expect(utc);
            assert_eq!(base, expected.as_second(), "{date}");
        }
    }
}
