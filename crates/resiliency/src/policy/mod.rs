//! One call's policy, and attempts made under it.

mod progress;
mod report;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::{Breaker, Refusal};
use crate::retry::Retry;
use progress::Progress;
pub(crate) use report::Report;

/// What holds for a call: a timeout, retries, a circuit breaker, or none of them.
#[derive(Clone, Default)]
pub struct Policy(Option<Arc<Plan>>);

#[derive(Default)]
pub(crate) struct Plan {
    /// How log lines name it.
    pub(crate) title: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Arc<Retry>>,
    pub(crate) breaker: Option<Arc<Breaker>>,
    pub(crate) report: Option<Report>,
}

impl From<Plan> for Policy {
    fn from(plan: Plan) -> Self {
        Self(Some(Arc::new(plan)))
    }
}

/// How an attempt ended, as policies see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It went well.
    Success,
    /// It failed. Whether it is retried depends on the code, an HTTP status or
    /// a gRPC code; without a code it always is.
    Failure {
        /// 0 to 16 is gRPC's, 100 to 599 is HTTP's.
        code: Option<i32>,
    },
    /// It failed, and another attempt would not help.
    Final,
}

/// Why a run gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The last attempt's own error.
    #[error("{0}")]
    Attempt(E),
    /// The last attempt took longer than the timeout.
    #[error("context deadline exceeded")]
    Timeout,
    /// The circuit breaker is open.
    #[error("circuit breaker is open")]
    Open,
    /// The circuit breaker is half-open and all its trial calls are taken.
    #[error("too many requests")]
    TooManyRequests,
}

impl<E> From<Refusal> for Error<E> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Open => Self::Open,
            Refusal::TooManyRequests => Self::TooManyRequests,
        }
    }
}

impl Policy {
    /// Whether there is no policy at all.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a failed attempt may be followed by another, so that what an
    /// attempt consumes has to be kept.
    pub fn retries(&self) -> bool {
        let retry = self.0.as_ref().and_then(|plan| plan.retry.as_ref());
        retry.is_some_and(|retry| retry.schedule.max_retries != Some(0))
    }

    /// How long each attempt may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.0.as_ref().and_then(|plan| plan.timeout)
    }

    /// Makes attempts: retry( breaker( timeout( attempt ))).
    ///
    /// `classify` judges what an attempt gave. When a failure is not retried,
    /// or not any more, what comes back is what the last attempt gave, be it an
    /// `Ok` that was judged a failure. Dropping the run drops the attempt under
    /// way, and the breaker forgets that it began.
    pub async fn run<T, E, C, A, F>(&self, classify: C, mut attempt: A) -> Result<T, Error<E>>
    where
        C: Fn(&Result<T, E>) -> Verdict,
        A: FnMut() -> F,
        F: Future<Output = Result<T, E>>,
    {
        let Some(plan) = self.0.as_deref() else {
            return attempt().await.map_err(Error::Attempt);
        };
        let mut progress = Progress::begin(plan);
        loop {
            let entry = progress.enter()?;
            let outcome = match plan.timeout {
                Some(timeout) => tokio::time::timeout(timeout, attempt()).await.ok(),
                None => Some(attempt().await),
            };
            let verdict = match &outcome {
                Some(outcome) => classify(outcome),
                None => progress.timed_out(),
            };
            progress.leave(entry, verdict);
            let Some(wait) = progress.next_wait(verdict) else {
                let outcome = outcome.map(|outcome| outcome.map_err(Error::Attempt));
                return outcome.unwrap_or(Err(Error::Timeout));
            };
            drop(outcome);
            tokio::time::sleep(wait).await;
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(plan) = &self.0 else {
            return f.write_str("Policy(none)");
        };
        f.debug_struct("Policy")
            .field("title", &plan.title)
            .field("timeout", &plan.timeout)
            .field("retry", &plan.retry)
            .field("breaker", &plan.breaker.is_some())
            .finish()
    }
}
