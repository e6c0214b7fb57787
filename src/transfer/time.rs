//! Times as people and files write them.
//!
//! Owns the way from a text or a number to milliseconds since 1970-01-01 UTC, and the guess of a number's unit. Must not
//! read a clock.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, date};
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The unit of times that are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TimeUnit {
    /// Seconds since 1970.
    S,
    /// Milliseconds since 1970.
    Ms,
    /// Microseconds since 1970.
    Us,
}

/// What was decided for a file because it did not say it itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guess {
    /// A number of ten digits or so: seconds.
    Seconds,
    /// A number of sixteen digits or so: microseconds.
    Micros,
    /// A number of nineteen digits or so: nanoseconds.
    Nanos,
    /// A number such as 20260131: a date.
    CompactDate,
    /// A date and time without a zone.
    NoZone,
}

impl fmt::Display for Guess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Guess::Seconds => "read as seconds since 1970 (--time-unit decides)",
            Guess::Micros => "read as microseconds since 1970 (--time-unit decides)",
            Guess::Nanos => "read as nanoseconds since 1970",
            Guess::CompactDate => "read as dates YYYYMMDD (--time-unit says that they are numbers)",
            Guess::NoZone => "without a zone read as UTC (--zone decides)",
        })
    }
}

/// A time and what had to be guessed about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Milliseconds since 1970-01-01 UTC.
    pub(crate) ms: i64,
    /// What was guessed, if something was.
    pub(crate) guess: Option<Guess>,
}

impl Moment {
    fn sure(ms: i64) -> Self {
        Self { ms, guess: None }
    }

    fn guessed(ms: i64, guess: Guess) -> Self {
        Self { ms, guess: Some(guess) }
    }
}

/// How times are read that do not say everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimeRules {
    /// The unit of numbers; told from their size where there is none.
    pub(crate) unit: Option<TimeUnit>,
    /// The zone of dates and times without one; UTC where there is none.
    pub(crate) zone: Option<TimeZone>,
}

/// Numbers below are milliseconds of 1970-01-01: too small for seconds of anybody's data (1973).
const SECONDS_MIN: i64 = 100_000_000;
/// The year 2100 in seconds; in milliseconds 17 February 1970, so that films of the years 1971 and 1972 stay what they are.
const SECONDS_MAX: i64 = 4_102_444_800;
const MS_PER_S: i64 = 1_000;
const US_PER_MS: i64 = 1_000;
const NS_PER_MS: i64 = 1_000_000;
/// Up to here a number with a fraction still holds its milliseconds.
const WHOLE_MAX: f64 = 9e15;
/// The years in which a number of eight digits is a date.
const COMPACT_YEARS: std::ops::RangeInclusive<i64> = 1_800..=2_199;

impl TimeRules {
    /// Numbers are milliseconds, as in the REST API.
    pub(crate) fn exact() -> Self {
        Self {
            unit: Some(TimeUnit::Ms),
            zone: None,
        }
    }

    /// Reads a number, RFC 3339, a date and time with or without a zone, or a date.
    ///
    /// # Errors
    /// Says what would have been understood.
    pub(crate) fn of_text(&self, text: &str) -> Result<Moment, String> {
        let text = text.trim();
        if let Ok(number) = text.parse::<i64>() {
            return self.of_number(number);
        }
        if text.starts_with(|first: char| first.is_ascii_digit() || first == '-')
            && let Ok(number) = text.parse::<f64>()
        {
            return self.of_fraction(number);
        }
        let unknown = || {
            format!(
                "{text:?} is no time: a number of milliseconds (or seconds) since 1970 or a date such as 2026-01-31, \
                 2026-01-31 12:00:00 or 2026-01-31T12:00:00Z would be"
            )
        };
        let plain = plain_form(text);
        if let Ok(at) = plain.parse::<Timestamp>() {
            return Ok(Moment::sure(at.as_millisecond()));
        }
        if let Ok(at) = plain.parse::<Zoned>() {
            return Ok(Moment::sure(at.timestamp().as_millisecond()));
        }
        let local = plain.parse::<DateTime>().map_err(|_| unknown())?;
        let ms = self.in_zone(local).ok_or_else(unknown)?;
        let has_time = local.time() != Time::midnight() || plain.len() > "2026-01-31".len();
        Ok(if has_time && self.zone.is_none() {
            Moment::guessed(ms, Guess::NoZone)
        } else {
            Moment::sure(ms)
        })
    }

    /// Reads a whole number.
    ///
    /// # Errors
    /// No unit makes a likely time of it.
    pub(crate) fn of_number(&self, number: i64) -> Result<Moment, String> {
        match self.unit {
            Some(TimeUnit::S) => Ok(Moment::sure(number.saturating_mul(MS_PER_S))),
            Some(TimeUnit::Ms) => Ok(Moment::sure(number)),
            Some(TimeUnit::Us) => Ok(Moment::sure(number.div_euclid(US_PER_MS))),
            None => self.guess(number),
        }
    }

    /// Reads a number with a fraction.
    ///
    /// # Errors
    /// As [`TimeRules::of_number`]; or it is not finite.
    pub(crate) fn of_fraction(&self, number: f64) -> Result<Moment, String> {
        if !number.is_finite() || number.abs() >= 9.2e18 {
            return Err(format!("{number} is no time"));
        }
        let whole = number.floor();
        let rest = number - whole;
        if rest == 0.0 || number.abs() >= WHOLE_MAX {
            return self.of_number(number as i64);
        }
        let moment = self.of_number(whole as i64)?;
        // Half a second is worth keeping, half a millisecond is not.
        let in_seconds = self.unit == Some(TimeUnit::S) || moment.guess == Some(Guess::Seconds);
        Ok(Moment {
            ms: moment.ms + if in_seconds { (rest * MS_PER_S as f64) as i64 } else { 0 },
            ..moment
        })
    }

    /// A date and time without a zone, given as the milliseconds that it would be in UTC.
    pub(crate) fn of_local_ms(&self, ms: i64) -> Moment {
        let local = Timestamp::from_millisecond(ms).map(|at| at.to_zoned(TimeZone::UTC).datetime());
        match (&self.zone, local) {
            (Some(_), Ok(local)) => Moment::sure(self.in_zone(local).unwrap_or(ms)),
            _ => Moment::guessed(ms, Guess::NoZone),
        }
    }

    fn guess(&self, number: i64) -> Result<Moment, String> {
        if let Some(day) = compact_date(number) {
            let midnight = day.to_datetime(Time::midnight());
            let ms = self.in_zone(midnight).ok_or_else(|| format!("{number} is no date"))?;
            return Ok(Moment::guessed(ms, Guess::CompactDate));
        }
        Ok(match number {
            ..SECONDS_MIN => Moment::sure(number),
            SECONDS_MIN..=SECONDS_MAX => Moment::guessed(number * MS_PER_S, Guess::Seconds),
            _ if number <= SECONDS_MAX * MS_PER_S => Moment::sure(number),
            _ if (100_000_000_000_000..=SECONDS_MAX * 1_000_000).contains(&number) => {
                Moment::guessed(number / US_PER_MS, Guess::Micros)
            }
            _ if (100_000_000_000_000_000..=SECONDS_MAX * 1_000_000_000).contains(&number) => {
                Moment::guessed(number / NS_PER_MS, Guess::Nanos)
            }
            _ => {
                return Err(format!(
                    "{number} is no time before the year 2100 in seconds, milliseconds or microseconds; --time-unit s|ms|us decides"
                ));
            }
        })
    }

    fn in_zone(&self, local: DateTime) -> Option<i64> {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        local
            .to_zoned(zone)
            .ok()
            .map(|zoned| zoned.timestamp().as_millisecond())
    }
}

/// Reads a zone: `UTC`, `Europe/Berlin`, `+02:00`.
///
/// # Errors
/// Names what it was given.
pub(crate) fn parse_zone(text: &str) -> Result<TimeZone, String> {
    DateTimeParser::new()
        .parse_time_zone(text.trim())
        .map_err(|_| format!("{text:?} is no time zone; UTC, Europe/Berlin or +02:00 would be"))
}

/// Reads a time with the usual rules: [`TimeRules::of_text`].
///
/// # Errors
/// Says what would have been understood.
pub(crate) fn parse_time(text: &str) -> Result<i64, String> {
    TimeRules::default().of_text(text).map(|moment| moment.ms)
}

/// The first instant of a year in milliseconds; a year before 1970 becomes 0, for the system's times start there.
pub(crate) fn parse_year(text: &str) -> Option<i64> {
    let year: i16 = text.parse().ok().filter(|year| (1..=9_999).contains(year))?;
    let start = date(year, 1, 1).to_zoned(TimeZone::UTC).ok()?;
    Some(start.timestamp().as_millisecond().max(0))
}

/// `2026/01/31 12:00:00 UTC` and `2026-01-31 12:00:00 +0200` in the words of RFC 3339.
fn plain_form(text: &str) -> String {
    let mut plain = text.to_owned();
    for end in [" UTC", " GMT"] {
        if let Some(start) = plain.strip_suffix(end) {
            plain = format!("{start}Z");
        }
    }
    for sign in [" +", " -"] {
        if let Some((start, offset)) = plain.rsplit_once(sign)
            && start.contains(':')
        {
            plain = format!("{start}{}{offset}", sign.trim());
        }
    }
    let bytes = plain.as_bytes();
    if bytes.len() >= 10 && bytes[4] == b'/' && bytes[7] == b'/' {
        plain.replace_range(4..5, "-");
        plain.replace_range(7..8, "-");
    }
    plain
}

/// `20260131` as a date.
fn compact_date(number: i64) -> Option<Date> {
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    if !COMPACT_YEARS.contains(&year) {
        return None;
    }
    Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(text: &str) -> Option<Guess> {
        TimeRules::default().of_text(text).expect("a time").guess
    }

    #[test]
    fn times_are_read_in_all_their_forms() {
        assert_eq!(parse_time("1650812741436"), Ok(1_650_812_741_436));
        assert_eq!(parse_time("1650812741436.0"), Ok(1_650_812_741_436));
        assert_eq!(parse_time("1970-01-02"), Ok(86_400_000));
        assert_eq!(parse_time("1970-01-01T01:00:00+01:00"), Ok(0));
        assert_eq!(parse_time("1970-01-01T00:00:01.5Z"), Ok(1_500));
        for text in ["yesterday", "", "06/24/2022", "2022-13-01", "NaN", "-", "24 June 2022"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_is_never_lost() {
        for text in [
            "2022-06-24 21:20:11",
            "2022-06-24T21:20:11",
            "2022/06/24 21:20:11",
            "20220624T212011",
        ] {
            assert_eq!(parse_time(text), Ok(1_656_105_611_000), "{text}");
            assert_eq!(guess(text), Some(Guess::NoZone), "{text}");
        }
        for text in [
            "2022-06-24 21:20:11 UTC",
            "2022-06-24 21:20:11Z",
            "2022-06-24 23:20:11 +0200",
            "2022-06-24 23:20:11+02:00",
            "2022-06-24T23:20:11+02:00[Europe/Berlin]",
        ] {
            assert_eq!(parse_time(text), Ok(1_656_105_611_000), "{text}");
            assert_eq!(guess(text), None, "{text}");
        }
        assert_eq!(parse_time("2022-06-24 11:20:11.25"), Ok(1_656_069_611_250));
    }

    #[test]
    fn the_unit_of_a_number_is_told_by_its_size_or_by_the_caller() {
        assert_eq!(parse_time("1655000000"), Ok(1_655_000_000_000));
        assert_eq!(parse_time("1655000000.5"), Ok(1_655_000_000_500));
        assert_eq!(parse_time("1655000000000000"), Ok(1_655_000_000_000));
        assert_eq!(parse_time("1655000000000000000"), Ok(1_655_000_000_000));
        assert_eq!(guess("1655000000"), Some(Guess::Seconds));
        assert_eq!(parse_time("20220624"), Ok(1_656_028_800_000));
        assert_eq!(guess("20220624"), Some(Guess::CompactDate));
        assert_eq!(parse_time("5"), Ok(5));
        // A film of 1971 in milliseconds.
        assert_eq!(parse_time("31536000000"), Ok(31_536_000_000));
        assert!(parse_time("20220624212011").is_err());
        let seconds = TimeRules {
            unit: Some(TimeUnit::S),
            zone: None,
        };
        assert_eq!(seconds.of_text("20220624").map(|moment| moment.ms), Ok(20_220_624_000));
        assert_eq!(
            TimeRules::exact().of_text("1655000000"),
            Ok(Moment::sure(1_655_000_000))
        );
    }

    #[test]
    fn a_zone_moves_what_has_none() {
        for zone in ["Europe/Berlin", "+02:00"] {
            let rules = TimeRules {
                unit: None,
                zone: Some(parse_zone(zone).expect("a zone")),
            };
            assert_eq!(
                rules.of_text("2022-06-24 23:20:11"),
                Ok(Moment::sure(1_656_105_611_000))
            );
            assert_eq!(
                rules.of_text("2022-06-24T21:20:11Z"),
                Ok(Moment::sure(1_656_105_611_000))
            );
            assert_eq!(rules.of_local_ms(1_656_112_811_000), Moment::sure(1_656_105_611_000));
        }
        assert!(parse_zone("Middle/Earth").is_err());
    }

    #[test]
    fn years_are_read_and_early_ones_are_cut() {
        assert_eq!(parse_year("1971"), Some(365 * 86_400_000));
        assert_eq!(parse_year("1932"), Some(0));
        assert_eq!(parse_year("V"), None);
    }
}
