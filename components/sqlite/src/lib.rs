//! SQLite components: `state.sqlite` and `nameresolution.sqlite`.
//!
//! In the state store one thread owns the writing connection and shares each commit, and so each
//! flush to the disk, among all writers that wait for it; reads run beside it
//! on their own connections. `writer.rs` says what an acknowledged write survives.

mod cleanup;
mod config;
mod connection;
mod error;
mod readers;
mod resolver;
mod schema;
mod sql;
mod store;
mod target;
mod writer;

#[cfg(test)]
mod tests;

use component::{Descriptor, Registry};

pub use config::Config;
pub use resolver::{Config as ResolverConfig, SqliteResolver};
pub use store::Sqlite;

/// Adds `state.sqlite`, which is also named `state.sqlite3`, and
/// `nameresolution.sqlite`.
pub fn register(registry: &mut Registry) {
    registry.state::<Sqlite>(Descriptor {
        aliases: &["sqlite3"],
        features: &["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"],
        tested_with: "SQLite (compiled in)",
        ..Descriptor::new("sqlite", "SQLite")
    });
    registry.resolver::<SqliteResolver>(Descriptor {
        tested_with: "SQLite (compiled in)",
        ..Descriptor::new("sqlite", "SQLite")
    });
}
