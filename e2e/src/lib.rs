//! Starts the built sidecar for tests.
