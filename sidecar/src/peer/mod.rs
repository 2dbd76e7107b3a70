//! Other sidecars: the internal gRPC server they call, and the connections on
//! which they are called.

pub(crate) mod access;
mod body;
mod dial;
pub(crate) mod headers;
mod pool;
mod server;

pub(crate) use self::body::{CHUNK, Incoming, chunks};
pub(crate) use self::dial::Dialer;
pub(crate) use self::pool::{Line, Peer, Pool};
pub(crate) use self::server::{Server, Tracing};

use std::sync::Arc;

use security::SpiffeId;

/// Who called, as its certificate proves; an extension of the request.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Arc<SpiffeId>);

/// The identity that came with a request, if there was a certificate.
pub(crate) fn caller(extensions: &http::Extensions) -> Option<&SpiffeId> {
    extensions.get::<Caller>().map(|caller| &*caller.0)
}
