//! The contract between the runtime and its components: one trait per building
//! block, the registry, metadata decoding and one error. No I/O.

pub mod bindings;
pub mod configuration;
pub mod conversation;
pub mod crypto;
mod env;
mod error;
mod features;
pub mod lock;
pub mod metadata;
pub mod middleware;
pub mod pubsub;
mod registry;
pub mod resolution;
pub mod secrets;
pub mod state;

pub use env::Env;
pub use error::{Error, ErrorKind, Result};
pub use registry::{Component, Descriptor, Open, OpenResolver, Registry, Status};
pub use schemars::JsonSchema;
