//! Dapr resources: structs, YAML folders, validation.
//!
//! The structs decode as upstream decodes them: a field that is missing or null
//! has its zero value, unknown fields are ignored. What the Kubernetes API server
//! would demand besides is in their JSON schemas.

mod component;
pub mod configuration;
#[cfg(feature = "crd")]
pub mod crd;
mod duration;
mod http_endpoint;
mod lenient;
pub mod load;
pub mod mcp;
mod meta;
pub mod resiliency;
mod resource;
mod select;
pub mod subscription;
mod value;
pub mod workflow_access;

pub use component::{Component, ComponentSpec};
pub use configuration::Configuration;
pub use duration::parse_go_duration;
pub use http_endpoint::{ClientTls, HttpEndpoint, HttpEndpointSpec};
pub use lenient::from_json;
pub use mcp::McpServer;
pub use meta::{Auth, Object, ObjectMeta, validate_name};
pub use resiliency::Resiliency;
pub use resource::{Kind, Resource};
pub use select::{Duplicate, select};
pub use subscription::Subscription;
pub use value::{DynamicValue, NameValue, SecretKeyRef, TlsDocument};
pub use workflow_access::WorkflowAccessPolicy;
