//! Jobs: what is refused, and what follows what.

use jiff::Timestamp;
use schedule::{Begin, Plan, Spec};

use crate::at;

const NOW: &str = "2026-01-01T00:00:00Z";

fn plan(spec: Spec<'_>) -> Plan {
    Plan::new(&spec, at(NOW)).expect("a plan")
}

/// All ticks, at most ten.
fn ticks(plan: &Plan) -> Vec<Timestamp> {
    let mut ticks = Vec::new();
    while let Some(next) = plan.next(ticks.len() as u32, ticks.last().copied()) {
        ticks.push(next);
        if ticks.len() == 10 {
            break;
        }
    }
    ticks
}

fn times(plan: &Plan) -> String {
    let times = ticks(plan);
    let times = times.iter().map(|tick| tick.strftime("%T").to_string());
    times.collect::<Vec<_>>().join(" ")
}

const NONE: Spec<'static> = Spec {
    schedule: None,
    due_time: None,
    ttl: None,
    repeats: None,
};
const DUE: Spec<'static> = Spec {
    due_time: Some("5s"),
    ..NONE
};
const EVERY: Spec<'static> = Spec {
    schedule: Some("@every 10s"),
    ..NONE
};

#[test]
fn jobs_are_refused_with_upstreams_words_in_its_order() {
    let due = |text| Spec {
        due_time: Some(text),
        ..EVERY
    };
    let ttl = |text| Spec {
        ttl: Some(text),
        ..EVERY
    };
    let repeats = |spec, repeats| Spec {
        repeats: Some(repeats),
        ..spec
    };
    let bad = Spec {
        schedule: Some("bad"),
        ..NONE
    };
    for (spec, expected) in [
        (
            repeats(NONE, 0),
            "job must have either a due time or a schedule",
        ),
        (repeats(DUE, 2), "job must have a schedule to repeat"),
        (repeats(DUE, 0), "defined repeats must be greater than 0"),
        (repeats(bad, 0), "defined repeats must be greater than 0"),
        (
            Spec {
                due_time: Some("x"),
                ttl: Some("x"),
                ..NONE
            },
            "job must have a schedule to have a ttl",
        ),
        (
            Spec {
                due_time: Some("x"),
                ..bad
            },
            "expected exactly 6 fields, found 1: [bad]",
        ),
        (
            Spec {
                schedule: Some("0 0 0 30 2 *"),
                ..NONE
            },
            "schedule has no date within five years: 0 0 0 30 2 *",
        ),
        (
            Spec {
                ttl: Some("x"),
                ..due("x")
            },
            "due time format not recognized",
        ),
        (due(""), "due time format not recognized"),
        (due("R2/PT1S"), "repeats not supported for due time"),
        (ttl("x"), "ttl format not recognized"),
        (ttl("R2/PT1S"), "ttl format not recognized"),
        (
            Spec {
                ttl: Some("-1ns"),
                ..due("1h")
            },
            "ttl must be greater than due time",
        ),
        (
            Spec {
                ttl: Some("2026-01-01T00:59:59Z"),
                ..due("1h")
            },
            "ttl must be greater than due time",
        ),
    ] {
        let error = Plan::new(&spec, at(NOW)).expect_err(expected);
        assert_eq!(error.to_string(), expected, "{spec:?}");
        let of_job = error.of_job();
        assert_eq!(of_job, format!("job failed validation: {expected}"));
    }
}

#[test]
fn ticks_follow_from_the_scheduled_time_of_the_last_one() {
    let ten = "00:00:10 00:00:20 00:00:30";
    for (spec, expected) in [
        (DUE, "00:00:05"),
        (
            Spec {
                repeats: Some(1),
                ..DUE
            },
            "00:00:05",
        ),
        (
            Spec {
                due_time: Some("-5s"),
                ..NONE
            },
            "23:59:55",
        ),
        (
            Spec {
                due_time: Some("PT1H"),
                ..NONE
            },
            "01:00:00",
        ),
        (
            Spec {
                due_time: Some("2026-01-01T02:00:00+01:00"),
                ..NONE
            },
            "01:00:00",
        ),
        (
            Spec {
                repeats: Some(3),
                ..EVERY
            },
            ten,
        ),
        (
            Spec {
                ttl: Some("30s"),
                ..EVERY
            },
            ten,
        ),
        (
            Spec {
                ttl: Some("39s"),
                ..EVERY
            },
            ten,
        ),
        (
            Spec {
                ttl: Some("2s"),
                ..EVERY
            },
            "",
        ),
        (
            Spec {
                ttl: Some("-2s"),
                ..EVERY
            },
            "",
        ),
        (
            Spec {
                due_time: Some("5s"),
                ttl: Some("30s"),
                ..EVERY
            },
            "00:00:05 00:00:15 00:00:25 00:00:35",
        ),
        (
            Spec {
                due_time: Some("5s"),
                ttl: Some("0s"),
                ..EVERY
            },
            "00:00:05",
        ),
        (
            Spec {
                schedule: Some("0 30 * * * *"),
                due_time: Some("5s"),
                repeats: Some(3),
                ..NONE
            },
            "00:00:05 00:30:00 01:30:00",
        ),
    ] {
        assert_eq!(times(&plan(spec)), expected, "{spec:?}");
    }
}

#[test]
fn a_restored_plan_goes_on_where_it_was() {
    let spec = Spec {
        schedule: Some("0 */15 * * * *"),
        due_time: Some("20m"),
        ttl: Some("1h"),
        repeats: Some(4),
    };
    let made = plan(spec);
    assert_eq!(made.begin(), Begin::DueTime(at("2026-01-01T00:20:00Z")));
    assert_eq!(made.expiration(), Some(at("2026-01-01T01:20:00Z")));
    let restored = Plan::restore(&spec, made.begin(), made.expiration()).expect("a plan");
    assert_eq!(ticks(&restored), ticks(&made));
    assert_eq!(times(&restored), "00:20:00 00:30:00 00:45:00 01:00:00");
    let last = Some(at("2026-01-01T00:30:00Z"));
    assert_eq!(restored.next(2, last), Some(at("2026-01-01T00:45:00Z")));
}

#[test]
fn what_is_done_does_not_come_again_without_its_time() {
    assert_eq!(plan(DUE).next(1, None), None);
    let begun = plan(Spec {
        due_time: Some("5s"),
        ..EVERY
    });
    assert_eq!(begun.next(1, None), Some(at("2026-01-01T00:00:15Z")));
}

#[test]
fn a_stored_job_that_cannot_be_served_is_an_error() {
    let begin = Begin::Start(at(NOW));
    for (schedule, expected) in [
        (
            Some("@every 0s"),
            "duration must be longer than zero: @every 0s",
        ),
        (
            Some("@every -1s"),
            "duration must be longer than zero: @every -1s",
        ),
        (
            Some("0 0 0 30 2 *"),
            "schedule has no date within five years: 0 0 0 30 2 *",
        ),
        (
            Some(", * * * * *"),
            "schedule has no date within five years: , * * * * *",
        ),
        (None, "job must have either a due time or a schedule"),
    ] {
        let spec = Spec { schedule, ..NONE };
        let error = Plan::restore(&spec, begin, None).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn missed_ticks_can_be_made_one() {
    let now = at("2026-01-01T06:00:07Z");
    let cron = |schedule| Spec {
        schedule: Some(schedule),
        ..NONE
    };
    for (spec, expected) in [
        (EVERY, Some("06:00:00")),
        (cron("* * * * * *"), Some("06:00:07")),
        (cron("0 0 * * * *"), Some("06:00:00")),
        (cron("0 30 2-4 * * *"), Some("04:30:00")),
        (cron("0 30 7 * * *"), None),
        (
            Spec {
                due_time: Some("1h"),
                ..NONE
            },
            Some("01:00:00"),
        ),
        (
            Spec {
                due_time: Some("7h"),
                ..NONE
            },
            None,
        ),
        (
            Spec {
                due_time: Some("7h"),
                ..EVERY
            },
            None,
        ),
        (
            Spec {
                due_time: Some("6h1ms"),
                ..cron("@daily")
            },
            Some("06:00:00"),
        ),
        (
            Spec {
                ttl: Some("1h"),
                ..EVERY
            },
            Some("01:00:00"),
        ),
        (
            Spec {
                ttl: Some("1h"),
                ..cron("0 */15 * * * *")
            },
            Some("01:00:00"),
        ),
    ] {
        let due = plan(spec).latest_due(0, None, now);
        let due = due.map(|tick| tick.strftime("%T").to_string());
        assert_eq!(due.as_deref(), expected, "{spec:?}");
    }
    let once = plan(Spec {
        repeats: Some(1),
        ..EVERY
    });
    let last = once.latest_due(0, None, now);
    assert_eq!(once.latest_due(1, last, now), None);
}
