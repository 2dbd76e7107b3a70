//! Durations as Go writes them (`1m30s`, `500ms`, `1.5h`): flags, resources
//! and log lines all use this form.

use std::time::Duration;

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
    /// The text has another shape, or does not fit 64 bits of nanoseconds.
    #[error("time: invalid duration {0}")]
    Invalid(String),
    /// A number stands without a unit.
    #[error("time: missing unit in duration {0}")]
    MissingUnit(String),
    /// The unit is none of ns, us, ms, s, m and h.
    #[error("time: unknown unit {unit} in duration {text}")]
    UnknownUnit {
        /// The unit, quoted.
        unit: String,
        /// The whole text, quoted.
        text: String,
    },
    /// A duration below zero where none makes sense.
    #[error("duration {0} is negative")]
    Negative(String),
}

/// Reads a duration that cannot be negative.
pub fn parse(text: &str) -> Result<Duration, Error> {
    let nanos = parse_nanos(text)?;
    let nanos = u64::try_from(nanos).map_err(|_| Error::Negative(quoted(text)))?;
    Ok(Duration::from_nanos(nanos))
}

/// Reads a duration with its sign, in nanoseconds.
pub fn parse_nanos(text: &str) -> Result<i64, Error> {
    let invalid = || Error::Invalid(quoted(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0u128;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(Error::MissingUnit(quoted(text)));
        }
        let scale = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, scale)| *scale);
        let scale = scale.ok_or_else(|| Error::UnknownUnit {
            unit: quoted(unit),
            text: quoted(text),
        })?;
        total = amount(whole, fraction, scale)
            .and_then(|nanos| total.checked_add(nanos))
            .filter(|total| *total <= 1 << 63)
            .ok_or_else(invalid)?;
        rest = after;
    }
    let signed = if negative {
        -(total as i128)
    } else {
        total as i128
    };
    i64::try_from(signed).map_err(|_| invalid())
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

/// `whole.fraction` units in nanoseconds; the part below one nanosecond is cut.
fn amount(whole: &str, fraction: &str, scale: u64) -> Option<u128> {
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut nanos = whole.checked_mul(u128::from(scale))?;
    // More digits than these cannot reach a nanosecond of the largest unit.
    let mut unit = u128::from(scale) * 1_000_000;
    let mut part = 0u128;
    for digit in fraction.bytes().take(19) {
        unit /= 10;
        part += u128::from(digit - b'0') * unit;
    }
    nanos = nanos.checked_add(part / 1_000_000)?;
    Some(nanos)
}

/// Writes a duration in Go's shortest form: `1m30s`, `1.5s`, `0s`.
pub fn format(duration: Duration) -> String {
    render(duration.as_nanos(), false)
}

/// Writes a count of nanoseconds in Go's shortest form, with its sign.
pub fn format_nanos(nanos: i64) -> String {
    render(u128::from(nanos.unsigned_abs()), nanos < 0)
}

fn render(nanos: u128, negative: bool) -> String {
    let sign = if negative { "-" } else { "" };
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
            b'"' | b'\\' => out.extend(['\\', byte as char]),
            b' '..=b'~' | 0x7f => out.push(byte as char),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<i64, &str>) {
        let got = parse_nanos(text).map_err(|e| e.to_string());
        assert_eq!(got, expected.map_err(String::from), "{text:?}");
    }

    #[test]
    fn every_unit_and_fraction_is_read() {
        check("0", Ok(0));
        check("5s", Ok(5_000_000_000));
        check("1m30s", Ok(90_000_000_000));
        check("500ms", Ok(500_000_000));
        check("1.5h", Ok(5_400_000_000_000));
        check(".5us", Ok(500));
        check("3\u{b5}s", Ok(3_000));
        check("3\u{3bc}s", Ok(3_000));
        check("-2ns", Ok(-2));
        check("+2ns", Ok(2));
        check("1.s", Ok(1_000_000_000));
        check("0.3333333333333333333333h", Ok(1_199_999_999_999));
        check("9223372036854775807ns", Ok(i64::MAX));
        check("-9223372036854775808ns", Ok(i64::MIN));
    }

    #[test]
    fn errors_are_worded_like_go() {
        check("", Err("time: invalid duration \"\""));
        check("-", Err("time: invalid duration \"-\""));
        check(".s", Err("time: invalid duration \".s\""));
        check("5", Err("time: missing unit in duration \"5\""));
        check("5x", Err("time: unknown unit \"x\" in duration \"5x\""));
        check("1d", Err("time: unknown unit \"d\" in duration \"1d\""));
        check(
            "9223372036854775808ns",
            Err("time: invalid duration \"9223372036854775808ns\""),
        );
        check(
            "9999999999999999999999999999999999999999999h",
            Err("time: invalid duration \"9999999999999999999999999999999999999999999h\""),
        );
        check(
            "5\u{e9}",
            Err("time: unknown unit \"\\xc3\\xa9\" in duration \"5\\xc3\\xa9\""),
        );
        assert_eq!(parse("-5s"), Err(Error::Negative("\"-5s\"".into())));
    }

    #[test]
    fn the_shortest_form_is_written() {
        let check = |nanos: i64, expected: &str| assert_eq!(format_nanos(nanos), expected);
        check(0, "0s");
        check(1, "1ns");
        check(1_100, "1.1\u{b5}s");
        check(2_200_000, "2.2ms");
        check(3_300_000_000, "3.3s");
        check(90_000_000_000, "1m30s");
        check(5_400_000_000_000, "1h30m0s");
        check(-500_000_000, "-500ms");
        check(i64::MIN, "-2562047h47m16.854775808s");
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC*") {
            let _ = parse_nanos(&text);
        }

        #[test]
        fn what_is_written_is_read_back(nanos in any::<i64>()) {
            prop_assert_eq!(parse_nanos(&format_nanos(nanos)), Ok(nanos));
        }
    }
}
