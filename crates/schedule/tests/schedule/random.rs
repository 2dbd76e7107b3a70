//! Random schedules beside a clock that is looked at every minute, and beside
//! another reading of cron.

use cronexpr::MakeTimestamp;
use jiff::{Timestamp, ToSpan, Zoned};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use schedule::cron::Cron;
use schedule::{Period, Plan, Spec, moment};

/// A field, and the values that it names.
#[derive(Clone, Debug)]
struct Field {
    text: String,
    values: Vec<i8>,
}

/// `*`, or a list of values.
fn field(min: i8, max: i8, most: usize) -> impl Strategy<Value = Field> {
    let all: Vec<i8> = (min..=max).collect();
    let star = Field {
        text: "*".into(),
        values: all.clone(),
    };
    let list = subsequence(all, 1..=most).prop_map(|values| Field {
        text: values
            .iter()
            .map(i8::to_string)
            .collect::<Vec<_>>()
            .join(","),
        values,
    });
    prop_oneof![Just(star), list]
}

/// Minute, hour, day, month and weekday.
type Fields = (Field, Field, Field, Field, Field);

fn fields() -> impl Strategy<Value = Fields> {
    (
        field(0, 59, 20),
        field(0, 23, 12),
        field(1, 31, 12),
        field(1, 12, 11),
        field(0, 6, 6),
    )
}

fn text((minute, hour, day, month, weekday): &Fields) -> String {
    let fields = [minute, hour, day, month, weekday].map(|field| field.text.as_str());
    fields.join(" ")
}

/// A clock shows what the fields ask for.
fn fits((minute, hour, day, month, weekday): &Fields, shown: &Zoned) -> bool {
    let has_day = day.values.contains(&shown.day());
    let of_week = shown.weekday().to_sunday_zero_offset();
    let has_weekday = weekday.values.contains(&of_week);
    let has_date = if day.text == "*" || weekday.text == "*" {
        has_day && has_weekday
    } else {
        has_day || has_weekday
    };
    has_date
        && month.values.contains(&shown.month())
        && hour.values.contains(&shown.hour())
        && minute.values.contains(&shown.minute())
        && shown.second() == 0
}

fn zone() -> impl Strategy<Value = &'static str> {
    select(vec![
        "UTC",
        "Asia/Tokyo",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
    ])
}

/// Moments shortly before clocks leap in one of the zones, and others.
fn from() -> impl Strategy<Value = Timestamp> {
    let leaps = [
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2026-10-03T15:30:00Z",
        "2026-04-04T15:00:00Z",
    ];
    let leaps: Vec<Timestamp> = leaps.into_iter().map(crate::at).collect();
    let near = (select(leaps), 0..20_000i64).prop_map(|(leap, s)| leap - s.seconds());
    let far = (0..4_000_000_000i64).prop_map(|s| Timestamp::from_second(s).expect("in range"));
    prop_oneof![near, far]
}

proptest! {
    #[test]
    fn a_tick_is_the_first_minute_whose_clock_fits(fields in fields(), zone in zone(), from in from()) {
        let cron = Cron::parse(&format!("TZ={zone} 0 {}", text(&fields))).expect("a schedule");
        let tick = cron.next_after(from);
        let clock = from.in_tz(zone).expect("a zone").time_zone().clone();
        let minute = from.as_second().div_euclid(60) + 1;
        // Two days are enough to pass any leap.
        let seen = (minute..minute + 2_880).map(|minute| {
            Timestamp::from_second(minute * 60).expect("in range")
        });
        let mut seen = seen.take_while(|at| tick.is_none_or(|tick| *at <= tick));
        let fitting = seen.find(|at| fits(&fields, &at.to_zoned(clock.clone())));
        match (fitting, tick) {
            (Some(fitting), _) => prop_assert_eq!(Some(fitting), tick),
            (None, Some(tick)) => prop_assert!(tick > from + 2_879.minutes()),
            (None, None) => {}
        }
    }

    #[test]
    fn ticks_increase_and_fit(fields in fields(), zone in zone(), from in from()) {
        let cron = Cron::parse(&format!("TZ={zone} 0 {}", text(&fields))).expect("a schedule");
        let mut last = from;
        for _ in 0..20 {
            let Some(tick) = cron.next_after(last) else {
                break;
            };
            prop_assert!(tick > last);
            prop_assert!(fits(&fields, &tick.in_tz(zone).expect("a zone")), "{}", tick);
            last = tick;
        }
    }

    #[test]
    fn another_implementation_finds_the_same_ticks(
        fields in fields(),
        zone in select(vec!["UTC", "Asia/Tokyo", "Asia/Kolkata"]),
        from in from(),
    ) {
        let ours = Cron::parse(&format!("TZ={zone} 0 {}", text(&fields))).expect("a schedule");
        let theirs = cronexpr::parse_crontab(&format!("{} {zone}", text(&fields)));
        let theirs = theirs.expect("a schedule").find_next(MakeTimestamp(from)).ok();
        let (ours, theirs) = (ours.next_after(from), theirs.map(|tick| tick.timestamp()));
        // It gives up after four years.
        if theirs.is_some() {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn the_latest_tick_is_the_last_of_those_that_are_due(
        fields in fields(),
        every in 1..10_000u32,
        cron: bool,
        from in from(),
        wait in 0..200_000i64,
    ) {
        let schedule = if cron {
            format!("0 {}", text(&fields))
        } else {
            format!("@every {every}s")
        };
        let spec = Spec { schedule: Some(&schedule), ..Spec::default() };
        let Ok(plan) = Plan::new(&spec, from) else {
            return Ok(());
        };
        let now = from + wait.seconds();
        let mut due = None;
        // A long chain is cut: the rest is told by the property itself.
        let mut last = plan.latest_due(0, None, now).map(|tick| tick - 20.seconds());
        last = last.filter(|_| cron).map(|tick| tick.max(from));
        while let Some(tick) = plan.next(0, last).filter(|tick| *tick <= now) {
            due = Some(tick);
            last = due;
        }
        prop_assert_eq!(plan.latest_due(0, None, now), due);
    }

    #[test]
    fn any_text_is_answered(
        text in "(TZ=[A-Za-z/]{0,9} )?[-*?/,0-9a-z ]{0,40}|@[a-z]{0,6} ?[-0-9hms.]{0,20}|\\PC{0,60}",
        from in from(),
    ) {
        if let Ok(cron) = Cron::parse(&text) {
            prop_assert!(cron.next_after(from).is_none_or(|tick| tick > from));
        }
        let _ = moment(&text, from);
    }

    #[test]
    fn any_period_is_answered_and_its_schedule_is_one(
        text in "(R[-+0-9]{0,11}/?)?P?[-0-9YMWDTHSx]{0,24}",
        from in from(),
    ) {
        if let Ok(period) = Period::parse(&text) {
            let after = period.after(from);
            let forward = !text.contains('-');
            prop_assert!(after >= from || !forward, "{} {}", text, after);
            if let Some(every) = period.every().filter(|_| period.duration.is_positive()) {
                let cron = Cron::parse(&every).expect("a schedule");
                prop_assert_eq!(cron.next_after(from), Some(after).filter(|at| *at < Timestamp::MAX));
            }
        }
    }
}

#[test]
fn long_texts_are_refused() {
    let long = "0,".repeat(600);
    let error = Cron::parse(&format!("{long} * * * * *")).expect_err("long");
    assert_eq!(error.to_string(), "schedule is longer than 1024 bytes");
    assert!(Period::parse(&format!("PT{}1S", "0".repeat(1100))).is_err());
    assert!(
        moment(
            &format!("2026-01-01T00:00:00.{}Z", "0".repeat(1100)),
            Timestamp::UNIX_EPOCH
        )
        .is_err()
    );
    // All values of all fields.
    let list = |values: std::ops::RangeInclusive<u8>| {
        values
            .map(|value| value.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    let fields = [0..=59, 0..=59, 0..=23, 1..=31, 1..=12, 0..=6].map(list);
    assert!(Cron::parse(&fields.join(" ")).is_ok());
}
