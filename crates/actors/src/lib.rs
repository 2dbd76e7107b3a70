//! Virtual actors: where they live, whose turn it is, and what wakes them.

pub mod call;
pub mod error;
pub mod host;
pub mod observer;
pub mod placement;
pub mod reminders;
pub mod router;
pub mod settings;
pub mod timers;

pub use error::Error;
