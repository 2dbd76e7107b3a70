//! The placement service over real gRPC, in this process.

#![allow(clippy::unwrap_used)] // clippy sees only #[test] functions as tests, not their helpers

mod election;
mod golden;
mod joining;
mod lifecycle;
mod raw;
mod refusals;
mod rounds;
mod service;
mod sidecar;
