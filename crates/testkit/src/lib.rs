//! Starts processes, servers and small apps for tests.
//!
//! Everything binds loopback on a port nobody else has, ends with the value
//! that started it, and waits by polling with a deadline.

mod app;
mod connection;
pub mod etcd;
mod eventually;
mod http;
pub mod kubernetes;
pub mod pki;
mod port;
pub mod postgres;
mod process;
pub mod redis;
pub mod server;
mod skip;

pub use app::{App, Recorded, Response};
pub use connection::{Connection, grpc_over_tls, http2_over_tls};
pub use eventually::{DEADLINE, eventually};
pub use http::{Http, Reply};
pub use port::{free_port, free_ports};
pub use process::{Process, ProcessBuilder, binary, program};
pub use server::Server;
pub use skip::skip;
