//! etcd, version 3: jobs that are kept in one elsewhere, and the face of one over
//! the jobs that are kept here.

pub mod client;
pub mod face;
pub mod keys;
mod requests;
pub mod ring;
mod store;
pub mod wire;

pub use store::External;

#[cfg(test)]
mod tests;
