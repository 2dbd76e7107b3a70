//! The crate as its users see it.

mod clocks;
mod cron;
mod durations;
mod periods;
mod plans;
mod random;

use jiff::Timestamp;

/// A moment that a table tells.
fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}
