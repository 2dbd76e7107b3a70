//! Schedules: cron expressions with seconds, and their short forms.

mod field;
mod parse;
mod search;
#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use field::Set;
pub use parse::Error;

/// When something fires again and again.
#[derive(Clone, Debug)]
pub struct Cron(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// `@every`: longer than zero.
    Every(SignedDuration),
    Dates(Dates),
}

/// Wall clocks on which something fires, in a zone.
#[derive(Clone, Debug)]
struct Dates {
    seconds: Set,
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
    /// A day has to be in both sets, not in one of them.
    both_days: bool,
    zone: TimeZone,
}

impl Cron {
    /// Reads `second minute hour day month weekday`, `@daily` and its like, or
    /// `@every 1h30m`; in UTC, or in the zone of a prefix `TZ=Europe/Berlin `.
    ///
    /// A duration of zero or less is refused.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse::parse(text)
    }

    /// The first tick after a moment; `None` when there is none within five years,
    /// or before the end of what a [`Timestamp`] can be.
    ///
    /// It fires at every whole second at which a clock of its zone shows what it
    /// asks for: not on a day when the clocks leap over that time, and twice on a
    /// day when they show it twice. So does upstream.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Every(pause) => moment.checked_add(*pause).ok(),
            Kind::Dates(dates) => dates.next_after(moment, &mut 0),
        }
    }

    /// The last tick up to `now` of those that follow the tick `first`, or itself.
    pub(crate) fn latest(&self, first: Timestamp, now: Timestamp) -> Timestamp {
        match &self.0 {
            Kind::Every(pause) => {
                let passed = now.as_nanosecond() - first.as_nanosecond();
                let beyond = passed.max(0) % pause.as_nanos();
                let last = now.max(first).as_nanosecond() - beyond;
                Timestamp::from_nanosecond(last).unwrap_or(first)
            }
            Kind::Dates(dates) => dates.latest(first, now),
        }
    }
}
