//! The Dapr sidecar.
