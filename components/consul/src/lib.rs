//! Name resolution by a Consul agent, over its HTTP API:
//! `nameresolution.hashicorp.consul`.

mod client;
mod config;
mod query;
mod registration;
mod resolver;
mod settings;
mod watch;

#[cfg(test)]
mod tests;

use component::{Descriptor, Registry, Status};

pub use config::Config;
pub use resolver::Consul;

/// Adds `nameresolution.hashicorp.consul`, which is also named `consul`.
pub fn register(registry: &mut Registry) {
    registry.resolver::<Consul>(Descriptor {
        aliases: &["consul"],
        status: Status::Alpha,
        tested_with: "a server of the agent API's answers (no agent can be had in the tests)",
        ..Descriptor::new("hashicorp.consul", "HashiCorp Consul")
    });
}
