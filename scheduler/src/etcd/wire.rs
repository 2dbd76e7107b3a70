//! The messages of etcd's API and of its store.

// Generated code is not ours to tidy.
#![allow(clippy::large_enum_variant, clippy::doc_markdown)]

use std::fmt;

/// Calls, requests and answers.
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

/// Keys, values and events.
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}

impl fmt::Debug for etcdserverpb::AuthenticateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("AuthenticateRequest");
        text.field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for etcdserverpb::AuthenticateResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("AuthenticateResponse");
        text.field("header", &self.header).finish_non_exhaustive()
    }
}
