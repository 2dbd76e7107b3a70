//! Virtual actors: where they live, whose turn it is, and what wakes them.

pub mod host;
pub mod placement;
