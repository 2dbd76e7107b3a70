//! The contract between the runtime and its components: one trait per building
//! block, the registry, metadata decoding and one error. No I/O.

mod env;
mod error;
pub mod metadata;
mod registry;
pub mod secrets;
pub mod state;

pub use env::Env;
pub use error::{Error, ErrorKind, Result};
pub use registry::{Component, Descriptor, Open, Registry, Status};
pub use schemars::JsonSchema;
