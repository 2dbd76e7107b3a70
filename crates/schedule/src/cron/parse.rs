//! The grammar of schedules.

use jiff::tz::TimeZone;

use super::field::Field;
use super::{Cron, Dates, Kind};
use crate::{MAX_LENGTH, go};

/// Why a text is not a schedule, worded as upstream words it; ranges, numbers and
/// specs are the parts of the text that are wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("empty spec string")]
    Empty,
    #[error("schedule is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("expected exactly 6 fields, found {count}: [{fields}]")]
    Fields { count: usize, fields: String },
    #[error("provided bad location {0}: unknown time zone {0}")]
    Zone(String),
    #[error("timezone is not supported for @every schedules: {0}")]
    ZoneOfEvery(String),
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
    #[error("failed to parse duration {spec}: {error}")]
    Duration { spec: String, error: go::Error },
    #[error("too many hyphens: {0}")]
    Hyphens(String),
    #[error("too many slashes: {0}")]
    Slashes(String),
    #[error("failed to parse int from {0}: strconv.Atoi: parsing \"{0}\": invalid syntax")]
    NotANumber(String),
    #[error("failed to parse int from {0}: strconv.Atoi: parsing \"{0}\": value out of range")]
    OutOfRange(String),
    #[error("negative number ({0}) not allowed: {1}")]
    Negative(i64, String),
    #[error("beginning of range ({first}) below minimum ({min}): {range}")]
    BelowMinimum { first: u64, min: u64, range: String },
    #[error("end of range ({last}) above maximum ({max}): {range}")]
    AboveMaximum { last: u64, max: u64, range: String },
    #[error("beginning of range ({first}) beyond end of range ({last}): {range}")]
    Backwards {
        first: u64,
        last: u64,
        range: String,
    },
    #[error("step of range should be a positive number: {0}")]
    ZeroStep(String),
    /// Upstream takes it, and fires without pause.
    #[error("duration must be longer than zero: {0}")]
    NoPause(String),
    /// Upstream takes it, and searches without end.
    #[error("schedule has no date within five years: {0}")]
    Never(String),
}

pub(super) fn parse(text: &str) -> Result<Cron, Error> {
    if text.is_empty() {
        return Err(Error::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(Error::TooLong);
    }
    let zoned = text
        .strip_prefix("CRON_TZ=")
        .or_else(|| text.strip_prefix("TZ="));
    let (zone, spec) = match zoned {
        Some(zoned) => {
            let (name, spec) = zoned.split_once(' ').unwrap_or((zoned, ""));
            (zone(name)?, spec.trim())
        }
        None => (TimeZone::UTC, text),
    };
    if let Some(pause) = spec.strip_prefix("@every ") {
        if zoned.is_some() {
            return Err(Error::ZoneOfEvery(text.to_owned()));
        }
        return every(spec, pause);
    }
    let fields = if spec.starts_with('@') {
        descriptor(spec).ok_or_else(|| Error::Descriptor(spec.to_owned()))?
    } else {
        spec
    };
    Ok(Cron(Kind::Dates(dates(fields, zone)?)))
}

fn every(spec: &str, pause: &str) -> Result<Cron, Error> {
    let pause = go::parse(pause).map_err(|error| Error::Duration {
        spec: spec.to_owned(),
        error,
    })?;
    if !pause.is_positive() {
        return Err(Error::NoPause(spec.to_owned()));
    }
    Ok(Cron(Kind::Every(pause)))
}

fn descriptor(text: &str) -> Option<&'static str> {
    Some(match text {
        "@yearly" | "@annually" => "0 0 0 1 1 *",
        "@monthly" => "0 0 0 1 * *",
        "@weekly" => "0 0 0 * * 0",
        "@daily" | "@midnight" => "0 0 0 * * *",
        "@hourly" => "0 0 * * * *",
        _ => return None,
    })
}

fn dates(text: &str, zone: TimeZone) -> Result<Dates, Error> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [seconds, minutes, hours, days, months, weekdays] = fields[..] else {
        return Err(Error::Fields {
            count: fields.len(),
            fields: fields.join(" "),
        });
    };
    let (seconds, _) = Field::SECONDS.parse(seconds)?;
    let (minutes, _) = Field::MINUTES.parse(minutes)?;
    let (hours, _) = Field::HOURS.parse(hours)?;
    let (days, any_day) = Field::DAYS.parse(days)?;
    let (months, _) = Field::MONTHS.parse(months)?;
    let (weekdays, any_weekday) = Field::WEEKDAYS.parse(weekdays)?;
    Ok(Dates {
        seconds,
        minutes,
        hours,
        days,
        months,
        weekdays,
        both_days: any_day || any_weekday,
        zone,
    })
}

/// A zone by its exact name. `Local` is UTC: upstream takes it for the zone of the
/// moment that it counts from.
fn zone(name: &str) -> Result<TimeZone, Error> {
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(TimeZone::UTC);
    }
    let zone = TimeZone::get(name).ok();
    // Names of other letter case would not be taken by upstream, which may read
    // what is stored.
    zone.filter(|zone| zone.iana_name() == Some(name) && !zone.is_unknown())
        .ok_or_else(|| Error::Zone(name.to_owned()))
}
