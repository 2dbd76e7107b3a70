//! Other sidecars: the internal gRPC server they call, and the connections on
//! which they are called.

pub(crate) mod access;
mod body;
mod dial;
pub(crate) mod headers;
mod pool;
mod server;

pub(crate) use self::body::{Incoming, chunks};
pub(crate) use self::dial::Dialer;
pub(crate) use self::pool::{Line, Peer, Pool};
pub(crate) use self::server::Server;
