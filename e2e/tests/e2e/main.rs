//! Tests over real processes: one file per subject, one scenario per function.

#![allow(clippy::unwrap_used)] // clippy sees only #[test] functions as tests, not their helpers

mod access_policy;
mod actor_faults;
mod actor_restarts;
mod actor_store;
mod actor_streams;
mod bad_components;
mod broken_store;
mod callee_faults;
mod control_plane_identity;
mod crash;
mod grpc_proxy;
mod grpc_service;
mod hostile_clients;
mod hostile_plane_clients;
mod invocation;
mod job_faults;
mod jobs;
mod lifecycle;
mod local_mtls;
mod metadata;
mod outside;
mod random_requests;
mod reentrancy;
mod reminder_faults;
mod reminder_import;
mod rotation;
mod sdk;
mod shared_schedulers;
mod state;
mod strangers;
mod streams;
