//! What a job is doing, and what a trigger leaves behind.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proto::dapr::scheduler::v1::WatchJobsResponse;
use schedule::{Begin, Plan, Spec};

use super::gates::Passes;
use crate::records::api::FailurePolicy;
use crate::records::api::failure_policy::Policy;
use crate::records::stored::{self, job};
use crate::records::target::{self, Target};
use crate::records::{duration, instant, timestamp};
use crate::store::Record;

/// What a job is doing.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing: it was just added.
    Idle,
    /// It waits for its time.
    Waiting,
    /// It is being read from the store, for the first time or, with a trigger,
    /// after it waited for its gates.
    Loading(Option<Box<Trigger>>),
    /// No stream takes it.
    Staged(Arc<Target>),
    /// It waits for its gates.
    Held(Box<Trigger>),
    /// It is at an app.
    Open(Box<Trigger>),
    /// What came of its trigger is being stored.
    Writing(After),
}

/// What a job does once its counter is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Waits until then, in microseconds since the epoch.
    Wait(i64),
    /// Is gone.
    End,
}

/// A tick that is to be delivered, until its result is there.
#[derive(Debug)]
pub(super) struct Trigger {
    plan: Plan,
    counter: stored::Counter,
    policy: Option<FailurePolicy>,
    /// For when it was scheduled.
    tick: Timestamp,
    pub(super) target: Arc<Target>,
    /// What the job's gate is called beside the type's; empty for none.
    pub(super) name: String,
    pub(super) passes: Passes,
    /// Its number while it waits at a gate.
    pub(super) turn: u64,
}

/// Why a job cannot be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("{0}")]
    Metadata(#[from] prost::DecodeError),
    #[error("{0}")]
    Target(#[from] target::NoTarget),
    #[error("{0}")]
    Plan(#[from] schedule::Error),
    #[error("its key is not that of its metadata")]
    Name,
    #[error("it has neither a start nor a due time")]
    Begin,
}

/// The next tick of a stored job: none when it has run its course.
pub(super) fn next_tick(record: &Record) -> Result<Option<Timestamp>, Unusable> {
    Ok(next(&plan(record)?, record.count()))
}

fn next(plan: &Plan, counter: Option<&stored::Counter>) -> Option<Timestamp> {
    let done = counter.map_or(0, |counter| counter.count);
    let last = counter.and_then(|counter| counter.last_trigger.as_ref());
    plan.next(done, last.map(instant))
}

fn plan(record: &Record) -> Result<Plan, Unusable> {
    let job = record.job.job.as_ref();
    let spec = job.map_or_else(Spec::default, |job| Spec {
        schedule: job.schedule.as_deref(),
        due_time: job.due_time.as_deref(),
        ttl: job.ttl.as_deref(),
        repeats: job.repeats,
    });
    let begin = match record.job.begin.as_ref().ok_or(Unusable::Begin)? {
        job::Begin::Start(start) => Begin::Start(instant(start)),
        job::Begin::DueTime(due_time) => Begin::DueTime(instant(due_time)),
    };
    let expiration = record.job.expiration.as_ref().map(instant);
    Ok(Plan::restore(&spec, begin, expiration)?)
}

impl Trigger {
    /// The next tick of a job as it is stored.
    pub(super) fn new(record: &Record) -> Result<Option<Self>, Unusable> {
        let plan = plan(record)?;
        let Some(tick) = next(&plan, record.count()) else {
            return Ok(None);
        };
        let job = record.job.job.as_ref();
        let metadata = target::metadata(job.and_then(|job| job.metadata.as_ref()))?;
        let counter = record.count().copied();
        Ok(Some(Self {
            plan,
            counter: counter.unwrap_or_else(|| stored::Counter {
                job_partition_id: record.job.partition_id,
                ..stored::Counter::default()
            }),
            policy: job.and_then(|job| job.failure_policy),
            tick,
            target: Arc::new(Target::of(&metadata)?),
            name: metadata.concurrency_key.unwrap_or_default(),
            passes: Passes::default(),
            turn: 0,
        }))
    }

    pub(super) fn tick(&self) -> Timestamp {
        self.tick
    }

    /// The counter after this tick succeeded or failed, and what follows;
    /// `due` is the time of this trigger in microseconds.
    pub(super) fn finish(&self, success: bool, due: i64) -> (stored::Counter, After) {
        if !success && let Some(interval) = self.retry() {
            let counter = stored::Counter {
                attempts: self.counter.attempts.saturating_add(1),
                ..self.counter
            };
            return (counter, After::Wait(due.saturating_add(interval)));
        }
        let counter = stored::Counter {
            count: self.counter.count.saturating_add(1),
            last_trigger: Some(timestamp(self.tick)),
            attempts: 0,
            ..self.counter
        };
        let next = self.plan.next(counter.count, Some(self.tick));
        (
            counter,
            next.map_or(After::End, |at| After::Wait(due_at(at))),
        )
    }

    /// After how many microseconds a failure is tried again; none when it is not.
    fn retry(&self) -> Option<i64> {
        let policy = self.policy.as_ref().and_then(|p| p.policy.as_ref());
        let (interval, most) = match policy {
            Some(Policy::Drop(_)) => return None,
            Some(Policy::Constant(constant)) => {
                let interval = constant.interval.as_ref().map(duration);
                (interval.unwrap_or_default(), constant.max_retries)
            }
            // Every job that was scheduled has a policy.
            None => (SignedDuration::from_secs(1), Some(3)),
        };
        let again = most.is_none_or(|most| self.counter.attempts < most);
        let micros = || i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
        again.then(micros)
    }
}

/// A stored job's trigger as a stream gets it, but for its number.
pub(super) fn message(record: Record) -> Result<WatchJobsResponse, Unusable> {
    let job = record.job.job.unwrap_or_default();
    let metadata = target::metadata(job.metadata.as_ref())?;
    let prefix = target::prefix(&metadata)?;
    let name = record.key.strip_prefix(&prefix).ok_or(Unusable::Name)?;
    Ok(WatchJobsResponse {
        name: name.to_owned(),
        id: 0,
        data: job.payload,
        metadata: Some(metadata),
    })
}

/// Microseconds since the epoch, not before `at`.
pub(super) fn due_at(at: Timestamp) -> i64 {
    let rest = at.subsec_nanosecond() % 1000;
    at.as_microsecond() + i64::from(rest > 0)
}
