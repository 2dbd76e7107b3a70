//! One call, as an app makes it: over HTTP, over gRPC, or on the store itself.

use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{bail, ensure};
use bytes::Bytes;
use component::state::{GetRequest, SetRequest, StateStore};
use http::uri::PathAndQuery;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use proto::dapr::common::v1::StreamPayload;
use proto::dapr::runtime::v1::dapr_client::DaprClient;
use proto::dapr::runtime::v1::{GetStateRequest, SaveStateRequest};
use proto::dapr::sentry::v1::ca_client::CaClient;
use testkit::{DEADLINE, eventually};
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::sign::Order;

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
        /// The answer is at least this long.
        least: usize,
    },
    /// HTTP calls on this port of which no two are the same.
    Series(u16, Rc<dyn Fn() -> Call>),
    GrpcGet(Via, GetStateRequest),
    GrpcSave(Via, SaveStateRequest),
    /// A gRPC app's own method, through a sidecar if an app id is given.
    GrpcEcho(Via, Option<String>, StreamPayload),
    /// A certificate, on a connection of its own or on one that is kept.
    Sign(Arc<Order>, Keep),
    DirectGet(Arc<dyn StateStore>, GetRequest),
    DirectSet(Arc<dyn StateStore>, SetRequest),
}

/// Whose connection carries the calls over gRPC.
#[derive(Clone)]
pub(super) enum Via {
    /// Each caller has one of its own, to this port.
    Own(u16),
    /// All callers share one, as the threads of an app with an SDK do.
    Shared(Channel),
}

/// What happens to a connection after a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Kept,
    Closed,
}

/// One caller's way to the server; a store in this process needs none.
pub(super) enum Connection {
    None,
    Http(SendRequest<Full<Bytes>>),
    Dapr(DaprClient<Channel>),
    Grpc(Grpc<Channel>),
    Ca(CaClient<Channel>),
}

/// Moves the bytes of a connection; must be polled beside its calls.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()>>>;

impl Call {
    /// A read, which must not be one of nothing.
    pub(super) fn http_get(port: u16, path: String) -> Self {
        Self::Http {
            port,
            method: Method::GET,
            path,
            body: Bytes::new(),
            least: 1,
        }
    }

    pub(super) fn http_post(port: u16, path: String, body: String) -> Self {
        Self::Http {
            port,
            method: Method::POST,
            path,
            body: body.into(),
            least: 0,
        }
    }

    /// A body that comes back.
    pub(super) fn http_echo(port: u16, path: String, body: Bytes) -> Self {
        Self::Http {
            port,
            method: Method::POST,
            path,
            least: body.len(),
            body,
        }
    }

    pub(super) async fn connect(&self) -> anyhow::Result<(Connection, Driver)> {
        // The channels of gRPC have tasks of their own.
        let no_driver: Driver = Box::pin(std::future::pending());
        Ok(match self {
            Self::Nothing
            | Self::DirectGet(..)
            | Self::DirectSet(..)
            | Self::Sign(_, Keep::Closed) => (Connection::None, no_driver),
            Self::Http { port, .. } | Self::Series(port, _) => {
                let address = SocketAddr::from(([127, 0, 0, 1], *port));
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                let driver = async {
                    // Its end shows as an error of the call that is under way.
                    let _ = connection.await;
                };
                (Connection::Http(sender), Box::pin(driver))
            }
            Self::GrpcGet(via, _) | Self::GrpcSave(via, _) => {
                let client = DaprClient::new(via.channel().await?);
                (Connection::Dapr(client), no_driver)
            }
            Self::GrpcEcho(via, ..) => {
                let client = Grpc::new(via.channel().await?);
                (Connection::Grpc(client), no_driver)
            }
            Self::Sign(order, Keep::Kept) => (Connection::Ca(order.connect().await?), no_driver),
        })
    }

    /// Makes the call and takes the whole answer; a read must find its key.
    pub(super) async fn once(&self, connection: &mut Connection) -> anyhow::Result<()> {
        match (self, connection) {
            (Self::Http { .. }, Connection::Http(sender)) => self.http(sender).await,
            (Self::Series(_, next), Connection::Http(sender)) => next().http(sender).await,
            (Self::GrpcGet(_, req), Connection::Dapr(client)) => {
                let answer = client.get_state(req.clone()).await?.into_inner();
                long_enough(answer.data.len(), 1)
            }
            (Self::GrpcSave(_, req), Connection::Dapr(client)) => {
                client.save_state(req.clone()).await?;
                Ok(())
            }
            (Self::GrpcEcho(_, app_id, payload), Connection::Grpc(client)) => {
                let answer = echo(client, app_id.as_deref(), payload).await?;
                long_enough(answer.data.len(), payload.data.len())
            }
            (Self::Sign(order, _), Connection::Ca(client)) => order.sign(client).await,
            (Self::Sign(order, _), _) => order.sign(&mut order.connect().await?).await,
            (Self::DirectGet(store, req), _) => {
                let found = store.get(req.clone()).await?.is_some();
                long_enough(usize::from(found), 1)
            }
            (Self::DirectSet(store, req), _) => Ok(store.set(req.clone()).await?),
            // A connection is always the one that this call has opened.
            _ => Ok(()),
        }
    }

    /// Waits until such a call succeeds: what serves it may have just started.
    pub(super) async fn works(&self) {
        eventually(DEADLINE, async || {
            let (mut connection, driver) = self.connect().await?;
            tokio::select! {
                done = self.once(&mut connection) => done,
                () = driver => bail!("the connection ended"),
            }
        })
        .await;
    }

    async fn http(&self, sender: &mut SendRequest<Full<Bytes>>) -> anyhow::Result<()> {
        let Self::Http {
            method,
            path,
            body,
            least,
            ..
        } = self
        else {
            return Ok(());
        };
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
        let text = String::from_utf8_lossy(&answer);
        ensure!(status.is_success(), "{method} {path}: {status}: {text}");
        long_enough(answer.len(), *least)
    }
}

impl Via {
    pub(super) async fn shared(port: u16) -> anyhow::Result<Self> {
        Ok(Self::Shared(channel(port).await?))
    }

    async fn channel(&self) -> anyhow::Result<Channel> {
        match self {
            Self::Own(port) => channel(*port).await,
            Self::Shared(channel) => Ok(channel.clone()),
        }
    }
}

async fn channel(port: u16) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
    Ok(endpoint.connect().await?)
}

async fn echo(
    client: &mut Grpc<Channel>,
    app_id: Option<&str>,
    payload: &StreamPayload,
) -> anyhow::Result<StreamPayload> {
    let mut request = tonic::Request::new(payload.clone());
    if let Some(app_id) = app_id {
        request
            .metadata_mut()
            .insert("dapr-app-id", app_id.parse()?);
    }
    client.ready().await?;
    let path = PathAndQuery::from_static("/bench.Echo/Call");
    let codec = ProstCodec::<StreamPayload, StreamPayload>::default();
    Ok(client.unary(request, path, codec).await?.into_inner())
}

fn long_enough(length: usize, least: usize) -> anyhow::Result<()> {
    ensure!(
        length >= least,
        "an answer has {length} bytes instead of {least}: this would measure calls of nothing"
    );
    Ok(())
}
