//! Go's duration texts.

use std::time::Duration;

/// Parses `300ms`, `1.5h`, `2h45m`; `None` for other texts and for negative ones.
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        total = total.checked_add(nanos(number, unit)?)?;
        rest = tail;
    }
    let total = u64::try_from(total)
        .ok()
        .filter(|n| *n <= i64::MAX as u64)?;
    Some(Duration::from_nanos(total))
}

fn nanos(number: &str, unit: &str) -> Option<u128> {
    let scale: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut part = 0;
    let mut step = scale;
    for digit in fraction.bytes() {
        step /= 10;
        part += u128::from(digit - b'0') * step;
    }
    whole.checked_mul(scale)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_parse_and_other_texts_do_not() {
        let ms = |n| Some(Duration::from_millis(n));
        for (text, expected) in [
            ("5s", ms(5_000)),
            ("1h30m", ms(5_400_000)),
            ("1.5s", ms(1_500)),
            (".5s", ms(500)),
            ("300ms", ms(300)),
            ("0", ms(0)),
            ("+2m", ms(120_000)),
            ("1µs", Some(Duration::from_micros(1))),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("99999999999h", None),
            ("5 s", None),
        ] {
            assert_eq!(parse_go_duration(text), expected, "{text:?}");
        }
    }
}
