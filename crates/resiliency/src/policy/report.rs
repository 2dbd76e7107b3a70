//! What a run tells the observer.

use std::sync::Arc;

use super::Plan;
use crate::breaker::State;
use crate::compile::Source;
use crate::observer::{Labels, Observer};
use crate::targets::Direction;

/// The observer, and the labels of one target.
pub(crate) struct Report {
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) source: Arc<Source>,
    pub(crate) direction: Direction,
    pub(crate) target: String,
}

impl Report {
    pub(super) fn begin(&self, plan: &Plan) {
        if plan.timeout.is_some() {
            self.observer.executed(self.labels(Labels::TIMEOUT, ""));
        }
        if plan.retry.is_some() {
            self.observer.executed(self.labels(Labels::RETRY, ""));
        }
        if let Some(breaker) = &plan.breaker {
            let labels = self.labels(Labels::CIRCUIT_BREAKER, breaker.state().as_str());
            self.observer.executed(labels);
            self.observer.breaker_state(labels);
        }
    }

    pub(super) fn activated(&self, policy: &'static str) {
        self.observer.activated(self.labels(policy, ""));
    }

    pub(super) fn breaker_changed(&self, state: State) {
        let labels = self.labels(Labels::CIRCUIT_BREAKER, state.as_str());
        self.observer.activated(labels);
        self.observer.breaker_state(labels);
    }

    fn labels(&self, policy: &'static str, status: &'static str) -> Labels<'_> {
        Labels {
            name: &self.source.name,
            namespace: &self.source.namespace,
            policy,
            flow_direction: match self.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            },
            target: &self.target,
            status,
        }
    }
}
