//! Periods and moments.

use schedule::{Period, moment};

use crate::at;

fn show(text: &str) -> String {
    match Period::parse(text) {
        Err(error) => error.to_string(),
        Ok(period) => format!(
            "{} {} {} {} {:?}",
            period.years,
            period.months,
            period.days,
            schedule::go::format(period.duration),
            period.repeats
        ),
    }
}

#[test]
fn periods_are_read_as_leniently_as_upstream_reads_them() {
    for (text, expected) in [
        ("P1Y2M3W4DT5H6M7S", "1 2 25 5h6m7s None"),
        ("PT1M", "0 0 0 1m0s None"),
        ("P1M", "0 1 0 0s None"),
        ("P1MT1M", "0 1 0 1m0s None"),
        ("P1W", "0 0 7 0s None"),
        ("P-1D", "0 0 -1 0s None"),
        ("P+1D", "0 0 1 0s None"),
        ("PT-1H", "0 0 0 -1h0m0s None"),
        ("P1D1W", "0 0 8 0s None"),
        ("P1D2D", "0 0 3 0s None"),
        ("P1Y1Y", "1 0 0 0s None"),
        ("PT1H2H", "0 0 0 3h0m0s None"),
        ("PT1HT2H", "0 0 0 3h0m0s None"),
        ("PT", "0 0 0 0s None"),
        ("P5", "0 0 0 0s None"),
        ("P5M6", "0 5 0 0s None"),
        ("P1DT5", "0 0 1 0s None"),
        ("P1D ", "0 0 1 0s None"),
        ("P1DR5", "0 0 1 0s None"),
        ("P1Y\u{e9}", "1 0 0 0s None"),
        ("R5", "0 0 0 0s Some(5)"),
        ("R5/", "0 0 0 0s Some(5)"),
        ("R5/P", "0 0 0 0s Some(5)"),
        ("R5/PT1S", "0 0 0 1s Some(5)"),
        ("R+3/PT1S", "0 0 0 1s Some(3)"),
        ("R0/PT1S", "0 0 0 1s Some(0)"),
        ("R-2/PT1S", "0 0 0 1s Some(-2)"),
        ("R-1/PT1S", "0 0 0 1s None"),
        ("PT9223372036S", "0 0 0 2562047h47m16s None"),
        ("1h30m", "0 0 0 1h30m0s None"),
        ("-1h", "0 0 0 -1h0m0s None"),
        ("0", "0 0 0 0s None"),
    ] {
        assert_eq!(show(text), expected, "{text:?}");
    }
    for text in [
        "",
        "P",
        "R",
        "R/",
        "RR",
        "RP1D",
        "R/PT1S",
        "Rx/PT1S",
        "R5P1D",
        "R5/1h",
        "R5/x",
        "R5/T1H",
        "R1/1/PT1S",
        "R5/R5/PT1S",
        "R99999999999/PT1S",
        "5",
        "foo",
        "p1d",
        "1D",
        "T1H",
        "-P1D",
        "PD",
        "P1DD",
        "P1.5D",
        "PT0.5S",
        "P1X2D",
        "P1S",
        "P1H",
        "PT1D",
        "PT1Y",
        "P5T",
        "P1T1H",
        "PPT1H",
        "P1DP1D",
        "P 1D",
        "P1D T1H",
        "P--1D",
        "PT1H\u{e9}2M",
        "P99999999999D",
        "P9223372036854775807W",
        "PT9223372037S",
        "PT9223372036854775807H",
        "2026-02-01T00:00:00Z",
    ] {
        assert_eq!(show(text), format!("unsupported duration format: {text}"));
    }
}

#[test]
fn a_period_goes_by_the_calendar_of_utc_and_runs_over_as_in_go() {
    for (from, period, expected) in [
        ("2026-01-31T12:00:00Z", "P1M", "2026-03-03T12:00:00Z"),
        (
            "2026-01-31T12:00:00Z",
            "P1Y2M3W4DT5H6M7S",
            "2027-04-25T17:06:07Z",
        ),
        ("2028-02-29T00:00:00.25Z", "P1Y", "2029-03-01T00:00:00.25Z"),
        ("2026-03-31T00:00:00Z", "P-1M", "2026-03-03T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "P-1M", "2025-12-01T00:00:00Z"),
        ("2026-12-31T23:59:59Z", "P1DT1S", "2027-01-02T00:00:00Z"),
        ("1969-12-31T23:59:59.5Z", "P1D", "1970-01-01T23:59:59.5Z"),
        (
            "2026-01-01T00:00:00Z",
            "P9000Y",
            "9999-12-30T22:00:00.999999999Z",
        ),
        (
            "2026-01-01T00:00:00Z",
            "P2147483647Y",
            "9999-12-30T22:00:00.999999999Z",
        ),
        (
            "2026-01-01T00:00:00Z",
            "P2147483647D",
            "9999-12-30T22:00:00.999999999Z",
        ),
        (
            "2026-01-01T00:00:00Z",
            "P-2147483647M",
            "-009999-01-02T01:59:59Z",
        ),
        (
            "2026-01-01T00:00:00Z",
            "P-2147483647D",
            "-009999-01-02T01:59:59Z",
        ),
    ] {
        let period = Period::parse(period).expect("a period");
        assert_eq!(period.after(at(from)), at(expected), "{period:?}");
    }
}

#[test]
fn only_periods_without_calendar_units_are_schedules() {
    for (text, expected) in [
        ("PT1H", Some("@every 1h0m0s")),
        ("R4/PT0S", Some("@every 0s")),
        ("1500ms", Some("@every 1.5s")),
        ("P1D", None),
        ("P1W", None),
        ("P1MT1H", None),
        ("P1Y", None),
    ] {
        let period = Period::parse(text).expect("a period");
        assert_eq!(period.every().as_deref(), expected, "{text}");
    }
}

#[test]
fn moments_are_absolute_or_counted_from_another() {
    let from = at("2026-01-31T12:00:00Z");
    for (text, expected) in [
        ("2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        ("2026-02-01T0:00:00Z", "2026-02-01T00:00:00Z"),
        (
            "2026-02-01T00:00:00.123456789+02:00",
            "2026-01-31T22:00:00.123456789Z",
        ),
        (
            "2026-02-01T00:00:00.1234567899Z",
            "2026-02-01T00:00:00.123456789Z",
        ),
        ("2026-02-01T00:00:00,5-00:30", "2026-02-01T00:30:00.5Z"),
        ("2026-02-01T00:00:00+24:00", "2026-01-31T00:00:00Z"),
        ("2026-02-01T00:00:00+02:60", "2026-01-31T21:00:00Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        ("1h", "2026-01-31T13:00:00Z"),
        ("-1h", "2026-01-31T11:00:00Z"),
        ("0", "2026-01-31T12:00:00Z"),
        ("P1M", "2026-03-03T12:00:00Z"),
        ("R-1/PT1S", "2026-01-31T12:00:01Z"),
    ] {
        assert_eq!(moment(text, from), Ok(at(expected)), "{text}");
    }
    for text in [
        "",
        "5",
        "now",
        "2026-02-01",
        "2026-02-01 00:00:00Z",
        "2026-02-01t00:00:00z",
        "2026-02-01T00:00:00",
        "2026-02-01T24:00:00Z",
        "2026-02-01T23:59:60Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-2-01T00:00:00Z",
        "2026-02-01T00:00:00.Z",
        "2026-02-01T00:00:00+0200",
        "2026-02-01T00:00:00+25:00",
        "2026-02-01T00:00:00+02:61",
        "2026-02-01T00:00:00Z ",
        "+026-02-01T00:00:00Z",
        "2026-02-01T00:00:00Z[UTC]",
        "2026-02-01T00:00:\u{e9}Z",
    ] {
        let error = moment(text, from).expect_err(text).to_string();
        assert_eq!(error, format!("unsupported time/duration format: {text}"));
    }
    let error = moment("R2/PT1S", from).expect_err("it repeats");
    assert_eq!(error.to_string(), "repetitions are not allowed");
}
