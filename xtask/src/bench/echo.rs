//! The app, and the floor: a bare hyper server that answers every request with
//! what it brings, or with 1 KiB. Over HTTP/2 that is a gRPC app.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::combinators::WithTrailers;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What a sidecar is told that asks what its app wants; `None` is nothing.
pub(super) type Wishes = Option<&'static str>;

pub(super) async fn serve(port: u16, wishes: Wishes) -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    let body = Bytes::from(vec![b'x'; 1024]);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, body.clone(), wishes));
            // A connection ends when the load generator has had enough.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Only an answer of gRPC has trailers.
type Answer = Either<Full<Bytes>, WithTrailers<Full<Bytes>, Ready<Trailers>>>;

type Trailers = Option<Result<HeaderMap, Infallible>>;

async fn answer(
    request: Request<Incoming>,
    otherwise: Bytes,
    wishes: Wishes,
) -> Result<Response<Answer>, hyper::Error> {
    let is_grpc = request.version() == Version::HTTP_2;
    let is_question = request.uri().path().starts_with("/dapr/");
    let body = request.into_body();
    let body = if body.is_end_stream() {
        otherwise
    } else {
        body.collect().await?.to_bytes()
    };
    if !is_grpc {
        let (status, body) = match (is_question, wishes) {
            (false, _) => (StatusCode::OK, body),
            (true, Some(wishes)) => (StatusCode::OK, Bytes::from_static(wishes.as_bytes())),
            (true, None) => (StatusCode::NOT_FOUND, body),
        };
        let mut response = Response::new(Either::Left(Full::new(body)));
        *response.status_mut() = status;
        return Ok(response);
    }
    let mut status = HeaderMap::new();
    status.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(body).with_trailers(ready(Some(Ok(status))));
    let mut response = Response::new(Either::Right(body));
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", content_type);
    Ok(response)
}
