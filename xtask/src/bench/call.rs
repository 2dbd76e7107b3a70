//! One call, as an app makes it: over HTTP, over gRPC, or on the store itself.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::ensure;
use bytes::Bytes;
use component::state::{GetRequest, SetRequest, StateStore};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use proto::dapr::runtime::v1::dapr_client::DaprClient;
use proto::dapr::runtime::v1::{GetStateRequest, SaveStateRequest};
use tokio::net::TcpStream;
use tonic::transport::Channel;

/// What is repeated.
#[derive(Clone)]
pub(super) enum Call {
    /// No call at all: what the load generator takes for itself.
    Nothing,
    Http {
        port: u16,
        method: Method,
        path: String,
        body: Bytes,
    },
    GrpcGet(u16, GetStateRequest),
    GrpcSave(u16, SaveStateRequest),
    DirectGet(Arc<dyn StateStore>, GetRequest),
    DirectSet(Arc<dyn StateStore>, SetRequest),
}

/// One caller's way to the server; a store in this process needs none.
pub(super) enum Connection {
    None,
    Http(SendRequest<Full<Bytes>>),
    Grpc(DaprClient<Channel>),
}

/// Moves the bytes of a connection; must be polled beside its calls.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()>>>;

impl Call {
    pub(super) fn http_get(port: u16, path: String) -> Self {
        Self::Http {
            port,
            method: Method::GET,
            path,
            body: Bytes::new(),
        }
    }

    pub(super) fn http_post(port: u16, path: String, body: String) -> Self {
        Self::Http {
            port,
            method: Method::POST,
            path,
            body: body.into(),
        }
    }

    pub(super) async fn connect(&self) -> anyhow::Result<(Connection, Driver)> {
        match self {
            Self::Nothing | Self::DirectGet(..) | Self::DirectSet(..) => {
                Ok((Connection::None, Box::pin(std::future::pending())))
            }
            Self::Http { port, .. } => {
                let address = SocketAddr::from(([127, 0, 0, 1], *port));
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                let driver = async {
                    // Its end shows as an error of the call that is under way.
                    let _ = connection.await;
                };
                Ok((Connection::Http(sender), Box::pin(driver)))
            }
            Self::GrpcGet(port, _) | Self::GrpcSave(port, _) => {
                let client = DaprClient::connect(format!("http://127.0.0.1:{port}")).await?;
                // The channel has a task of its own.
                Ok((Connection::Grpc(client), Box::pin(std::future::pending())))
            }
        }
    }

    /// Makes the call and takes the whole answer; a read must find its key.
    pub(super) async fn once(&self, connection: &mut Connection) -> anyhow::Result<()> {
        match (self, connection) {
            (
                Self::Http {
                    method, path, body, ..
                },
                Connection::Http(sender),
            ) => http(method, path, body, sender).await,
            (Self::GrpcGet(_, req), Connection::Grpc(client)) => {
                let answer = client.get_state(req.clone()).await?.into_inner();
                found(!answer.data.is_empty())
            }
            (Self::GrpcSave(_, req), Connection::Grpc(client)) => {
                client.save_state(req.clone()).await?;
                Ok(())
            }
            (Self::DirectGet(store, req), _) => found(store.get(req.clone()).await?.is_some()),
            (Self::DirectSet(store, req), _) => Ok(store.set(req.clone()).await?),
            // A connection is always the one that this call has opened.
            _ => Ok(()),
        }
    }
}

async fn http(
    method: &Method,
    path: &str,
    body: &Bytes,
    sender: &mut SendRequest<Full<Bytes>>,
) -> anyhow::Result<()> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(body.clone()))?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let answer = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "{method} {path}: {status}");
    found(method != Method::GET || !answer.is_empty())
}

fn found(found: bool) -> anyhow::Result<()> {
    ensure!(
        found,
        "the key is missing: this would measure reads of nothing"
    );
    Ok(())
}
