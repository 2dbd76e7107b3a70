//! Waiting for a condition by polling.

use std::panic::Location;
use std::time::Duration;

use tokio::time::Instant;

/// The usual patience of a test; generous, because only a failing test waits it out.
pub const DEADLINE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(20);

/// Calls `attempt` until it succeeds and returns its value.
///
/// # Panics
/// With the last error and the caller's place when `within` has passed.
#[track_caller]
pub fn eventually<T, F>(within: Duration, mut attempt: F) -> impl Future<Output = T>
where
    F: AsyncFnMut() -> anyhow::Result<T>,
{
    let caller = Location::caller();
    async move {
        let end = Instant::now() + within;
        loop {
            // An attempt that hangs must not outlive the deadline either.
            let error = match tokio::time::timeout_at(end, attempt()).await {
                Ok(Ok(value)) => return value,
                Ok(Err(error)) => error,
                Err(_) => anyhow::anyhow!("the last attempt did not end"),
            };
            if Instant::now() >= end {
                panic!("{caller}: not within {within:?}: {error:#}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_value_of_the_first_success_is_returned() {
        let mut tries = 0;
        let value = eventually(DEADLINE, async || {
            tries += 1;
            anyhow::ensure!(tries == 3, "only {tries} tries");
            Ok(tries)
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "still closed")]
    async fn the_last_error_is_reported_at_the_deadline() {
        eventually(DEADLINE, async || -> anyhow::Result<()> {
            anyhow::bail!("still closed")
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "did not end")]
    async fn an_attempt_that_hangs_is_cut_off() {
        eventually(DEADLINE, async || -> anyhow::Result<()> {
            std::future::pending().await
        })
        .await;
    }
}
