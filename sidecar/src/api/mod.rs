//! The API servers: listeners, layers, errors. Blocks bring their routes.

pub(crate) mod absent;
pub(crate) mod access;
pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod cors;
pub(crate) mod count;
pub(crate) mod error;
pub(crate) mod errors;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod json;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod middleware;
pub(crate) mod path;
pub(crate) mod pipeline;
pub(crate) mod router;
pub(crate) mod serve;
pub(crate) mod trace;
