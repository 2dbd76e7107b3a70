//! Reminders as the jobs that they are in the scheduler.

use schedule::Period;

/// When a reminder fires, in the fields of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// `@every ...`; a reminder without a period fires once.
    pub schedule: Option<String>,
    /// As it was given. Without one, the first time is one period from now.
    pub due_time: Option<String>,
    pub ttl: Option<String>,
    /// How often it fires; `None` without a limit.
    pub repeats: Option<u32>,
}

/// Why a reminder cannot be a job: its period cannot be read, or has years, months or
/// days, which a job does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unsupported period format: {0}")]
pub struct Error(String);

impl Times {
    /// From the texts of a caller; empty ones were not given. Due time and lifetime
    /// are for the scheduler to read.
    ///
    /// `R0` and fewer repetitions mean that there is no limit.
    pub fn of_reminder(due_time: &str, period: &str, ttl: &str) -> Result<Self, Error> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut times = Self {
            due_time: given(due_time),
            ttl: given(ttl),
            ..Self::default()
        };
        if !period.is_empty() {
            let refused = || Error(period.to_owned());
            let read = Period::parse(period).map_err(|_| refused())?;
            times.schedule = Some(read.every().ok_or_else(refused)?);
            times.repeats = read
                .repeats
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n > 0);
        }
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(period: &str, expected: Result<(&str, Option<u32>), &str>) {
        let times = Times::of_reminder("", period, "").map_err(|e| e.to_string());
        let expected = expected
            .map(|(schedule, repeats)| Times {
                schedule: Some(schedule.to_owned()),
                repeats,
                ..Times::default()
            })
            .map_err(str::to_owned);
        assert_eq!(times, expected, "{period}");
    }

    #[test]
    fn a_period_becomes_a_schedule() {
        check("1s", Ok(("@every 1s", None)));
        check("0h30m0s", Ok(("@every 30m0s", None)));
        check("PT90M", Ok(("@every 1h30m0s", None)));
        check("R3/PT1S", Ok(("@every 1s", Some(3))));
        check("R0/PT1S", Ok(("@every 1s", None)));
        check("R-1/PT1S", Ok(("@every 1s", None)));
        check("P1D", Err("unsupported period format: P1D"));
        check("P1W", Err("unsupported period format: P1W"));
        check("R2/P1Y", Err("unsupported period format: R2/P1Y"));
        check("often", Err("unsupported period format: often"));
    }

    #[test]
    fn the_other_times_are_left_as_they_are() {
        let times = Times::of_reminder("2026-01-02T03:04:05Z", "", "1h").unwrap();
        let expected = Times {
            due_time: Some("2026-01-02T03:04:05Z".into()),
            ttl: Some("1h".into()),
            ..Times::default()
        };
        assert_eq!(times, expected);
        assert_eq!(Times::of_reminder("", "", "").unwrap(), Times::default());
    }
}
