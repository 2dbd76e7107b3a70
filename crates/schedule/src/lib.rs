//! When things fire: cron expressions, periods, due times, lifetimes and repeats.
//!
//! [`Plan`] is a job of the scheduler: [`Plan::new`] checks what a caller asks and
//! [`Plan::next`] tells the tick that follows. [`Period`] and [`moment`] are what
//! actor timers and reminders are written in. Nothing here reads a clock.

pub mod cron;
mod error;
pub mod go;
pub mod moment;
pub mod period;
mod plan;
mod rfc3339;

pub use error::Error;
pub use moment::moment;
pub use period::Period;
pub use plan::{Begin, Plan, Spec};

/// The most bytes of a schedule, a period or a moment. Every value of every field
/// of a cron expression written out takes half of it. Upstream has no limit.
pub const MAX_LENGTH: usize = 1024;
