//! Go's duration texts.

use std::time::Duration;

/// Parses `300ms`, `1.5h`, `2h45m`; `None` for other texts and for negative ones.
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    Duration::try_from(schedule::go::parse(text).ok()?).ok()
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
