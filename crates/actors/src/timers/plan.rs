//! When one timer fires: its texts, read once.

use jiff::Timestamp;
use schedule::{Period, moment, period};

/// Why the times of a timer are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("error parsing timer due time: {0}")]
    DueTime(moment::Error),
    #[error("invalid timer period: parse error: {0}")]
    Period(period::Error),
    #[error("invalid timer period: has zero repetitions")]
    NoRepetitions,
    #[error("error parsing timer TTL: {0}")]
    Ttl(moment::Error),
    #[error("the ttl ends before the timer fires for the first time")]
    Expired,
}

/// When a timer fires next, and how it goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) due: Timestamp,
    /// None for one that fires once.
    period: Option<Period>,
    /// How often it fires, this time included; `None` without a limit.
    left: Option<u32>,
    until: Option<Timestamp>,
}

/// How a timer ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    Expired,
}

impl Plan {
    /// Reads the texts of a caller; empty ones were not given.
    pub(super) fn new(
        due_time: &str,
        period: &str,
        ttl: &str,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let given = |text: &'_ str| !text.is_empty();
        let due = match given(due_time) {
            true => moment(due_time, now).map_err(Error::DueTime)?,
            false => now,
        };
        let period = given(period).then(|| Period::parse(period)).transpose();
        let period = period.map_err(Error::Period)?;
        let left = match period.and_then(|period| period.repeats) {
            Some(0) => return Err(Error::NoRepetitions),
            // One below zero is no limit.
            repeats => repeats.and_then(|n| u32::try_from(n).ok()),
        };
        let until = given(ttl).then(|| moment(ttl, due)).transpose();
        let until = until.map_err(Error::Ttl)?;
        if until.is_some_and(|until| until < due) {
            return Err(Error::Expired);
        }
        // A period of no length would never come to an end.
        let period = period.filter(|period| period.after(due) > due);
        Ok(Self {
            due,
            period,
            left,
            until,
        })
    }

    /// Goes on to the next time, counted from this one.
    pub(super) fn advance(&mut self) -> Result<(), End> {
        let period = self.period.ok_or(End::Completed)?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(End::Completed);
            }
        }
        let next = period.after(self.due);
        // At the end of time there is no later one.
        if next <= self.due || self.until.is_some_and(|until| until < next) {
            return Err(End::Expired);
        }
        self.due = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-31T12:00:00Z";

    /// The seconds after now at which it fires, at most five, and how it ended.
    fn check(
        due_time: &str,
        period: &str,
        ttl: &str,
        expected: Result<(&[i64], Option<End>), &str>,
    ) {
        let now: Timestamp = NOW.parse().unwrap();
        let mut times = Vec::new();
        let mut end = None;
        let plan = Plan::new(due_time, period, ttl, now).map(|mut plan| {
            while times.len() < 5 && end.is_none() {
                times.push(plan.due.duration_since(now).as_secs());
                end = plan.advance().err();
            }
        });
        let got = plan.map(|()| (&*times, end)).map_err(|e| e.to_string());
        assert_eq!(
            got,
            expected.map_err(str::to_owned),
            "{due_time:?} {period:?} {ttl:?}"
        );
    }

    #[test]
    fn a_timer_fires_when_its_texts_say() {
        let completed = Some(End::Completed);
        let expired = Some(End::Expired);
        for (due_time, period, ttl, times, end) in [
            ("", "", "", &[0][..], completed),
            ("3s", "", "", &[3], completed),
            ("2026-01-31T12:00:07.5Z", "", "", &[7], completed),
            ("", "2s", "", &[0, 2, 4, 6, 8], None),
            ("PT1M", "PT2S", "", &[60, 62, 64, 66, 68], None),
            ("", "R3/PT1S", "", &[0, 1, 2], completed),
            ("1s", "R1/PT1S", "", &[1], completed),
            ("", "R-2/PT1S", "", &[0, 1, 2, 3, 4], None),
            // The day that the month does not have runs over.
            (
                "",
                "P1M",
                "PT9999H",
                &[
                    0,
                    31 * 86_400,
                    59 * 86_400 + 3 * 86_400,
                    92 * 86_400,
                    123 * 86_400,
                ],
                None,
            ),
            ("5s", "1s", "2s", &[5, 6, 7], expired),
            ("5s", "1s", "2026-01-31T12:00:06Z", &[5, 6], expired),
            ("", "R5", "", &[0], completed),
            ("", "P5", "", &[0], completed),
            ("", "0s", "", &[0], completed),
            ("", "-1s", "", &[0], completed),
            ("-1s", "2s", "", &[-1, 1, 3, 5, 7], None),
        ] {
            check(due_time, period, ttl, Ok((times, end)));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |due_time, period, ttl, e| check(due_time, period, ttl, Err(e));
        refused(
            "soon",
            "",
            "",
            "error parsing timer due time: unsupported time/duration format: soon",
        );
        refused(
            "R2/PT1S",
            "",
            "",
            "error parsing timer due time: repetitions are not allowed",
        );
        refused(
            "",
            "often",
            "",
            "invalid timer period: parse error: unsupported duration format: often",
        );
        refused(
            "",
            "R0/PT1S",
            "",
            "invalid timer period: has zero repetitions",
        );
        refused(
            "",
            "1s",
            "R2/PT1S",
            "error parsing timer TTL: repetitions are not allowed",
        );
        refused(
            "",
            "1s",
            "-1s",
            "the ttl ends before the timer fires for the first time",
        );
        refused(
            "10s",
            "1s",
            "2026-01-31T12:00:09Z",
            "the ttl ends before the timer fires for the first time",
        );
    }
}
