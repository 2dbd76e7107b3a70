//! The task behind each queue: it gathers spans into batches, and tries for a
//! while to deliver each of them.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use service::Tasks;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::export::{Export, Failure};
use crate::queue::{Batch, Outlet};
use crate::span::Record;

/// OpenTelemetry's defaults.
const MOST: usize = 512;
const EVERY: Duration = Duration::from_secs(5);
/// Collectors refuse messages of more than 4 MiB.
const BYTES: usize = 2 << 20;

const RETRY_FIRST: Duration = Duration::from_secs(1);
/// A collector that wishes for less gets this.
const RETRY_FLOOR: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(30);
/// How long a batch is tried. Meanwhile the queue fills, and then drops.
const RETRY_FOR: Duration = Duration::from_secs(60);
/// How long what is left may take once the process ends.
const FLUSH: Duration = Duration::from_secs(3);
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Starts the task. It ends when the tasks are asked to end, after what has
/// been queued by then was delivered or three seconds have passed.
pub(crate) fn spawn(exporter: impl Export, outlet: Outlet, tasks: &Tasks) {
    let worker = Worker {
        exporter,
        outlet,
        token: tasks.token(),
        warned: None,
    };
    tasks.spawn("trace exporter", worker.run());
}

struct Worker<E> {
    exporter: E,
    outlet: Outlet,
    token: CancellationToken,
    warned: Option<Instant>,
}

impl<E: Export> Worker<E> {
    async fn run(mut self) {
        let token = self.token.clone();
        let cut = async move {
            token.cancelled().await;
            sleep(FLUSH).await;
        };
        tokio::select! {
            () = self.work() => {}
            () = cut => {}
        }
        // Whatever is left now is lost, and counted by the batch it ends in.
        self.outlet.receiver.close();
        let mut lost = self.outlet.batch();
        while let Ok(record) = self.outlet.receiver.try_recv() {
            lost.add(record);
        }
    }

    async fn work(&mut self) {
        while let Some(batch) = self.gather().await {
            self.deliver(batch).await;
        }
    }

    /// The next batch: full, or as old as it may get, or the rest when the
    /// process ends. `None` when there will be no more.
    async fn gather(&mut self) -> Option<Batch> {
        let first = self.next().await?;
        let due = Instant::now() + EVERY;
        let mut batch = self.outlet.batch();
        batch.add(first);
        while batch.records.len() < MOST && batch.size < BYTES {
            match timeout_at(due, self.next()).await {
                Ok(Some(record)) => batch.add(record),
                Ok(None) | Err(_) => break,
            }
        }
        Some(batch)
    }

    async fn next(&mut self) -> Option<Arc<Record>> {
        tokio::select! {
            biased;
            record = self.outlet.receiver.recv() => return record,
            () = self.token.cancelled() => self.outlet.receiver.close(),
        }
        self.outlet.receiver.recv().await
    }

    async fn deliver(&mut self, batch: Batch) {
        let end = Instant::now() + RETRY_FOR;
        let mut pause = RETRY_FIRST;
        loop {
            let failure = match self.exporter.export(&batch.records).await {
                Ok(rejected) => return batch.delivered(rejected),
                Err(failure) => failure,
            };
            self.warn(&failure);
            let Some(wanted) = failure.retry else { return };
            let wait = wanted.unwrap_or_else(|| jitter(pause));
            let wait = wait.clamp(RETRY_FLOOR, RETRY_LAST);
            if self.token.is_cancelled() || Instant::now() + wait > end {
                return;
            }
            tokio::select! {
                // One more try, so that a collector that is back gets the rest.
                () = self.token.cancelled() => {}
                () = sleep(wait) => {}
            }
            pause *= 2;
        }
    }

    /// One line a minute is enough to know that the collector is away.
    fn warn(&mut self, failure: &Failure) {
        let now = Instant::now();
        if self.warned.is_some_and(|last| now < last + WARN_EVERY) {
            return;
        }
        self.warned = Some(now);
        tracing::warn!(
            target: "dapr.runtime.trace.exporter",
            "cannot export spans to {}: {}; {} lost so far",
            self.exporter,
            failure.reason,
            self.outlet.failures(),
        );
    }
}

/// Between 0.8 and 1.2 times the pause, so that sidecars do not come all at once.
fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.8..1.2))
}
