//! Days on which clocks leap.

use jiff::tz::TimeZoneDatabase;
use schedule::cron::Cron;

use crate::at;

/// The ticks after `from`, as the clocks of the zone show them.
fn check(zone: &str, fields: &str, from: &str, expected: &[&str]) {
    let cron = Cron::parse(&format!("TZ={zone} {fields}")).expect("a schedule");
    let mut last = at(from);
    let ticks = expected.iter().map(|_| {
        last = cron.next_after(last).expect("a tick");
        let shown = last.in_tz(zone).expect("a zone");
        shown.strftime("%d %H:%M:%S %:z").to_string()
    });
    assert_eq!(ticks.collect::<Vec<_>>(), expected, "{zone} {fields}");
}

#[test]
fn a_time_that_clocks_leap_over_is_left_out_that_day() {
    let berlin = |fields, expected: &[&str]| {
        check("Europe/Berlin", fields, "2026-03-28T12:00:00Z", expected);
    };
    berlin(
        "0 30 2 * * *",
        &["30 02:30:00 +02:00", "31 02:30:00 +02:00"],
    );
    berlin("0 0 2 29 3 *", &["29 02:00:00 +02:00"]);
    berlin("0 0 3 * * *", &["29 03:00:00 +02:00", "30 03:00:00 +02:00"]);
    berlin(
        "0 0 1-3 29 * *",
        &["29 01:00:00 +01:00", "29 03:00:00 +02:00"],
    );
    berlin(
        "59 59 * 29 * *",
        &[
            "29 00:59:59 +01:00",
            "29 01:59:59 +01:00",
            "29 03:59:59 +02:00",
        ],
    );

    let york = |fields, expected: &[&str]| {
        check("America/New_York", fields, "2026-03-07T17:00:00Z", expected);
    };
    york("0 0 2 * * *", &["09 02:00:00 -04:00", "10 02:00:00 -04:00"]);
    york(
        "0 30 1-3 * * *",
        &[
            "08 01:30:00 -05:00",
            "08 03:30:00 -04:00",
            "09 01:30:00 -04:00",
        ],
    );

    // Half an hour only, from 02:00 to 02:30.
    let howe = |fields, expected: &[&str]| {
        check(
            "Australia/Lord_Howe",
            fields,
            "2026-10-03T12:00:00Z",
            expected,
        );
    };
    howe("0 15 2 * * *", &["05 02:15:00 +11:00"]);
    howe(
        "0 45 2 * * *",
        &["04 02:45:00 +11:00", "05 02:45:00 +11:00"],
    );
    howe(
        "0 30 2 * * *",
        &["04 02:30:00 +11:00", "05 02:30:00 +11:00"],
    );
    howe(
        "0 15 3 * * *",
        &["04 03:15:00 +11:00", "05 03:15:00 +11:00"],
    );
    howe(
        "0 */20 1-2 * * *",
        &[
            "04 01:00:00 +10:30",
            "04 01:20:00 +10:30",
            "04 01:40:00 +10:30",
            "04 02:40:00 +11:00",
        ],
    );
}

#[test]
fn a_time_that_clocks_show_twice_comes_twice() {
    let berlin = |fields, expected: &[&str]| {
        check("Europe/Berlin", fields, "2026-10-24T12:00:00Z", expected);
    };
    berlin(
        "0 30 2 * * *",
        &[
            "25 02:30:00 +02:00",
            "25 02:30:00 +01:00",
            "26 02:30:00 +01:00",
        ],
    );
    berlin(
        "0 0 1-3 25 * *",
        &[
            "25 01:00:00 +02:00",
            "25 02:00:00 +02:00",
            "25 02:00:00 +01:00",
            "25 03:00:00 +01:00",
        ],
    );
    berlin("0 0 3 * * *", &["25 03:00:00 +01:00", "26 03:00:00 +01:00"]);

    let york = |fields, expected: &[&str]| {
        check("America/New_York", fields, "2026-10-31T17:00:00Z", expected);
    };
    york(
        "0 0 1 * * *",
        &[
            "01 01:00:00 -04:00",
            "01 01:00:00 -05:00",
            "02 01:00:00 -05:00",
        ],
    );
    york(
        "59 59 1 1 * *",
        &["01 01:59:59 -04:00", "01 01:59:59 -05:00"],
    );
    york("0 0 2 * * *", &["01 02:00:00 -05:00", "02 02:00:00 -05:00"]);

    // Half an hour only, from 01:30 to 02:00.
    let howe = |fields, expected: &[&str]| {
        check(
            "Australia/Lord_Howe",
            fields,
            "2026-04-04T12:00:00Z",
            expected,
        );
    };
    howe(
        "0 45 1 * * *",
        &[
            "05 01:45:00 +11:00",
            "05 01:45:00 +10:30",
            "06 01:45:00 +10:30",
        ],
    );
    howe(
        "0 15 1 * * *",
        &["05 01:15:00 +11:00", "06 01:15:00 +10:30"],
    );
    howe("0 0 2 * * *", &["05 02:00:00 +10:30", "06 02:00:00 +10:30"]);
}

#[test]
fn days_without_a_midnight_and_days_that_never_were_are_nothing_special() {
    let paulo = |fields, expected: &[&str]| {
        check(
            "America/Sao_Paulo",
            fields,
            "2018-11-03T12:00:00Z",
            expected,
        );
    };
    paulo("0 0 0 * * *", &["05 00:00:00 -02:00"]);
    paulo("0 0 1 4 11 *", &["04 01:00:00 -02:00"]);
    paulo(
        "0 0 1 * * SUN",
        &["04 01:00:00 -02:00", "11 01:00:00 -02:00"],
    );
    // Samoa went from 29 December 2011 to the 31st.
    let (zone, from) = ("Pacific/Apia", "2011-12-29T20:00:00Z");
    check(
        zone,
        "0 0 12 * * *",
        from,
        &["29 12:00:00 -10:00", "31 12:00:00 +14:00"],
    );
    check(zone, "0 0 12 30 * *", from, &["30 12:00:00 +14:00"]);
}

#[test]
fn zones_are_known_on_a_machine_without_files_of_them() {
    let bundled = TimeZoneDatabase::bundled();
    assert!(bundled.get("Europe/Berlin").is_ok());
}
