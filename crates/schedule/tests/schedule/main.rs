//! The crate as its users see it.

mod cron;
mod periods;
mod plans;

use jiff::Timestamp;

/// A moment that a table tells.
fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}
