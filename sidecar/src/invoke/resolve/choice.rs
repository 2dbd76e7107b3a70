//! One of several addresses, in turn; those that did not answer are avoided for a
//! while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long an address that did not answer is avoided.
const AVOIDED: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Choice {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failed: HashMap<String, Instant>,
    turn: usize,
}

impl Choice {
    /// `None` only when there is none to choose from: when all have failed, one of
    /// them is tried all the same.
    pub(super) fn pick<'a>(&self, from: &'a [String]) -> Option<&'a String> {
        let mut state = self.state.lock();
        state.turn = state.turn.wrapping_add(1);
        let turn = state.turn;
        if state.failed.is_empty() {
            return from.get(turn.checked_rem(from.len())?);
        }
        state.failed.retain(|_, at| at.elapsed() < AVOIDED);
        let good = |a: &&String| !state.failed.contains_key(*a);
        let count = from.iter().filter(good).count();
        match count {
            0 => from.get(turn.checked_rem(from.len())?),
            _ => from.iter().filter(good).nth(turn % count),
        }
    }

    pub(super) fn failed(&self, address: &str) {
        let mut state = self.state.lock();
        state.failed.insert(address.to_owned(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns_and_the_failed_are_left_out_while_others_are_left() {
        let choice = Choice::default();
        let all: Vec<String> = ["a", "b", "c"].map(Into::into).into();
        let round = |n: usize| {
            let mut seen: Vec<&str> = (0..n)
                .filter_map(|_| choice.pick(&all))
                .map(|s| &**s)
                .collect();
            seen.sort_unstable();
            seen
        };
        assert_eq!(round(6), ["a", "a", "b", "b", "c", "c"]);
        choice.failed("b");
        assert_eq!(round(4), ["a", "a", "c", "c"]);
        choice.failed("a");
        choice.failed("c");
        assert_eq!(round(3), ["a", "b", "c"]);
        assert_eq!(choice.pick(&[]), None);
    }
}
