//! The time of a line: RFC 3339 in the local zone, with the fraction's
//! trailing zeros cut. All but the fraction is rendered once per second.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

thread_local! {
    static SECOND: RefCell<Second> = const { RefCell::new(Second { at: i64::MIN, date: String::new(), zone: String::new() }) };
}

struct Second {
    at: i64,
    date: String,
    zone: String,
}

/// Appends the present time.
pub(super) fn push_now(out: &mut String) {
    let now = Timestamp::now();
    SECOND.with_borrow_mut(|second| {
        if second.at != now.as_second() {
            *second = Second::new(now, local_zone());
        }
        second.push(now, out);
    });
}

/// The zone of this process, read once as Go does. Without `TZ` it is the machine's
/// own file: jiff would look for its name in the whole database first, two
/// milliseconds of every start.
fn local_zone() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(|| {
        if std::env::var_os("TZ").is_some() {
            return TimeZone::system();
        }
        let file = std::fs::read("/etc/localtime").unwrap_or_default();
        TimeZone::tzif("Local", &file).unwrap_or(TimeZone::UTC)
    })
}

impl Second {
    fn new(time: Timestamp, zone: &TimeZone) -> Self {
        let offset = zone.to_offset(time);
        let zone = match offset.seconds() {
            0 => "Z".to_owned(),
            seconds => {
                let sign = if seconds < 0 { '-' } else { '+' };
                let minutes = seconds.abs() / 60;
                format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        };
        let date = offset
            .to_datetime(time)
            .strftime("%Y-%m-%dT%H:%M:%S")
            .to_string();
        Self {
            at: time.as_second(),
            date,
            zone,
        }
    }

    fn push(&self, time: Timestamp, out: &mut String) {
        out.push_str(&self.date);
        let nanos = time.subsec_nanosecond();
        if nanos > 0 {
            let start = out.len();
            // Writing to a String cannot fail.
            let _ = write!(out, ".{nanos:09}");
            out.truncate(start + out[start..].trim_end_matches('0').len());
        }
        out.push_str(&self.zone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(time: &str, offset_hours: i8, expected: &str) {
        let time: Timestamp = time.parse().unwrap();
        let mut out = String::new();
        let zone = TimeZone::fixed(jiff::tz::offset(offset_hours));
        Second::new(time, &zone).push(time, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn fraction_and_zone_have_the_shortest_form() {
        check(
            "2026-01-02T15:04:05.123456789Z",
            0,
            "2026-01-02T15:04:05.123456789Z",
        );
        check(
            "2026-01-02T15:04:05.120Z",
            2,
            "2026-01-02T17:04:05.12+02:00",
        );
        check("2026-01-02T15:04:05Z", -11, "2026-01-02T04:04:05-11:00");
    }
}
