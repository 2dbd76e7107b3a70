//! Starts processes, servers and small apps for tests.
