//! How long to wait before the next attempt: a pure machine.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// At most this much is added, so that many callers do not come back at once.
const SPREAD: Duration = Duration::from_secs(1);

/// Growing waits: one second, doubled up to half a minute, and up to one more.
#[derive(Clone, Copy, Debug)]
pub struct Waits(Duration);

impl Default for Waits {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Waits {
    /// The next wait; `random` is a number in `0.0..1.0`.
    pub fn next(&mut self, random: f64) -> Duration {
        let wait = self.0 + SPREAD.mul_f64(random);
        self.0 = (self.0 * 2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_one_second_to_half_a_minute() {
        let mut waits = Waits::default();
        let seen: Vec<_> = (0..7).map(|_| waits.next(0.0).as_secs()).collect();
        assert_eq!(seen, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn each_wait_is_up_to_a_second_longer() {
        assert_eq!(Waits::default().next(0.5), Duration::from_millis(1500));
    }
}
