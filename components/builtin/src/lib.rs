//! Components that need no SDK.

mod env_secrets;
mod file_secrets;
mod in_memory;
mod in_memory_pubsub;
mod resolvers;

use component::{Descriptor, Registry};

/// Adds every component of this crate.
pub fn register(registry: &mut Registry) {
    registry.pubsub::<in_memory_pubsub::InMemoryPubSub>(Descriptor {
        features: &["SUBSCRIBE_WILDCARDS"],
        ..Descriptor::new("in-memory", "In-memory")
    });
    registry.state::<in_memory::InMemory>(Descriptor {
        features: &[
            "ETAG",
            "TRANSACTIONAL",
            "TTL",
            "DELETE_WITH_PREFIX",
            "KEYS_LIKE",
        ],
        ..Descriptor::new("in-memory", "In-memory")
    });
    registry.secrets::<env_secrets::EnvSecrets>(Descriptor::new(
        "local.env",
        "Local environment variables",
    ));
    registry.secrets::<file_secrets::FileSecrets>(Descriptor::new("local.file", "Local file"));
    resolvers::register(registry);
}
