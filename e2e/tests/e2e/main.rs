//! Tests over real processes: one file per subject, one scenario per function.

#![allow(clippy::unwrap_used)] // clippy sees only #[test] functions as tests, not their helpers

mod access_policy;
mod bad_components;
mod broken_store;
mod callee_faults;
mod crash;
mod grpc_proxy;
mod grpc_service;
mod hostile_clients;
mod invocation;
mod jobs;
mod lifecycle;
mod metadata;
mod outside;
mod random_requests;
mod rotation;
mod sdk;
mod state;
mod strangers;
mod streams;
