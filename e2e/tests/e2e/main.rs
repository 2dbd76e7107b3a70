//! Tests over real processes: one file per subject, one scenario per function.

#![allow(clippy::unwrap_used)] // clippy sees only #[test] functions as tests, not their helpers

mod bad_components;
mod crash;
mod hostile_clients;
mod invocation;
mod lifecycle;
mod metadata;
mod random_requests;
mod sdk;
mod state;
