//! Moments as RFC 3339 writes them, read with Go's rules.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// `2026-02-01T08:30:00.5+01:00`. As in Go letters are upper case, the hour may
/// have one digit, a comma may stand for the point, and digits past nanoseconds
/// are cut off.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once('T')?;
    let (year, date) = date.split_once('-')?;
    let (month, day) = date.split_once('-')?;
    let date = Date::new(
        number(year, 4)?,
        number(month, 2)?.try_into().ok()?,
        number(day, 2)?.try_into().ok()?,
    );
    let (hour, rest) = rest.split_once(':')?;
    let (minute, rest) = rest.split_once(':')?;
    let (second, rest) = rest.split_at_checked(2)?;
    let (nanosecond, zone) = fraction(rest)?;
    let hour = number(hour, 2).or_else(|| number(hour, 1))?;
    let time = Time::new(
        hour.try_into().ok()?,
        number(minute, 2)?.try_into().ok()?,
        number(second, 2)?.try_into().ok()?,
        nanosecond,
    );
    let local = date.ok()?.to_datetime(time.ok()?);
    let utc = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
    utc.checked_sub(offset(zone)?).ok()
}

/// Exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i16> {
    let all = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

/// The nanoseconds that a text begins with, and what follows them.
fn fraction(text: &str) -> Option<(i32, &str)> {
    let Some(rest) = text.strip_prefix(['.', ',']) else {
        return Some((0, text));
    };
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = rest.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let digits = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0, |nanos, digit| nanos * 10 + i32::from(digit - b'0'));
    Some((nanos, rest))
}

/// Go takes up to 24 hours and 60 minutes.
fn offset(text: &str) -> Option<SignedDuration> {
    if text == "Z" {
        return Some(SignedDuration::ZERO);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    let minutes = (hours <= 24 && minutes <= 60).then_some(hours * 60 + minutes)?;
    Some(SignedDuration::from_mins(i64::from(sign * minutes)))
}
