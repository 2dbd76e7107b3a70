//! How old something is, in as few characters as people need.

use jiff::{Timestamp, tz::TimeZone};

/// The age of something that began then: `45s`, `5m30s`, `3h20m`, `2d3h`.
pub(crate) fn age(began: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - began.as_second()).max(0);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => pair(days / 365, "y", days % 365, "d"),
    }
}

/// The moment on this machine's clock, `2026-01-31 17:05.09`.
pub(crate) fn created(began: Timestamp) -> String {
    began
        .to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M.%S")
        .to_string()
}

fn pair(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let check = |seconds: i64, expected: &str| {
            let at = |second| Timestamp::from_second(second).expect("in range");
            assert_eq!(age(at(1_000), at(1_000 + seconds)), expected);
        };
        check(-5, "0s");
        check(119, "119s");
        check(120, "2m");
        check(330, "5m30s");
        check(3_600, "60m");
        check(12_000, "3h20m");
        check(100_000, "27h");
        check(183_600, "2d3h");
        check(864_000, "10d");
        check(63_072_000 + 86_400, "2y1d");
    }
}
