//! The next tick of a set of wall clocks.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, ToSpan};

use super::Dates;

/// Ticks are looked for in so many years after the present one.
const YEARS: i16 = 5;

impl Dates {
    /// Between two changes of a zone's offset its clocks run evenly, so that each
    /// such stretch is searched by the calendar alone. `steps` counts the days and
    /// stretches that were looked at.
    pub(super) fn next_after(&self, moment: Timestamp, steps: &mut u32) -> Option<Timestamp> {
        let second = moment.as_nanosecond().div_euclid(1_000_000_000) + 1;
        let mut at = Timestamp::from_second(second.try_into().ok()?).ok()?;
        let too_late = self.zone.to_datetime(at).year() + YEARS + 1;
        let horizon = DateTime::new(too_late, 1, 1, 0, 0, 0, 0).unwrap_or(DateTime::MAX);
        loop {
            *steps += 1;
            let offset = self.zone.to_offset(at);
            let change = self.zone.following(at).next().map(|next| next.timestamp());
            let end = change.map_or(DateTime::MAX, |change| offset.to_datetime(change));
            let begin = offset.to_datetime(at);
            match self.first(begin, end.min(horizon), steps) {
                Some(local) => return offset.to_timestamp(local).ok(),
                None if end > horizon => return None,
                None => at = change?,
            }
        }
    }

    /// The first date and time from `begin` to before `end`.
    fn first(&self, begin: DateTime, end: DateTime, steps: &mut u32) -> Option<DateTime> {
        let (mut day, mut time) = (begin.date(), begin.time());
        while day <= end.date() {
            *steps += 1;
            if self.is_day(day)
                && let Some(time) = self.time(time)
            {
                return Some(day.to_datetime(time)).filter(|found| *found < end);
            }
            day = if self.months.has(day.month()) {
                day.tomorrow().ok()?
            } else {
                day.first_of_month().checked_add(1.month()).ok()?
            };
            time = Time::midnight();
        }
        None
    }

    fn is_day(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        let fits = if self.both_days {
            day && weekday
        } else {
            day || weekday
        };
        fits && self.months.has(date.month())
    }

    /// The first time of a day that is `from` or later.
    fn time(&self, from: Time) -> Option<Time> {
        let (hour, minute) = (from.hour(), from.minute());
        if self.hours.has(hour) {
            if self.minutes.has(minute)
                && let Some(second) = self.seconds.at_least(from.second())
            {
                return Time::new(hour, minute, second, 0).ok();
            }
            if let Some(minute) = self.minutes.at_least(minute + 1) {
                return Time::new(hour, minute, self.seconds.first()?, 0).ok();
            }
        }
        let hour = self.hours.at_least(hour + 1)?;
        Time::new(hour, self.minutes.first()?, self.seconds.first()?, 0).ok()
    }

    /// The last tick from `first` to `now`, by halving: what follows a moment is
    /// never earlier than what follows an earlier one.
    pub(super) fn latest(&self, first: Timestamp, now: Timestamp) -> Timestamp {
        let mut found = first;
        let (mut low, mut high) = (first.as_second(), now.as_second());
        while low < high {
            let middle = low + (high - low) / 2;
            let from = Timestamp::from_second(middle).unwrap_or(now);
            match self.next_after(from, &mut 0) {
                Some(tick) if tick <= now => {
                    found = tick;
                    low = tick.as_second();
                }
                _ => high = middle,
            }
        }
        found
    }
}
