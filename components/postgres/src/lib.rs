//! PostgreSQL components: `state.postgresql` versions 1 and 2.
//!
//! Both versions are one store; what differs between their tables is in
//! `layout/`. Connections come from a pool and keep their prepared statements.

mod config;
mod connect;
mod driver;
mod dsn;
mod error;
mod layout;
mod lease;
mod migrate;
mod query;
mod settings;
mod state;
mod store;
mod tls;
mod upkeep;

#[cfg(test)]
mod tests;

use component::{Descriptor, Registry};

pub use config::{ConfigV1, ConfigV2, Connection};
pub use state::{PostgresV1, PostgresV2};

const TESTED: &str = "postgresql 15 (Debian): plain and TLS";

/// Adds `state.postgresql` (also named `state.postgres`) in both versions;
/// version 1 is meant when a resource names none. YugabyteDB has version 2 only.
pub fn register(registry: &mut Registry) {
    registry.state::<PostgresV1>(Descriptor {
        aliases: &["postgres"],
        default_version: true,
        features: &["ETAG", "TRANSACTIONAL", "QUERY_API", "TTL", "KEYS_LIKE"],
        tested_with: TESTED,
        ..Descriptor::new("postgresql", "PostgreSQL")
    });
    registry.state::<PostgresV2>(Descriptor {
        aliases: &["postgres", "yugabyte", "yugabytedb"],
        version: "v2",
        features: &["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"],
        tested_with: TESTED,
        ..Descriptor::new("postgresql", "PostgreSQL")
    });
}
