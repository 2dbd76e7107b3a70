//! One suite per building block, cases picked by declared features.
//!
//! A declared feature that does not work fails, and so does one that works but
//! is not declared. `Options` say where a store promises less than the others
//! do; what they leave at its default is tested. Every case has its own keys, so
//! that cases run side by side and a server may be shared.

mod report;
pub mod secrets;
pub mod state;

pub use report::{Outcome, Report};
