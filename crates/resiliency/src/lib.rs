//! Timeouts, retries and circuit breakers as data and pure state machines.
//!
//! [`Policies::compile`] turns Resiliency resources into a [`Policies`], which
//! answers for each target with a [`Policy`], a cheap handle. [`Policy::run`]
//! makes attempts under it: retry( breaker( timeout( call ))).
//!
//! The machines, [`backoff::Backoff`] and [`breaker::Machine`], take the time
//! and randomness as arguments and do no I/O.

pub mod backoff;
pub mod breaker;
mod builtin;
mod cache;
mod compile;
mod duration;
mod observer;
mod policies;
mod policy;
mod retry;
mod targets;
#[cfg(test)]
mod testing;

pub use builtin::Builtin;
pub use compile::Source;
pub use observer::{Labels, Observer};
pub use policies::{ActorPolicy, Policies};
pub use policy::{Error, Policy, Verdict};
pub use targets::{ComponentKind, Direction};
