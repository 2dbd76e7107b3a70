//! When calls at a fixed rate are due, told by a thread of its own.
//!
//! tokio's timers count milliseconds, which is longer than most calls take.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The moments at which calls are due, each as it comes; it ends after `span`.
///
/// Nothing holds it up: what is not taken in time waits here and counts as late.
pub(super) fn start(
    rate: u32,
    begin: Instant,
    span: Duration,
) -> anyhow::Result<UnboundedReceiver<Instant>> {
    let (sender, receiver) = unbounded_channel();
    let dues = move || {
        for turn in 0.. {
            let after = Duration::from_secs(1) * turn / rate;
            let due = begin + after;
            wait(due);
            if after >= span || sender.send(due).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("pace".to_owned());
    thread.spawn(dues).context("cannot start a thread")?;
    Ok(receiver)
}

#[allow(clippy::disallowed_methods)] // This thread runs nothing else.
fn wait(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_due_moment_of_the_span_comes_and_none_early() {
        let begin = Instant::now();
        let mut dues = start(1000, begin, Duration::from_millis(20)).unwrap();
        let mut count = 0;
        while let Some(due) = dues.recv().await {
            assert_eq!(due, begin + Duration::from_millis(count));
            assert!(due <= Instant::now());
            count += 1;
        }
        assert_eq!(count, 20);
    }
}
