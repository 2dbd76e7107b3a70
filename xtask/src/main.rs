//! Chores of the project: `cargo xtask <docs|tidy>`.

fn main() {}
