use proptest::prelude::*;

use super::*;

const NOW: &str = "2026-01-01T12:00:00Z";

/// What a reminder without a name of interest becomes: due time, schedule, repeats, ttl.
type Times<'a> = (&'a str, Option<&'a str>, Option<u32>, Option<&'a str>);

fn one(reminder: &str) -> Result<Reminder, String> {
    let document = format!("[{reminder}]");
    let mut reminders = read(document.as_bytes(), "Cart").unwrap();
    assert_eq!(reminders.len(), 1);
    reminders.remove(0)
}

/// `times` are fields beside the names; `track` is the record of the last firing.
#[track_caller]
fn check(times: &str, track: &str, expected: Result<Option<Times<'_>>, &str>) {
    let reminder = format!(r#"{{"actorID":"7","actorType":"Cart","name":"close",{times}}}"#);
    let fired = Fired::read(track.as_bytes());
    let job = one(&reminder).and_then(|r| r.job(fired, NOW.parse().unwrap()));
    let job = job.as_ref().map_err(String::as_str).map(|job| {
        job.as_ref().map(|job| {
            let due = job.due_time.as_deref().unwrap();
            let ttl = job.ttl.as_deref();
            (due, job.schedule.as_deref(), job.repeats, ttl)
        })
    });
    assert_eq!(job, expected, "{times} {track}");
}

#[test]
fn a_reminder_that_has_not_fired_is_due_when_it_was_registered_for() {
    let due = "2026-01-01T13:00:00Z";
    check(
        r#""registeredTime":"2026-01-01T14:00:00+01:00","dueTime":"1h","period":"10m""#,
        "",
        Ok(Some((due, Some("@every 10m0s"), None, None))),
    );
    for period in ["", "0s", "PT0S", "0h0m0s0ms"] {
        check(
            &format!(r#""registeredTime":"{due}","dueTime":"1h","period":"{period}""#),
            "",
            Ok(Some((due, None, None, None))),
        );
    }
    for absent in ["null", "{}", "[]"] {
        check(
            &format!(r#""registeredTime":"{due}","period":{absent}"#),
            "",
            Ok(Some((due, None, None, None))),
        );
    }
    check(
        &format!(r#""dueTime":"{due}""#),
        "",
        Ok(Some((due, None, None, None))),
    );
}

#[test]
fn one_that_has_fired_goes_on_from_its_last_time() {
    let registered = r#""registeredTime":"2026-01-01T10:00:00Z","period":"PT3H""#;
    let next = "2026-01-01T14:00:00Z";
    check(
        registered,
        r#"{"lastFiredTime":"2026-01-01T11:00:00Z","repetitionLeft":-1}"#,
        Ok(Some((next, Some("@every 3h0m0s"), None, None))),
    );
    // Older records know no repetitions.
    check(
        registered,
        r#"{"lastFiredTime":"2026-01-01T11:00:00Z"}"#,
        Ok(Some((next, Some("@every 3h0m0s"), None, None))),
    );
    // It is of another reminder that had this name.
    check(
        registered,
        r#"{"lastFiredTime":"2025-12-31T09:59:59Z","repetitionLeft":0}"#,
        Ok(Some((
            "2026-01-01T10:00:00Z",
            Some("@every 3h0m0s"),
            None,
            None,
        ))),
    );
    check(
        registered,
        "no record",
        Ok(Some((
            "2026-01-01T10:00:00Z",
            Some("@every 3h0m0s"),
            None,
            None,
        ))),
    );
    // Records of whole seconds lie before the moment that they are of.
    check(
        r#""registeredTime":"2026-01-01T11:00:00.5Z","period":"3h""#,
        r#"{"lastFiredTime":"2026-01-01T11:00:00Z","repetitionLeft":-1}"#,
        Ok(Some((next, Some("@every 3h0m0s"), None, None))),
    );
}

#[test]
fn it_fires_as_often_as_is_left() {
    let registered = r#""registeredTime":"2026-01-01T11:00:00Z","period":"R5/PT2H""#;
    let (next, every) = ("2026-01-01T13:00:00Z", Some("@every 2h0m0s"));
    let fired = |left: i64| {
        format!(r#"{{"lastFiredTime":"2026-01-01T11:00:00Z","repetitionLeft":{left}}}"#)
    };
    check(
        registered,
        "",
        Ok(Some(("2026-01-01T11:00:00Z", every, Some(5), None))),
    );
    check(
        registered,
        &fired(3),
        Ok(Some((next, every, Some(3), None))),
    );
    check(registered, &fired(0), Ok(None));
    check(
        registered,
        &fired(-1),
        Ok(Some((next, every, Some(5), None))),
    );
    let once = r#""registeredTime":"2026-01-01T11:00:00Z","dueTime":"1h""#;
    check(once, &fired(-1), Ok(None));
}

#[test]
fn times_that_were_missed_come_as_one() {
    let every = Some("@every 1m0s");
    let fired = r#"{"lastFiredTime":"2025-06-01T00:00:30Z","repetitionLeft":9}"#;
    let registered = r#""registeredTime":"2025-06-01T00:00:30Z","period":"R10/PT1M""#;
    let last = "2026-01-01T11:59:30Z";
    check(registered, fired, Ok(Some((last, every, Some(9), None))));
    // What is over after one more time waits until all sidecars have seen its job.
    let late = "2026-01-01T12:00:05Z";
    check(
        r#""registeredTime":"2025-06-01T00:00:30Z""#,
        "",
        Ok(Some((late, None, None, None))),
    );
    check(
        r#""registeredTime":"2025-06-01T00:00:30Z","period":"R1/PT1M""#,
        "",
        Ok(Some((late, every, Some(1), None))),
    );
    let end = "2026-01-01T12:00:01Z";
    check(
        &format!(
            r#""registeredTime":"2025-06-01T00:00:30Z","period":"R1/PT1M","expirationTime":"{end}""#
        ),
        "",
        Ok(Some((end, every, Some(1), Some(end)))),
    );
}

proptest! {
    #[test]
    fn a_time_that_was_missed_is_the_last_that_there_was(
        first in -377_000_000_000i64..1_700_000_000,
        period in 1u64..10_000_000_000,
    ) {
        let now: Timestamp = NOW.parse().unwrap();
        let first = Timestamp::from_second(first).unwrap();
        let times = format!(r#"{{"actorID":"7","name":"a","registeredTime":"{first}","period":"{period}ns"}}"#);
        let job = one(&times).unwrap().job(None, now).unwrap().unwrap();
        let due: Timestamp = job.due_time.unwrap().parse().unwrap();
        let (late, period) = (now.as_nanosecond() - due.as_nanosecond(), i128::from(period));
        prop_assert!((0..period).contains(&late), "{late}");
        let since = due.as_nanosecond() - first.as_nanosecond();
        prop_assert_eq!(since % period, 0);
    }
}

#[test]
fn it_ends_when_it_was_to_end() {
    let with = |registered: &str, period: &str, end: &str| {
        format!(r#""registeredTime":"{registered}","period":"{period}","expirationTime":"{end}""#)
    };
    let (due, end) = ("2026-01-01T12:30:00Z", "2026-01-01T13:00:00Z");
    check(
        &with(due, "1m", end),
        "",
        Ok(Some((due, Some("@every 1m0s"), None, Some(end)))),
    );
    // A job that fires once takes no end.
    check(&with(due, "", end), "", Ok(Some((due, None, None, None))));
    check(&with(end, "1m", end), "", Ok(None));
    check(
        &with("2026-01-01T11:00:00Z", "1m", "2026-01-01T11:59:59Z"),
        "",
        Ok(None),
    );
    check(&with("2026-01-01T11:00:00Z", "", NOW), "", Ok(None));
}

#[test]
fn what_cannot_be_a_job_says_why() {
    for period in ["P1D", "R3/P1W", "P1Y", "P2M"] {
        let why = format!(
            "the period {period} has years, months or days, which the scheduler does not count"
        );
        let times = format!(r#""registeredTime":"{NOW}","period":"{period}""#);
        check(&times, "", Err(&why));
    }
    for (times, why) in [
        (r#""period":"1m""#, "close: registeredTime is missing"),
        (r#""dueTime":"1m""#, "close: registeredTime is missing"),
        (
            r#""registeredTime":"2026-01-01T12:00:00Z","period":"often""#,
            "unsupported duration format: often",
        ),
        (
            r#""registeredTime":"2026-01-01T12:00:00Z","period":"-1m""#,
            "the period -1m is negative",
        ),
        (
            r#""registeredTime":"2026-01-01T12:00:00Z","period":5"#,
            "close: the period 5 is not a text",
        ),
    ] {
        check(times, "", Err(why));
    }
    let of_another = r#"{"actorID":"7","actorType":"Other","name":"close","dueTime":"x"}"#;
    assert_eq!(
        one(of_another).unwrap_err(),
        "close: it is of actor type Other"
    );
    assert!(one(r#"{"actorID":"7","name":"close","registeredTime":"soon"}"#).is_err());
    assert!(one("7").unwrap_err().contains("invalid type"));
}

#[test]
fn one_that_is_damaged_leaves_the_others() {
    let good = format!(r#"{{"actorID":"7","name":"close","registeredTime":"{NOW}"}}"#);
    let document = format!(r#"[{good},{{"name":5}},{good}]"#);
    let reminders = read(document.as_bytes(), "Cart").unwrap();
    let read_well: Vec<bool> = reminders.iter().map(Result::is_ok).collect();
    assert_eq!(read_well, [true, false, true]);
    assert_eq!(read(b"null", "Cart").unwrap(), []);
    assert!(read(b"[{]", "Cart").is_err());
    assert!(read(b"\0pb\xff", "Cart").is_err());
}

#[test]
fn data_stays_as_it_was_written() {
    let data = |data: &str| {
        let reminder = format!(r#"{{"actorID":"7","name":"a","registeredTime":"{NOW}"{data}}}"#);
        let job = one(&reminder).unwrap().job(None, NOW.parse().unwrap());
        let data = job.unwrap().unwrap().data?;
        assert_eq!(
            data.type_url,
            "type.googleapis.com/google.protobuf.BytesValue"
        );
        let json = Vec::<u8>::decode(&data.value[..]).unwrap();
        Some(String::from_utf8(json).unwrap())
    };
    assert_eq!(data(""), None);
    for json in ["null", r#"{"b": 1.0, "a":9007199254740993}"#, r#""aGk=""#] {
        assert_eq!(data(&format!(r#","data":{json}"#)).as_deref(), Some(json));
    }
}

#[test]
fn protobuf_is_read_as_well() {
    let any = prost_types::Any {
        type_url: "type.googleapis.com/google.protobuf.StringValue".into(),
        value: b"\x0a\x02hi".to_vec(),
    };
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let kept = pb::Reminder {
        actor_id: "7".into(),
        actor_type: "Cart".into(),
        name: "close".into(),
        data: Some(any.clone()),
        period: "R2/PT1M".into(),
        registered_time: time(1_893_456_000),
        expiration_time: time(1_893_459_600),
        ..pb::Reminder::default()
    };
    let all = pb::Reminders {
        reminders: vec![kept],
    };
    let document = [b"\0pb".to_vec(), all.encode_to_vec()].concat();
    let reminders = read(&document, "Cart").unwrap();
    let job = reminders[0]
        .as_ref()
        .unwrap()
        .job(None, NOW.parse().unwrap());
    let expected = wire::Job {
        schedule: Some("@every 1m0s".into()),
        repeats: Some(2),
        due_time: Some("2030-01-01T00:00:00Z".into()),
        ttl: Some("2030-01-01T01:00:00Z".into()),
        data: Some(any),
        failure_policy: None,
    };
    assert_eq!(job, Ok(Some(expected)));
    assert_eq!(reminders[0].as_ref().unwrap().track(), "Cart||7||close");
}
