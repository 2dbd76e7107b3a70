//! Sharing the jobs with other schedulers on the same etcd.

mod keep;
mod machine;
mod members;
mod term;

pub use keep::keep;
pub use machine::{Layout, Me};
pub use members::Member;
pub use term::{Hold, Term};

#[cfg(test)]
mod simulation;
