//! The grammar of schedules.

use schedule::cron::Cron;

use crate::at;

/// The first tick after the middle of the first second of 2026.
fn first(text: &str) -> String {
    match Cron::parse(text) {
        Ok(cron) => cron
            .next_after(at("2026-01-01T00:00:00.5Z"))
            .map_or("never".into(), |tick| tick.to_string()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn schedules_are_read_and_refused_as_upstream_does() {
    for (text, expected) in [
        ("* * * * * *", "2026-01-01T00:00:01Z"),
        ("? ? ? ? ? ?", "2026-01-01T00:00:01Z"),
        (" 0 0 0\t*  * *\u{a0}", "2026-01-02T00:00:00Z"),
        ("+5 * * * * *", "2026-01-01T00:00:05Z"),
        ("*/+5 * * * * *", "2026-01-01T00:00:05Z"),
        (",,1, * * * * *", "2026-01-01T00:00:01Z"),
        (", * * * * *", "never"),
        ("*-5 * * * * *", "2026-01-01T00:00:01Z"),
        ("*-x * * * * *", "2026-01-01T00:00:01Z"),
        ("?/5 * * * * *", "2026-01-01T00:00:05Z"),
        ("0/7 * * * * *", "2026-01-01T00:00:07Z"),
        ("0-5/7 * * * * *", "2026-01-01T00:01:00Z"),
        ("*/100 * * * * *", "2026-01-01T00:01:00Z"),
        ("59,30-31 * * * * *", "2026-01-01T00:00:30Z"),
        ("0 0 0 ? JAN-mar MON", "2026-01-05T00:00:00Z"),
        ("0 0 0 * * mon-fri/2", "2026-01-02T00:00:00Z"),
        ("0 0 0 30 2 *", "never"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
        ("@annually", "2027-01-01T00:00:00Z"),
        ("@monthly", "2026-02-01T00:00:00Z"),
        ("@weekly", "2026-01-04T00:00:00Z"),
        ("@daily", "2026-01-02T00:00:00Z"),
        ("@midnight", "2026-01-02T00:00:00Z"),
        ("@hourly", "2026-01-01T01:00:00Z"),
        ("@every 1h30m", "2026-01-01T01:30:00.5Z"),
        ("@every 1ns", "2026-01-01T00:00:00.500000001Z"),
        ("@every 292277h", "2059-05-06T05:00:00.5Z"),
        ("TZ=Asia/Tokyo 0 0 12 * * *", "2026-01-01T03:00:00Z"),
        ("CRON_TZ=Asia/Tokyo   @daily", "2026-01-01T15:00:00Z"),
        ("TZ= @daily", "2026-01-02T00:00:00Z"),
        ("TZ=Local @daily", "2026-01-02T00:00:00Z"),
        // What is refused.
        ("", "empty spec string"),
        ("  ", "expected exactly 6 fields, found 0: []"),
        (
            "0 0 * * *",
            "expected exactly 6 fields, found 5: [0 0 * * *]",
        ),
        (
            "0  0 * * * * *",
            "expected exactly 6 fields, found 7: [0 0 * * * * *]",
        ),
        (
            "tz=UTC 0 0 0 * * *",
            "expected exactly 6 fields, found 7: [tz=UTC 0 0 0 * * *]",
        ),
        ("TZ=UTC", "expected exactly 6 fields, found 0: []"),
        ("60 * * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 24 * * *", "end of range (24) above maximum (23): 24"),
        ("* * * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 13 *", "end of range (13) above maximum (12): 13"),
        ("* * * * * 7", "end of range (7) above maximum (6): 7"),
        (
            "5-1 * * * * *",
            "beginning of range (5) beyond end of range (1): 5-1",
        ),
        ("1-2-3 * * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * * *", "too many slashes: 1/2/3"),
        (
            "*/0 * * * * *",
            "step of range should be a positive number: */0",
        ),
        ("*/-1 * * * * *", "negative number (-1) not allowed: -1"),
        (
            "* * * L * *",
            "failed to parse int from L: strconv.Atoi: parsing \"L\": invalid syntax",
        ),
        (
            "JAN * * * * *",
            "failed to parse int from JAN: strconv.Atoi: parsing \"JAN\": invalid syntax",
        ),
        (
            "-1 * * * * *",
            "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax",
        ),
        (
            "5/ * * * * *",
            "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax",
        ),
        (
            "1_0 * * * * *",
            "failed to parse int from 1_0: strconv.Atoi: parsing \"1_0\": invalid syntax",
        ),
        (
            "99999999999999999999 * * * * *",
            "failed to parse int from 99999999999999999999: strconv.Atoi: \
             parsing \"99999999999999999999\": value out of range",
        ),
        ("@foo", "unrecognized descriptor: @foo"),
        ("@Daily", "unrecognized descriptor: @Daily"),
        ("@daily ", "unrecognized descriptor: @daily "),
        ("@every", "unrecognized descriptor: @every"),
        (
            "@every ",
            "failed to parse duration @every : time: invalid duration \"\"",
        ),
        (
            "@every 1x",
            "failed to parse duration @every 1x: \
             time: unknown unit \"x\" in duration \"1x\"",
        ),
        ("@every 0s", "duration must be longer than zero: @every 0s"),
        (
            "@every -5s",
            "duration must be longer than zero: @every -5s",
        ),
        (
            "TZ=UTC @every 1s",
            "timezone is not supported for @every schedules: TZ=UTC @every 1s",
        ),
        (
            "TZ=Foo/Bar * * * * * *",
            "provided bad location Foo/Bar: unknown time zone Foo/Bar",
        ),
        (
            "TZ=europe/berlin * * * * * *",
            "provided bad location europe/berlin: unknown time zone europe/berlin",
        ),
    ] {
        assert_eq!(first(text), expected, "{text:?}");
    }
}

#[test]
fn days_of_month_and_week_add_up_only_when_both_are_restricted() {
    let days = |text: &str| {
        let cron = Cron::parse(text).expect("a schedule");
        let mut last = at("2026-01-01T00:00:00Z");
        let days = (0..5).map(|_| {
            last = cron.next_after(last).expect("a tick");
            last.strftime("%d").to_string()
        });
        days.collect::<Vec<_>>().join(" ")
    };
    for (text, expected) in [
        ("0 0 0 13 * FRI", "02 09 13 16 23"),
        ("0 0 0 1-31 * FRI", "02 03 04 05 06"),
        ("0 0 0 */2 * FRI", "02 03 05 07 09"),
        ("0 0 0 */1 * FRI", "02 09 16 23 30"),
        ("0 0 0 1,* * FRI", "02 09 16 23 30"),
        ("0 0 0 ? * FRI", "02 09 16 23 30"),
        ("0 0 0 13 * *", "13 13 13 13 13"),
    ] {
        assert_eq!(days(text), expected, "{text}");
    }
}
