//! How long a search can be.

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Cron, Kind};

/// The days of six years, and the ends of the stretches between changes of clocks.
const MOST_STEPS: u32 = 2_300;

fn field(min: u8, max: u8) -> impl Strategy<Value = String> {
    let any = prop_oneof![Just("*".to_owned()), Just("?".to_owned())];
    let value = (min..=max).prop_map(|value| value.to_string());
    let range = (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    let step = (min..=max, 1..70u8).prop_map(|(from, step)| format!("{from}/{step}"));
    let nothing = Just(",".to_owned());
    prop_oneof![30 => any, 60 => value, 30 => range, 30 => step, 1 => nothing]
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "America/Sao_Paulo",
        "Pacific/Apia",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_search_ends_after_five_years_of_days(
        zone in zone(),
        time in (field(0, 59), field(0, 59), field(0, 23)),
        date in (field(1, 31), field(1, 12), field(0, 6)),
        from in -100_000_000_000..200_000_000_000i64,
    ) {
        let ((second, minute, hour), (day, month, weekday)) = (time, date);
        let text = format!("TZ={zone} {second} {minute} {hour} {day} {month} {weekday}");
        let Kind::Dates(dates) = Cron::parse(&text).expect("a schedule").0 else {
            unreachable!("it is none of @every");
        };
        let from = Timestamp::from_second(from).expect("in range");
        let mut steps = 0;
        dates.next_after(from, &mut steps);
        prop_assert!(steps <= MOST_STEPS, "{} steps: {}", steps, text);
    }
}

#[test]
fn months_and_times_that_do_not_fit_are_not_walked_through() {
    for (text, most) in [
        ("0 0 0 , * *", MOST_STEPS),
        (", * * * * *", MOST_STEPS),
        ("0 0 0 30 2 *", 300),
        ("* * * * * *", 2),
        ("0 0 0 1 1 *", 50),
    ] {
        let Kind::Dates(dates) = Cron::parse(text).expect("a schedule").0 else {
            unreachable!("it is none of @every");
        };
        let mut steps = 0;
        dates.next_after(Timestamp::UNIX_EPOCH, &mut steps);
        assert!(steps <= most, "{text}: {steps}");
    }
}
