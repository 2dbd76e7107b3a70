//! Invocation between real sidecars and apps of every protocol.

#![allow(clippy::unwrap_used)] // clippy sees only #[test] functions as tests, not their helpers

mod api;
mod limits;
mod peers;
mod pipelines;
mod protocols;
mod proxy;
mod stream;
mod support;
