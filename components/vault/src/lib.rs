//! HashiCorp Vault components: `secretstores.hashicorp.vault`, over the HTTP API
//! of the key-value engine version 2.

mod client;
mod config;
mod store;

#[cfg(test)]
mod tests;

use component::{Descriptor, Registry};

pub use config::Config;
pub use store::Vault;

/// Adds `secretstores.hashicorp.vault`.
pub fn register(registry: &mut Registry) {
    registry.secrets::<Vault>(Descriptor {
        features: &["MULTIPLE_KEY_VALUES_PER_SECRET"],
        tested_with: "a server of the API's answers (no Vault can be had in the tests)",
        ..Descriptor::new("hashicorp.vault", "HashiCorp Vault")
    });
}
