//! The clock that validity and renewal go by.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::sync::watch;

/// The system's time plus what a test moved it by; clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    shift: Arc<watch::Sender<Duration>>,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            shift: Arc::new(watch::Sender::new(Duration::ZERO)),
        }
    }
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        let (now, shift) = (Timestamp::now(), *self.shift.borrow());
        now.checked_add(shift).unwrap_or(Timestamp::MAX)
    }

    /// Moves the time forward and wakes whoever sleeps: tests pass hours in no time.
    pub fn advance(&self, by: Duration) {
        self.shift.send_modify(|shift| *shift += by);
    }

    /// Waits for a moment of this clock.
    pub async fn sleep_until(&self, at: Timestamp) {
        let mut shifts = self.shift.subscribe();
        loop {
            let Some(left) = until(self.now(), at) else {
                return;
            };
            // The sender is a field of this clock, so `changed` cannot fail.
            let _ = tokio::time::timeout(left, shifts.changed()).await;
        }
    }

    /// Waits as long on this clock.
    pub async fn sleep(&self, duration: Duration) {
        let at = self.now().checked_add(duration).unwrap_or(Timestamp::MAX);
        self.sleep_until(at).await;
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = Duration::try_from(self.now().as_duration()).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// The time from one moment to a later one.
pub(crate) fn until(from: Timestamp, to: Timestamp) -> Option<Duration> {
    let left = Duration::try_from(to.duration_since(from)).ok()?;
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_moved() {
        let clock = Clock::default();
        let (start, day) = (clock.now(), Duration::from_secs(86_400));
        let sleeper = clock.clone();
        let sleep = sleeper.sleep(day);
        tokio::pin!(sleep);
        tokio::select! {
            biased;
            () = &mut sleep => panic!("too early"),
            () = tokio::task::yield_now() => {}
        }
        clock.advance(day);
        sleep.await;
        assert!(clock.now().duration_since(start) >= day.try_into().unwrap());
    }
}
