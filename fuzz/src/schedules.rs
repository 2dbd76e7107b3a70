//! Schedules, durations and moments, and the jobs that are made of them.

use jiff::Timestamp;
use schedule::cron::Cron;
use schedule::{Begin, Period, Plan, Spec, go, moment};

/// Lines: a schedule, a due time, a lifetime and a number of repeats, of which
/// empty ones are left out.
pub fn schedules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = Timestamp::from_second(1_900_000_000).expect("a moment");
    for line in text.lines().take(8) {
        each(line, now);
    }
    let mut lines = text
        .lines()
        .map(|line| Some(line).filter(|l| !l.is_empty()));
    let mut line = || lines.next().flatten();
    let spec = Spec {
        schedule: line(),
        due_time: line(),
        ttl: line(),
        repeats: line().and_then(|text| text.parse().ok()),
    };
    if let Ok(plan) = Plan::new(&spec, now) {
        job(&spec, &plan, now);
    }
}

/// One text as everything that it could be.
fn each(text: &str, now: Timestamp) {
    if let Ok(duration) = go::parse(text) {
        assert_eq!(go::parse(&go::format(duration)), Ok(duration), "{text}");
    }
    if let Ok(period) = Period::parse(text) {
        let after = period.after(now);
        if period.repeats.is_none() {
            assert_eq!(moment(text, now), Ok(after), "{text}");
        }
        if let Some(every) = period.every() {
            let positive = period.duration.is_positive();
            assert_eq!(Cron::parse(&every).is_ok(), positive, "{every}");
        }
    }
    if let Ok(cron) = Cron::parse(text) {
        for from in [Timestamp::MIN, Timestamp::UNIX_EPOCH, now, Timestamp::MAX] {
            assert!(cron.next_after(from).is_none_or(|tick| tick > from));
        }
    }
}

fn job(spec: &Spec<'_>, plan: &Plan, now: Timestamp) {
    let restored = Plan::restore(spec, plan.begin(), plan.expiration()).expect("it was accepted");
    let mut last = None;
    for done in 0..4 {
        let next = plan.next(done, last);
        assert_eq!(restored.next(done, last), next);
        let Some(tick) = next else {
            break;
        };
        match (last, plan.begin()) {
            (Some(last), _) => assert!(tick > last),
            (None, Begin::Start(start)) => assert!(tick > start),
            (None, Begin::DueTime(due_time)) => assert_eq!(tick, due_time),
        }
        assert!(plan.expiration().is_none_or(|end| tick <= end));
        assert!(spec.repeats.is_none_or(|repeats| done < repeats));
        let due = plan.latest_due(done, last, now);
        assert_eq!(due.is_some(), tick <= now);
        assert!(due.is_none_or(|due| (tick..=now).contains(&due)));
        last = Some(tick);
    }
}
