//! The service `dapr.proto.placement.v1.Placement` on one connection.
//!
//! It is written by hand: an order is encoded once for all streams, and its
//! bytes go out as they are, where generated code encodes for each.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use proto::dapr::placement::v1::Host;
use service::Tasks;
use tokio::sync::Notify;
use tonic::codec::BufferSettings;
use tonic::{Status, Streaming};
use tonic_prost::ProstDecoder;

use crate::hub::Hub;
use crate::line::{Line, Orders};
use crate::stream::{Peer, converse};

const PATH: &str = "/dapr.proto.placement.v1.Placement/ReportDaprStatus";
/// The longest message: a report with its actor types.
const MOST_BYTES: usize = 1 << 20;
/// What a stream begins to read into; most messages are shorter.
const READ_BUFFER: usize = 512;

/// Answers the requests of one connection.
pub(crate) struct Service {
    pub(crate) peer: Peer,
    pub(crate) hub: Hub,
    pub(crate) tasks: Tasks,
    /// Told of every request.
    pub(crate) opened: Arc<Notify>,
}

impl Service {
    fn open(&self, request: Request<Incoming>) -> Response<Orders> {
        self.opened.notify_one();
        let path = request.uri().path();
        if path != PATH {
            return Status::unimplemented(format!("unknown method {path}")).into_http();
        }
        if let Some(status) = self.hub.refusal() {
            return status.into_http();
        }
        let decoder = ProstDecoder::<Host>::new(BufferSettings::new(READ_BUFFER, READ_BUFFER));
        let body = request.into_body();
        let inbound = Streaming::new_request(decoder, body, None, Some(MOST_BYTES));
        let (line, outlet, orders) = Line::open();
        let (peer, hub) = (self.peer.clone(), self.hub.clone());
        self.tasks
            .spawn("stream", converse(inbound, peer, hub, line, outlet));
        let mut response = Response::new(orders);
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        response
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Orders>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(self.open(request)))
    }
}
