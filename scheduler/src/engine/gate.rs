//! One limit, and how many are through.

use std::sync::Arc;

use service::metrics::{Counter, Gauge};

use super::gates::{Limit, Share};
use crate::metrics::Metrics;
use crate::records::target::Target;

#[derive(Debug)]
pub(super) struct Gate {
    /// Told by the last stream that did.
    pub(super) most: u32,
    /// How many streams tell a limit.
    pub(super) streams: usize,
    /// Tells this gate from one that was here before: who went through that
    /// one does not come out of this one.
    id: u64,
    inside: u32,
    inflight: Arc<Gauge>,
    pending: Arc<Gauge>,
    throttled: Arc<Counter>,
}

impl Gate {
    pub(super) fn new(id: u64, metrics: &Metrics, limit: &Limit) -> Self {
        let kind = match &limit.target {
            Target::Actor { kind, .. } => kind,
            Target::App { app_id, .. } => app_id,
        };
        let key = match &limit.name {
            Some(name) => &format!("{kind}:{name}"),
            None => kind,
        };
        Self {
            most: limit.most,
            streams: 0,
            id,
            inside: 0,
            inflight: metrics.inflight.with(&[key]),
            pending: metrics.pending.with(&[key]),
            throttled: metrics.throttled.with(&[key]),
        }
    }

    /// A stream goes; whether it was the last.
    pub(super) fn leave(&mut self) -> bool {
        self.streams = self.streams.saturating_sub(1);
        self.streams == 0
    }

    pub(super) fn is_open(&self, share: Share) -> bool {
        self.inside < share.of(self.most)
    }

    pub(super) fn enter(&mut self) -> u64 {
        self.inside += 1;
        self.inflight.set(f64::from(self.inside));
        self.id
    }

    pub(super) fn exit(&mut self, id: u64) {
        if id == self.id {
            self.inside = self.inside.saturating_sub(1);
            self.inflight.set(f64::from(self.inside));
        }
    }

    pub(super) fn throttled(&self) {
        self.throttled.inc();
        self.pending.inc();
    }

    /// One who waited no longer does.
    pub(super) fn waited(&self) {
        self.pending.add(-1.0);
    }

    /// Everyone who waited or was through is forgotten.
    pub(super) fn reset(&mut self, id: u64) {
        (self.id, self.inside) = (id, 0);
        self.clear();
    }

    /// Its figures show nobody.
    pub(super) fn clear(&self) {
        self.inflight.set(0.0);
        self.pending.set(0.0);
    }
}
