//! The process shell that every binary stands in: command line, log lines,
//! metrics, health, signals, listeners and the tracker that owns every task.

pub mod control_plane;
pub mod duration;
pub mod flags;
pub mod health;
pub mod log;
pub mod metrics;
pub mod net;
pub mod quote;
pub mod signals;

mod gather;
mod http;
mod inline;
mod runtime;
mod tasks;
mod version;

pub use gather::{Gathered, Turns};
pub use inline::{Driven, Inline};
pub use log::fatal;
pub use runtime::runtime;
pub use tasks::Tasks;
pub use version::{BUILD, COMMIT, VERSION, build_info};
