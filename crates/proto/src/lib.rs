//! Messages and services of every Dapr protocol.
