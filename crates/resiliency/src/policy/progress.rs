//! How far a run is: all that does not depend on what an attempt gives.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::{Plan, Verdict};
use crate::backoff::Backoff;
use crate::breaker::{Entry, Refusal};
use crate::duration;
use crate::observer::Labels;

pub(super) struct Progress<'a> {
    plan: &'a Plan,
    backoff: Option<(Backoff, Instant)>,
    attempts: u64,
    timed_out: bool,
}

impl<'a> Progress<'a> {
    pub(super) fn begin(plan: &'a Plan) -> Self {
        if let Some(report) = &plan.report {
            report.begin(plan);
        }
        let retry = plan.retry.as_ref();
        Self {
            plan,
            backoff: retry.map(|retry| (Backoff::new(retry.schedule), Instant::now())),
            attempts: 0,
            timed_out: false,
        }
    }

    /// Begins an attempt, if the breaker lets it pass.
    pub(super) fn enter(&mut self) -> Result<Option<Entry<'a>>, Refusal> {
        self.attempts += 1;
        let breaker = self.plan.breaker.as_deref();
        breaker.map(|breaker| breaker.enter()).transpose()
    }

    /// The verdict on an attempt that took too long.
    pub(super) fn timed_out(&mut self) -> Verdict {
        if !self.timed_out {
            self.timed_out = true;
            self.activated(Labels::TIMEOUT);
        }
        Verdict::Failure { code: None }
    }

    /// Tells the breaker how the attempt ended.
    pub(super) fn leave(&self, entry: Option<Entry<'_>>, verdict: Verdict) {
        let changed = entry.and_then(|entry| entry.end(verdict == Verdict::Success));
        if let (Some(report), Some(state)) = (&self.plan.report, changed) {
            report.breaker_changed(state);
        }
    }

    /// How long to wait before another attempt; `None` when there is none.
    pub(super) fn next_wait(&mut self, verdict: Verdict) -> Option<Duration> {
        let title = &self.plan.title;
        let code = match verdict {
            Verdict::Failure { code } => code,
            Verdict::Final => return None,
            Verdict::Success => {
                if self.attempts > 1 {
                    let attempts = self.attempts;
                    tracing::info!(
                        target: "dapr.runtime",
                        "Recovered processing operation {title} after {attempts} attempts"
                    );
                }
                return None;
            }
        };
        let matching = &self.plan.retry.as_ref()?.matching;
        let (backoff, began) = self.backoff.as_mut().filter(|_| matching.allows(code))?;
        let wait = backoff.next(began.elapsed(), random())?;
        tracing::warn!(
            target: "dapr.runtime",
            "Error processing operation {title}. Retrying in {}…", duration::format(wait)
        );
        if self.attempts == 1 {
            self.activated(Labels::RETRY);
        }
        Some(wait)
    }

    fn activated(&self, policy: &'static str) {
        if let Some(report) = &self.plan.report {
            report.activated(policy);
        }
    }
}

/// A number in `0.0..1.0`; each hasher of the standard library has other keys.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}
