//! Other sidecars: the internal gRPC server they call, and the connections on
//! which they are called.

mod body;
pub(crate) mod headers;
mod pool;
mod server;

pub(crate) use self::body::{Incoming, chunks};
pub(crate) use self::pool::Pool;
pub(crate) use self::server::Server;
