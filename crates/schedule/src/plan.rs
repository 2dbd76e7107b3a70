//! A job's ticks: when it begins, what follows, when it is over.

use jiff::Timestamp;

use crate::cron::{self, Cron};
use crate::{Error, moment};

/// What a caller asks, as texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spec<'a> {
    /// A cron expression or `@every`, see [`Cron::parse`].
    pub schedule: Option<&'a str>,
    /// The first tick, see [`moment`](crate::moment()).
    pub due_time: Option<&'a str>,
    /// The moment after which nothing fires, counted from the due time if there is
    /// one.
    pub ttl: Option<&'a str>,
    /// The most ticks; without it, and with a schedule, there is no end.
    pub repeats: Option<u32>,
}

/// What the ticks are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The moment of creation: the first tick is the schedule's first after it.
    Start(Timestamp),
    /// The first tick itself.
    DueTime(Timestamp),
}

/// When a job fires.
#[derive(Clone, Debug)]
pub struct Plan {
    cron: Option<Cron>,
    begin: Begin,
    expiration: Option<Timestamp>,
    repeats: Option<u32>,
}

impl Plan {
    /// The plan of a new job. Relative times count from `now`.
    pub fn new(spec: &Spec<'_>, now: Timestamp) -> Result<Self, Error> {
        check(spec)?;
        let cron = spec.schedule.map(Cron::parse).transpose()?;
        let due_time = spec.due_time.map(|text| due_time(text, now)).transpose()?;
        let begin = due_time.map_or(Begin::Start(now), Begin::DueTime);
        let from = due_time.unwrap_or(now);
        let expiration = spec.ttl.map(|text| moment(text, from)).transpose();
        let expiration = expiration.map_err(|_| Error::Ttl)?;
        if due_time.is_some() && expiration.is_some_and(|end| end < from) {
            return Err(Error::TtlBeforeDueTime);
        }
        Self::compiled(spec, cron, begin, expiration)
    }

    /// The plan of a stored job, whose moments are known and whose texts were
    /// checked when it was made.
    ///
    /// Schedules that upstream accepted and cannot serve are refused here too.
    pub fn restore(
        spec: &Spec<'_>,
        begin: Begin,
        expiration: Option<Timestamp>,
    ) -> Result<Self, Error> {
        let cron = spec.schedule.map(Cron::parse).transpose()?;
        if let (None, Begin::Start(_)) = (&cron, begin) {
            return Err(Error::NoTime);
        }
        Self::compiled(spec, cron, begin, expiration)
    }

    fn compiled(
        spec: &Spec<'_>,
        cron: Option<Cron>,
        begin: Begin,
        expiration: Option<Timestamp>,
    ) -> Result<Self, Error> {
        let (Begin::Start(from) | Begin::DueTime(from)) = begin;
        if let (Some(cron), Some(text)) = (&cron, spec.schedule)
            && cron.next_after(from).is_none()
        {
            return Err(cron::Error::Never(text.to_owned()).into());
        }
        Ok(Self {
            cron,
            begin,
            expiration,
            repeats: spec.repeats,
        })
    }

    /// What the ticks are counted from.
    pub fn begin(&self) -> Begin {
        self.begin
    }

    /// The moment after which nothing fires.
    pub fn expiration(&self) -> Option<Timestamp> {
        self.expiration
    }

    /// The scheduled time of the next tick when `done` ticks are finished and the
    /// last of them was scheduled for `last`; `None` when it is over. It may lie in
    /// the past: ticks that were missed come one after another.
    pub fn next(&self, done: u32, last: Option<Timestamp>) -> Option<Timestamp> {
        if self.repeats.is_some_and(|repeats| done >= repeats) {
            return None;
        }
        let next = match (&self.cron, last, self.begin) {
            (Some(cron), Some(last), _) => cron.next_after(last)?,
            (Some(cron), None, Begin::Start(start)) => cron.next_after(start)?,
            (_, None, Begin::DueTime(due_time)) if done == 0 => due_time,
            (Some(cron), None, Begin::DueTime(due_time)) => cron.next_after(due_time)?,
            (None, ..) => return None,
        };
        let expired = self.expiration.is_some_and(|end| next > end);
        (!expired).then_some(next)
    }

    /// The last of the ticks that are due at `now`, for who wants to make one of
    /// those that were missed; `None` when none is due. Those that it stands for
    /// count as one tick of `repeats`.
    pub fn latest_due(
        &self,
        done: u32,
        last: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let next = self.next(done, last).filter(|next| *next <= now)?;
        let until = self.expiration.map_or(now, |end| end.min(now));
        let cron = self.cron.as_ref();
        Some(cron.map_or(next, |cron| cron.latest(next, until)))
    }
}

/// What can be told before any text is read.
fn check(spec: &Spec<'_>) -> Result<(), Error> {
    let scheduled = spec.schedule.is_some();
    if !scheduled && spec.due_time.is_none() {
        return Err(Error::NoTime);
    }
    if !scheduled && spec.repeats.is_some_and(|repeats| repeats > 1) {
        return Err(Error::RepeatsWithoutSchedule);
    }
    if spec.repeats == Some(0) {
        return Err(Error::NoRepeats);
    }
    if !scheduled && spec.ttl.is_some() {
        return Err(Error::TtlWithoutSchedule);
    }
    Ok(())
}

fn due_time(text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    moment(text, now).map_err(|error| match error {
        moment::Error::Repetitions => Error::DueTimeRepeats,
        _ => Error::DueTime,
    })
}
