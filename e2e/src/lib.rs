//! What the tests over real processes share: sidecars and resource files.

mod actors;
mod load;
mod mesh;
mod metric;
mod plane;
mod resource;
mod sidecar;

pub use actors::{ActorHost, Call, Turns, quick};
pub use load::{Load, Outcome};
pub use mesh::Mesh;
pub use metric::{metric, metric_at};
pub use plane::{Member, Plane};
pub use resource::{component, component_with};
pub use sidecar::{Sidecar, SidecarBuilder};
