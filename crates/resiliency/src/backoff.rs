//! How long to wait before the next attempt: a pure machine.

use std::time::Duration;

/// An exponential wait lies within this share around its interval.
pub const JITTER: f64 = 0.5;
/// Each exponential interval is this many times the one before.
pub const MULTIPLIER: f64 = 1.5;
/// The first exponential interval.
pub const FIRST_INTERVAL: Duration = Duration::from_millis(500);

/// The shape of the waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The same wait each time.
    Constant(Duration),
    /// Growing waits with jitter, from [`FIRST_INTERVAL`].
    Exponential {
        /// No interval is longer; jitter may add half of it.
        max_interval: Duration,
        /// No wait ends later than this after the first attempt began.
        max_elapsed: Duration,
    },
}

/// A schedule of waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How long each wait is.
    pub shape: Shape,
    /// How many waits there are; `None` means no limit.
    pub max_retries: Option<u64>,
}

/// One walk through a [`Schedule`].
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    schedule: Schedule,
    retries: u64,
    interval: Duration,
}

impl Backoff {
    /// A walk that has not waited yet.
    pub fn new(schedule: Schedule) -> Self {
        let interval = match schedule.shape {
            Shape::Constant(wait) => wait,
            Shape::Exponential { .. } => FIRST_INTERVAL,
        };
        Self {
            schedule,
            retries: 0,
            interval,
        }
    }

    /// The next wait, or `None` when it is time to give up. `elapsed` is the
    /// time since the first attempt began, `random` a number in `0.0..1.0`.
    pub fn next(&mut self, elapsed: Duration, random: f64) -> Option<Duration> {
        if self
            .schedule
            .max_retries
            .is_some_and(|max| self.retries >= max)
        {
            return None;
        }
        self.retries += 1;
        match self.schedule.shape {
            Shape::Constant(wait) => Some(wait),
            Shape::Exponential {
                max_interval,
                max_elapsed,
            } => {
                let wait = self.interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * random);
                // The cap holds from the second interval on, as upstream has it.
                self.interval = self.interval.mul_f64(MULTIPLIER).min(max_interval);
                (elapsed.saturating_add(wait) <= max_elapsed).then_some(wait)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn waits(shape: Shape, max_retries: Option<u64>, random: f64, count: usize) -> Vec<u64> {
        let mut backoff = Backoff::new(Schedule { shape, max_retries });
        let mut elapsed = Duration::ZERO;
        std::iter::from_fn(|| {
            let wait = backoff.next(elapsed, random)?;
            elapsed += wait;
            Some(wait.as_millis() as u64)
        })
        .take(count)
        .collect()
    }

    #[test]
    fn waits_follow_their_shape() {
        let constant = Shape::Constant(Duration::from_millis(20));
        let exponential = |max_interval, max_elapsed| Shape::Exponential {
            max_interval: Duration::from_millis(max_interval),
            max_elapsed: Duration::from_millis(max_elapsed),
        };
        let long = exponential(60_000, 900_000);
        for (shape, max_retries, random, expected) in [
            (constant, None, 0.5, vec![20; 6]),
            (constant, Some(2), 0.5, vec![20, 20]),
            (constant, Some(0), 0.5, vec![]),
            (long, None, 0.5, vec![500, 750, 1125, 1687, 2531, 3796]),
            (long, None, 0.0, vec![250, 375, 562, 843, 1265, 1898]),
            (long, Some(3), 0.5, vec![500, 750, 1125]),
            (
                exponential(1_000, 10_000),
                None,
                0.5,
                vec![500, 750, 1000, 1000, 1000, 1000],
            ),
            (exponential(60_000, 1_250), None, 0.5, vec![500, 750]),
            (exponential(60_000, 1_249), None, 0.5, vec![500]),
        ] {
            assert_eq!(
                waits(shape, max_retries, random, 6),
                expected,
                "{shape:?} {max_retries:?} {random}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_wait_is_within_its_bounds(
            max_interval in 0u64..100_000,
            max_elapsed in 0u64..1_000_000,
            max_retries in proptest::option::of(0u64..50),
            steps in proptest::collection::vec((0.0..1.0f64, 0u64..5_000), 0..80),
        ) {
            let (max_interval, max_elapsed) =
                (Duration::from_millis(max_interval), Duration::from_millis(max_elapsed));
            let shape = Shape::Exponential { max_interval, max_elapsed };
            let mut backoff = Backoff::new(Schedule { shape, max_retries });
            let mut elapsed = Duration::ZERO;
            let mut count = 0u64;
            let mut done = false;
            for (random, busy) in steps {
                elapsed += Duration::from_millis(busy);
                let Some(wait) = backoff.next(elapsed, random) else {
                    done = true;
                    break;
                };
                count += 1;
                let interval = max_interval.max(FIRST_INTERVAL);
                prop_assert!(wait <= interval.mul_f64(1.0 + JITTER));
                prop_assert!(wait >= max_interval.min(FIRST_INTERVAL).mul_f64(1.0 - JITTER));
                elapsed += wait;
                prop_assert!(elapsed <= max_elapsed);
                prop_assert!(max_retries.is_none_or(|max| count <= max));
            }
            prop_assert!(done || max_retries.is_none_or(|max| count <= max));
        }
    }
}
