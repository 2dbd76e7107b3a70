//! Tests over real processes: one file per subject, one scenario per function.

mod bad_components;
mod crash;
mod hostile_clients;
mod invocation;
mod lifecycle;
mod metadata;
mod state;
