//! Access to a Kubernetes API server: a client, requests that are bounded in
//! size and time, and copies of all objects of a kind that follow the server.
//!
//! Answers are decoded here and not by `kube`, which logs what it cannot decode:
//! that could be a Secret or a token.

mod cache;
mod client;
mod connect;
mod error;
mod events;
mod follow;
mod lease;
mod list;

pub use cache::{Cache, Change, Key};
pub use client::{Client, Kind};
pub use connect::NoCluster;
pub use error::Error;
pub use lease::Election;
