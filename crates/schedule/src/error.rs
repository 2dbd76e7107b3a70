//! Why a job is refused.

use crate::cron;

/// What is wrong with a [`Spec`](crate::Spec), worded as upstream words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It says neither when nor how often.
    #[error("job must have either a due time or a schedule")]
    NoTime,
    /// More than one tick, and no schedule to tell them.
    #[error("job must have a schedule to repeat")]
    RepeatsWithoutSchedule,
    /// Zero ticks.
    #[error("defined repeats must be greater than 0")]
    NoRepeats,
    /// A lifetime of something that fires once.
    #[error("job must have a schedule to have a ttl")]
    TtlWithoutSchedule,
    /// The schedule is none.
    #[error(transparent)]
    Schedule(#[from] cron::Error),
    /// The due time is neither a moment nor a duration.
    #[error("due time format not recognized")]
    DueTime,
    /// The due time is a duration with repetitions.
    #[error("repeats not supported for due time")]
    DueTimeRepeats,
    /// The lifetime is neither a moment nor a duration, or has repetitions.
    #[error("ttl format not recognized")]
    Ttl,
    /// It would end before it begins.
    #[error("ttl must be greater than due time")]
    TtlBeforeDueTime,
}

impl Error {
    /// The text as a caller of the scheduler sees it, with the prefix of all
    /// refusals.
    pub fn of_job(&self) -> String {
        format!("job failed validation: {self}")
    }
}
