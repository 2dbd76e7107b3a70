//! Redis components, over one shared client.

mod client;
mod state;

pub use state::RedisState;

/// Adds every Redis component to the registry.
pub fn register(registry: &mut component::Registry) {
    state::register(registry);
}
