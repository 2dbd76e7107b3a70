//! Service invocation: calls of methods of other apps, by app id.

pub(crate) mod external;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod local;
mod method;
mod metrics;
pub(crate) mod proxy;
mod remote;
pub(crate) mod resolve;
mod target;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use tonic::{Code, Status};

use self::external::External;
use self::local::{Answer, Inbound};
pub(crate) use self::metrics::{InvokeMetrics, Shape};
use self::remote::Attempt;
use self::resolve::{Address, Resolver};
use crate::app::App;
use crate::peer::{Peer, Pool};

/// Between sidecars messages up to this size pass whatever the cap on bodies is:
/// a chunk and its frame must fit even where bodies may only be tiny.
pub(crate) const LEAST_MESSAGE: usize = 1 << 20;
/// Upstream's `DaprBuiltInServiceRetries`.
const RETRIES: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Calls apps on behalf of this one.
#[derive(Clone)]
pub(crate) struct Invoker {
    inner: Arc<Inner>,
}

struct Inner {
    app_id: String,
    namespace: String,
    app: App,
    pool: Pool,
    resolver: Resolver,
    external: External,
    /// Of this host, for the forwarding headers.
    address: String,
    hostname: String,
    max_message: usize,
    metrics: Option<InvokeMetrics>,
}

/// A failed call, in the words that follow `failed to invoke, id: <id>, err: `.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: String,
    /// The callee's access policy refused.
    pub(crate) denied: bool,
}

impl From<String> for Failure {
    fn from(cause: String) -> Self {
        Self {
            cause,
            denied: false,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let cause = format!(
            "rpc error: code = {:?} desc = {}",
            status.code(),
            status.message()
        );
        Self {
            cause,
            denied: status.code() == Code::PermissionDenied,
        }
    }
}

/// What an [`Invoker`] is made of.
pub(crate) struct Parts {
    pub(crate) app_id: String,
    pub(crate) namespace: String,
    pub(crate) app: App,
    pub(crate) pool: Pool,
    pub(crate) resolver: Resolver,
    pub(crate) external: External,
    pub(crate) address: String,
    pub(crate) max_message: usize,
    pub(crate) metrics: Option<InvokeMetrics>,
}

impl Invoker {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            app_id,
            namespace,
            app,
            pool,
            resolver,
            external,
            address,
            max_message,
            metrics,
        } = parts;
        let hostname = service::log::hostname();
        Self {
            inner: Arc::new(Inner {
                app_id,
                namespace,
                app,
                pool,
                resolver,
                external,
                address,
                hostname,
                max_message: max_message.max(LEAST_MESSAGE),
                metrics,
            }),
        }
    }

    /// Calls a method of the app that `target` names. `retriable` says that the
    /// whole body was known beforehand and fits into memory.
    async fn call(
        &self,
        target: &str,
        inbound: Inbound,
        retriable: bool,
    ) -> Result<Answer, Failure> {
        let me = &*self.inner;
        if External::is_url(target) {
            return me.external.url(target, inbound).await;
        }
        let (id, namespace) = me.split(target)?;
        if let Some(endpoint) = me.external.endpoints.wait(id).await {
            return me.external.endpoint(&endpoint, inbound).await;
        }
        if id == me.app_id && namespace == me.namespace {
            return me.call_self(inbound).await;
        }
        if retriable {
            return me.retried(id, namespace, inbound).await;
        }
        let address = me.resolver.resolve(id, namespace).await?;
        let peer = peer(&address, id, namespace);
        me.attempt(peer, inbound).await.map_err(|e| match e {
            Attempt::Status(status) if status.code() == Code::Unimplemented => {
                Failure::from(format!(
                    "target app '{id}' is running a version of Dapr that does not support streaming-based service invocation"
                ))
            }
            Attempt::Status(status) => {
                me.lost(&status, peer);
                status.into()
            }
            Attempt::Other(cause) => cause.into(),
        })
    }
}

fn peer<'a>(address: &'a Address, app_id: &'a str, namespace: &'a str) -> Peer<'a> {
    Peer {
        address: &address.0,
        app_id,
        namespace,
    }
}

impl Inner {
    /// App id and namespace of a target.
    fn split<'a>(&'a self, target: &'a str) -> Result<(&'a str, &'a str), Failure> {
        if target.is_empty() {
            return Err("app id is empty".to_owned().into());
        }
        let mut parts = target.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(id), None, _) => Ok((id, &self.namespace)),
            (Some(id), Some(namespace), None) => Ok((id, namespace)),
            _ => Err(format!("invalid app id {target}").into()),
        }
    }

    /// No header is added to a call that stays here, and none is taken away.
    async fn call_self(&self, inbound: Inbound) -> Result<Answer, Failure> {
        if !self.app.exists() {
            return Err("cannot invoke local endpoint: app channel not initialized"
                .to_owned()
                .into());
        }
        local::call(&self.app, inbound)
            .await
            .map_err(|e| e.to_string().into())
    }

    /// Two codes say that the peer was not reached: its connection and its address
    /// are not used again.
    fn lost(&self, status: &Status, peer: Peer<'_>) -> bool {
        let lost = matches!(status.code(), Code::Unavailable | Code::Unauthenticated);
        if lost {
            self.pool.forget(peer.address);
            self.resolver
                .failed(peer.app_id, peer.namespace, peer.address);
        }
        lost
    }

    /// Upstream's built-in retries. Each try looks the address up anew: the peer
    /// may be back elsewhere.
    async fn retried(
        &self,
        id: &str,
        namespace: &str,
        mut inbound: Inbound,
    ) -> Result<Answer, Failure> {
        let body = std::mem::take(&mut inbound.body);
        let body = crate::api::body::read(body)
            .await
            .map_err(|e| e.to_string())?;
        let mut tries = 0;
        let mut streams = true;
        loop {
            let address = self.resolver.resolve(id, namespace).await?;
            let peer = peer(&address, id, namespace);
            let data = Bytes::clone(&body);
            let result = if streams {
                self.attempt(peer, inbound.again(Body::from(data))).await
            } else {
                self.unary(peer, inbound.again(Body::empty()), data).await
            };
            let status = match result {
                Ok(answer) => return Ok(answer),
                Err(Attempt::Other(cause)) => return Err(cause.into()),
                Err(Attempt::Status(status)) => status,
            };
            // A peer from before the streaming call.
            if streams && status.code() == Code::Unimplemented {
                streams = false;
                continue;
            }
            if !self.lost(&status, peer) {
                return Err(status.into());
            }
            if tries == RETRIES {
                let cause = Failure::from(status).cause;
                return Err(format!(
                    "failed to invoke target {id} after {RETRIES} retries. Error: {cause}"
                )
                .into());
            }
            tries += 1;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}
