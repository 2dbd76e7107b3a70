//! Timeouts, retries and circuit breakers as data and pure state machines.
