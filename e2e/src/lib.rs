//! What the tests over real processes share: sidecars and resource files.

mod resource;
mod sidecar;

pub use resource::{component, component_with};
pub use sidecar::{Sidecar, SidecarBuilder};
