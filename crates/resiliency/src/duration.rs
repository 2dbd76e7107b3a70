//! Durations of policies: milliseconds without a unit, else Go's form.

use std::time::Duration;

/// Reads `250` (milliseconds) or `1m30s`. Upstream takes durations below zero
/// and never waits for them, so they are zero here.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if let Ok(millis) = text.parse::<i64>() {
        return Some(Duration::from_millis(millis.max(0).unsigned_abs()));
    }
    match text.strip_prefix('-') {
        Some(rest) if rest.starts_with(['+', '-']) => None,
        Some(rest) => resources::parse_go_duration(rest).map(|_| Duration::ZERO),
        None => resources::parse_go_duration(text),
    }
}

/// Go's shortest form, for the log lines that name a wait: `1m30s`, `1.5s`, `20ms`.
pub(crate) fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}\u{b5}s", decimal(nanos, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 6)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = decimal(nanos % 60_000_000_000, 9);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, m) => format!("{m}m{seconds}s"),
                (h, m) => format!("{h}h{m}m{seconds}s"),
            }
        }
    }
}

/// `value / 10^places` without trailing zeros.
fn decimal(value: u128, places: usize) -> String {
    let scale = 10u128.pow(places as u32);
    let fraction = format!("{:0places$}", value % scale);
    match fraction.trim_end_matches('0') {
        "" => (value / scale).to_string(),
        fraction => format!("{}.{fraction}", value / scale),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bare_numbers_are_milliseconds_and_other_texts_are_gos() {
        let ms = |n| Some(Duration::from_millis(n));
        for (text, expected) in [
            ("250", ms(250)),
            ("0", ms(0)),
            ("+7", ms(7)),
            ("-5", ms(0)),
            ("1m30s", ms(90_000)),
            ("1.5s", ms(1_500)),
            ("-1.5s", ms(0)),
            ("--1s", None),
            ("-+1s", None),
            ("", None),
            ("-", None),
            ("5 s", None),
            ("soon", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn waits_are_written_in_gos_shortest_form() {
        for (nanos, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (552_330_270, "552.33027ms"),
            (1_000_000_000, "1s"),
            (90_500_000_000, "1m30.5s"),
            (5_400_000_000_000, "1h30m0s"),
        ] {
            assert_eq!(format(Duration::from_nanos(nanos)), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_is_read_back(nanos in 0..=i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Some(duration));
        }
    }
}
