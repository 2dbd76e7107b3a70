//! Durations as Go writes them: `1h30m`, `-1.5s`, `300ms`.

use std::fmt::Write;

use jiff::SignedDuration;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Why a text is not a duration, worded as Go words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has another shape, or does not fit 64 bits of nanoseconds.
    #[error("time: invalid duration {}", quoted(.0))]
    Invalid(String),
    /// A number stands without a unit.
    #[error("time: missing unit in duration {}", quoted(.0))]
    MissingUnit(String),
    /// The unit is none of ns, us, ms, s, m and h.
    #[error("time: unknown unit {} in duration {}", quoted(.unit), quoted(.text))]
    UnknownUnit {
        /// What stands in the unit's place.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Reads a duration with its sign. It always fits 64 bits of nanoseconds, as Go's
/// do; what is below one nanosecond is cut off.
pub fn parse(text: &str) -> Result<SignedDuration, Error> {
    let invalid = || Error::Invalid(text.to_owned());
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let (whole, after) = split(rest, |c| !c.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split(after, |c| !c.is_ascii_digit()),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let (unit, after) = split(after, |c| c == '.' || c.is_ascii_digit());
        if unit.is_empty() {
            return Err(Error::MissingUnit(text.to_owned()));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(Error::UnknownUnit {
                unit: unit.to_owned(),
                text: text.to_owned(),
            });
        };
        total = nanos(whole, fraction, *scale)
            .and_then(|nanos| total.checked_add(nanos))
            .ok_or_else(invalid)?;
        rest = after;
    }
    let total = i128::from(total) * if negative { -1 } else { 1 };
    let nanos = i64::try_from(total).map_err(|_| invalid())?;
    Ok(SignedDuration::from_nanos(nanos))
}

fn split(text: &str, at: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

/// `whole.fraction` times `scale`.
fn nanos(whole: &str, fraction: &str, scale: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // No unit has more than 13 digits of nanoseconds: those after 19 tell nothing.
    let digits = &fraction[..fraction.len().min(19)];
    let part = digits.bytes().rev().fold(0u128, |part, digit| {
        (part + u128::from(digit - b'0') * u128::from(scale) * FINER) / 10
    });
    let part = u64::try_from(part / FINER).ok()?;
    whole.checked_mul(scale)?.checked_add(part)
}

/// So much finer than nanoseconds fractions are added up.
const FINER: u128 = 10_000_000_000_000_000_000;

/// Writes a duration in Go's shortest form: `1h0m0s`, `1.5s`, `0s`.
pub fn format(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let nanos = duration.as_nanos().unsigned_abs();
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{nanos}ns"),
        1_000..1_000_000 => format!("{sign}{}\u{b5}s", decimal(nanos, 3)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(nanos, 6)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = decimal(nanos % 60_000_000_000, 9);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, m) => format!("{sign}{m}m{seconds}s"),
                (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
            }
        }
    }
}

/// `value / 10^places` without trailing zeros.
fn decimal(value: u128, places: usize) -> String {
    let scale = 10u128.pow(places as u32);
    let (whole, fraction) = (value / scale, value % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let fraction = format!("{fraction:0places$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

/// Go's time package escapes byte by byte, unlike its other quoted strings.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' | 0x7f => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}
