//! What waits for an exporter: bounded, and never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use service::metrics::{Counter, Registry};
use tokio::sync::mpsc;

use crate::span::Record;

/// OpenTelemetry's default.
const LENGTH: usize = 2048;
/// Long attributes must not turn that length into much memory.
const BYTES: usize = 8 << 20;

/// The end of a queue that spans are put into.
pub(crate) struct Queue {
    sender: mpsc::Sender<Arc<Record>>,
    bytes: Arc<AtomicUsize>,
    full: Arc<Counter>,
    closed: Arc<Counter>,
}

impl Queue {
    /// Puts a span in, or counts that it could not.
    pub(crate) fn push(&self, record: &Arc<Record>) {
        let size = record.size();
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > BYTES {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            self.full.inc();
            return;
        }
        let Err(error) = self.sender.try_send(record.clone()) else {
            return;
        };
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        match error {
            mpsc::error::TrySendError::Full(_) => self.full.inc(),
            mpsc::error::TrySendError::Closed(_) => self.closed.inc(),
        }
    }
}

/// The other end.
pub(crate) struct Outlet {
    pub(crate) receiver: mpsc::Receiver<Arc<Record>>,
    bytes: Arc<AtomicUsize>,
    exported: Arc<Counter>,
    failed: Arc<Counter>,
}

impl Outlet {
    /// An empty batch.
    pub(crate) fn batch(&self) -> Batch {
        Batch {
            records: Vec::new(),
            size: 0,
            bytes: self.bytes.clone(),
            exported: self.exported.clone(),
            failed: self.failed.clone(),
        }
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failed.get()
    }
}

/// Spans on their way out; those that do not arrive are counted when it goes.
pub(crate) struct Batch {
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) size: usize,
    bytes: Arc<AtomicUsize>,
    exported: Arc<Counter>,
    failed: Arc<Counter>,
}

impl Batch {
    pub(crate) fn add(&mut self, record: Arc<Record>) {
        self.size += record.size();
        self.records.push(record);
    }

    /// All arrived, except for those that the collector did not want.
    pub(crate) fn delivered(mut self, rejected: u64) {
        let all = self.records.len() as u64;
        let rejected = rejected.min(all);
        self.exported.add(all - rejected);
        self.failed.add(rejected);
        self.records.clear();
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.failed.add(self.records.len() as u64);
        self.bytes.fetch_sub(self.size, Ordering::Relaxed);
    }
}

/// A queue for this exporter.
pub(crate) fn queue(exporter: &str, registry: &Registry) -> (Queue, Outlet) {
    let exported = registry.counter(
        "tracing_spans_exported_total",
        "The number of spans that an exporter delivered.",
        &["exporter"],
    );
    let dropped = registry.counter(
        "tracing_spans_dropped_total",
        "The number of spans that an exporter lost, by reason: queue_full, export_failed or shutdown.",
        &["exporter", "reason"],
    );
    let (sender, receiver) = mpsc::channel(LENGTH);
    let bytes = Arc::<AtomicUsize>::default();
    let queue = Queue {
        sender,
        bytes: bytes.clone(),
        full: dropped.with(&[exporter, "queue_full"]),
        closed: dropped.with(&[exporter, "shutdown"]),
    };
    let outlet = Outlet {
        receiver,
        bytes,
        exported: exported.with(&[exporter]),
        failed: dropped.with(&[exporter, "export_failed"]),
    };
    (queue, outlet)
}
