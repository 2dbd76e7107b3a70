//! Lengths of time with calendar units: ISO 8601 durations, and Go's.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::{MAX_LENGTH, go};

const DAY: i128 = 86_400_000_000_000;

/// Why a text is not a period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is neither an ISO 8601 duration nor one of Go's, or a number in it is too
    /// large.
    #[error("unsupported duration format: {0}")]
    Format(String),
    /// It is longer than [`MAX_LENGTH`] bytes.
    #[error("duration is longer than {MAX_LENGTH} bytes")]
    TooLong,
}

/// A length of time, and how often it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Calendar years.
    pub years: i32,
    /// Calendar months.
    pub months: i32,
    /// Days and weeks.
    pub days: i32,
    /// Hours and smaller.
    pub duration: SignedDuration,
    /// The repetitions in front; `None` without them and for `R-1`.
    pub repeats: Option<i32>,
}

impl Period {
    /// Reads `P1Y2M3W4DT5H6M7S`, `R3/PT10S`, `R3`, or else a Go duration (`1h30m`).
    ///
    /// The ISO form is read as leniently as upstream reads it: numbers may have a
    /// sign, days, hours and smaller add up when they come twice, and what follows
    /// the last unit says nothing (`P5` is zero).
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LENGTH {
            return Err(Error::TooLong);
        }
        iso(text)
            .or_else(|| {
                let duration = go::parse(text).ok()?;
                Some(Self {
                    duration,
                    ..Self::default()
                })
            })
            .ok_or_else(|| Error::Format(text.to_owned()))
    }

    /// The moment one period after another, by the calendar of UTC. As in Go a day
    /// that its month does not have runs over into the next month: a month after
    /// 31 January is 3 March. Stops at the ends of what a [`Timestamp`] can be.
    pub fn after(&self, moment: Timestamp) -> Timestamp {
        let local = TimeZone::UTC.to_datetime(moment);
        let month = i64::from(local.year()) * 12 + i64::from(local.month()) - 1;
        let month = month + i64::from(self.years) * 12 + i64::from(self.months);
        let Some(first) = first_of(month) else {
            return if month < 0 {
                Timestamp::MIN
            } else {
                Timestamp::MAX
            };
        };
        let days = i128::from(local.day()) - 1 + i128::from(self.days);
        let of_day = moment.as_nanosecond().rem_euclid(DAY);
        let nanos = first.as_nanosecond() + days * DAY + of_day + self.duration.as_nanos();
        let (min, max) = (Timestamp::MIN, Timestamp::MAX);
        let nanos = nanos.clamp(min.as_nanosecond(), max.as_nanosecond());
        Timestamp::from_nanosecond(nanos).unwrap_or(max)
    }

    /// The schedule that repeats it, such as `@every 1h0m0s`; `None` with years,
    /// months or days, which no schedule counts.
    pub fn every(&self) -> Option<String> {
        let calendar = self.years != 0 || self.months != 0 || self.days != 0;
        (!calendar).then(|| format!("@every {}", go::format(self.duration)))
    }
}

/// The first moment of a month, counted from January of year 0.
fn first_of(month: i64) -> Option<Timestamp> {
    let year = month.div_euclid(12).try_into().ok()?;
    let month = (month.rem_euclid(12) + 1).try_into().ok()?;
    let date = Date::new(year, month, 1).ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn iso(text: &str) -> Option<Period> {
    let mut period = Period::default();
    let Some(repeated) = text.strip_prefix('R') else {
        // A lone `P` is refused, unless repetitions stand in front of it.
        return (text.len() > 1).then(|| units(text, period)).flatten();
    };
    let (repeats, rest) = match repeated.split_once('/') {
        Some((repeats, rest)) => (repeats, Some(rest)),
        None => (repeated, None),
    };
    period.repeats = Some(repeats.parse().ok()?).filter(|repeats| *repeats != -1);
    match rest {
        None | Some("") => Some(period),
        Some(rest) => units(rest, period),
    }
}

fn units(text: &str, mut period: Period) -> Option<Period> {
    let mut rest = text.strip_prefix('P')?;
    let (mut days, mut seconds, mut time) = (0i64, 0i64, false);
    while let Some(at) = rest.find(['Y', 'M', 'W', 'D', 'T', 'H', 'S']) {
        let (number, unit) = (&rest[..at], rest.as_bytes()[at]);
        rest = &rest[at + 1..];
        if unit == b'T' {
            time = true;
            if !number.is_empty() {
                return None;
            }
            continue;
        }
        let number: i64 = number.parse().ok()?;
        match (time, unit) {
            (false, b'Y') => period.years = number.try_into().ok()?,
            (false, b'M') => period.months = number.try_into().ok()?,
            (false, b'W') => days = number.checked_mul(7)?.checked_add(days)?,
            (false, b'D') => days = number.checked_add(days)?,
            (true, b'H') => seconds = number.checked_mul(3600)?.checked_add(seconds)?,
            (true, b'M') => seconds = number.checked_mul(60)?.checked_add(seconds)?,
            (true, b'S') => seconds = number.checked_add(seconds)?,
            _ => return None,
        }
    }
    period.days = days.try_into().ok()?;
    // Go's durations reach no further than 64 bits of nanoseconds.
    period.duration = SignedDuration::from_nanos(seconds.checked_mul(1_000_000_000)?);
    Some(period)
}
