//! The actors that live in this sidecar, and their turns.
