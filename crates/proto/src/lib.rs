//! Messages and services of every Dapr protocol, generated from `proto/`.
//!
//! `bytes` fields are `bytes::Bytes` and maps are `BTreeMap`s; `google.protobuf` types are those of
//! `prost_types`, and its wrappers (`StringValue` ...) are plain `Option`s.

// Generated code is not ours to tidy.
#![allow(clippy::large_enum_variant, clippy::doc_markdown)]

mod redacted;

/// What this project adds to the protocols.
pub mod dapr_rs {
    /// Listing the keys of a state store.
    pub mod state {
        pub mod v1alpha1 {
            tonic::include_proto!("dapr_rs.state.v1alpha1");
        }
    }
}

/// The packages below `dapr.proto`.
pub mod dapr {
    /// Types that several packages share.
    pub mod common {
        pub mod v1 {
            tonic::include_proto!("dapr.proto.common.v1");
        }
    }
    /// Pluggable components.
    pub mod components {
        pub mod v1 {
            tonic::include_proto!("dapr.proto.components.v1");
        }
    }
    /// Sidecar to sidecar.
    pub mod internals {
        pub mod v1 {
            tonic::include_proto!("dapr.proto.internals.v1");
        }
    }
    /// Sidecar to operator.
    pub mod operator {
        pub mod v1 {
            tonic::include_proto!("dapr.proto.operator.v1");
        }
    }
    /// Sidecar to placement.
    pub mod placement {
        pub mod v1 {
            tonic::include_proto!("dapr.proto.placement.v1");
        }
    }
    /// App to sidecar and back.
    pub mod runtime {
        pub mod v1 {
            tonic::include_proto!("dapr.proto.runtime.v1");
        }
    }
    /// Sidecar to scheduler.
    pub mod scheduler {
        pub mod v1 {
            tonic::include_proto!("dapr.proto.scheduler.v1");
        }
    }
    /// Everybody to the certificate authority.
    pub mod sentry {
        pub mod v1 {
            tonic::include_proto!("dapr.proto.sentry.v1");
        }
    }
    /// Inputs of the workflows that hook into MCP calls.
    pub mod workflows {
        pub mod v1 {
            tonic::include_proto!("dapr.proto.workflows.v1");
        }
    }
}

/// The protocol of the workflow SDKs; its files declare no package.
pub mod durabletask {
    tonic::include_proto!("_");

    // The backend package refers to the types above by going up its own four
    // names, so it has to live here; `durabletask_backend` is its address.
    #[doc(hidden)]
    #[allow(clippy::module_inception, reason = "the name of the proto package")]
    pub mod durabletask {
        pub mod protos {
            pub mod backend {
                pub mod v1 {
                    tonic::include_proto!("durabletask.protos.backend.v1");
                }
            }
        }
    }
}

/// The workflow engine's own records: package `durabletask.protos.backend.v1`.
pub use durabletask::durabletask::protos::backend::v1 as durabletask_backend;

/// Types of googleapis.
pub mod google {
    /// The details of a gRPC status.
    pub mod rpc {
        tonic::include_proto!("google.rpc");
    }
}

/// Every file of `proto/` with its imports, as an encoded `FileDescriptorSet`:
/// what gRPC reflection serves.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptors");
