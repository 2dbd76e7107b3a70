//! Whole numbers as Go's `strconv` reads them with base 0: `0x`, `0o`, `0b`
//! and a leading zero choose the base, and `_` may stand between digits.

use crate::quote::quoted;

use super::value::Error;

pub(super) fn int(text: &str) -> Result<i64, Error> {
    let negative = text.starts_with('-');
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let error = |range| fail("ParseInt", text, range);
    let value = magnitude(body).map_err(error)?;
    let value = i128::try_from(value).map_err(|_| error(true))?;
    i64::try_from(if negative { -value } else { value }).map_err(|_| error(true))
}

pub(super) fn uint(text: &str, bits: u32) -> Result<u64, Error> {
    let error = |range| fail("ParseUint", text, range);
    let value = magnitude(text).map_err(error)?;
    if value >> bits != 0 {
        return Err(error(true));
    }
    u64::try_from(value).map_err(|_| error(true))
}

fn fail(function: &str, text: &str, range: bool) -> Error {
    let reason = if range {
        "value out of range"
    } else {
        "invalid syntax"
    };
    Error {
        text: format!("strconv.{function}: parsing {}: {reason}", quoted(text)),
        range,
    }
}

/// The number, or whether it was too large (true) or not a number (false).
fn magnitude(text: &str) -> Result<u128, bool> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // Behind a prefix an underscore may come first, never two in a row.
    let prefixed = digits.len() < lower.len();
    let misplaced =
        digits.ends_with('_') || digits.contains("__") || (!prefixed && digits.starts_with('_'));
    if digits.is_empty() || misplaced {
        return Err(false);
    }
    let mut value = 0u128;
    let mut too_large = false;
    for c in digits.chars().filter(|c| *c != '_') {
        let digit = c.to_digit(base).ok_or(false)?;
        match value
            .checked_mul(u128::from(base))
            .and_then(|v| v.checked_add(u128::from(digit)))
        {
            Some(next) => value = next,
            None => too_large = true,
        }
    }
    if too_large { Err(true) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_and_underscores_are_those_of_go() {
        let check =
            |text: &str, expected: Option<i64>| assert_eq!(int(text).ok(), expected, "{text:?}");
        check("0", Some(0));
        check("-10", Some(-10));
        check("+7", Some(7));
        check("0x1F", Some(31));
        check("0b101", Some(5));
        check("0o17", Some(15));
        check("017", Some(15));
        check("1_000", Some(1000));
        check("0x_ff", Some(255));
        check("08", None);
        check("_1", None);
        check("1_", None);
        check("1__0", None);
        check("", None);
        check("-", None);
        check("0x", None);
        check("ten", None);
        check("9223372036854775807", Some(i64::MAX));
        check("-9223372036854775808", Some(i64::MIN));
        check("9223372036854775808", None);
    }

    #[test]
    fn errors_are_worded_like_go() {
        let check = |got: Result<String, Error>, expected: &str| {
            assert_eq!(got.unwrap_err().text, expected)
        };
        check(
            int("x").map(|v| v.to_string()),
            r#"strconv.ParseInt: parsing "x": invalid syntax"#,
        );
        check(
            uint("-1", 64).map(|v| v.to_string()),
            r#"strconv.ParseUint: parsing "-1": invalid syntax"#,
        );
        check(
            uint("4294967296", 32).map(|v| v.to_string()),
            r#"strconv.ParseUint: parsing "4294967296": value out of range"#,
        );
        let huge = "9".repeat(60);
        assert!(uint(&huge, 64).unwrap_err().range);
    }
}
