//! Service invocation: calls of methods of other apps, by app id.

pub(crate) mod external;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod local;
pub(crate) mod method;
mod metrics;
mod on_invoke;
pub(crate) mod proxy;
mod remote;
pub(crate) mod resolve;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use bytes::Bytes;
use parking_lot::Mutex;
use resiliency::{Builtin, Policies, Policy, Verdict};
use telemetry::Tracer;
use tonic::{Code, Status};

use self::external::External;
use self::local::{Answer, Head, Inbound};
pub(crate) use self::metrics::{InvokeMetrics, Shape};
use self::remote::{Attempt, Framed};
use self::resolve::{Address, Resolver};
use crate::app::App;
use crate::peer::{Peer, Pool};

/// Between sidecars messages up to this size pass whatever the cap on bodies is:
/// a chunk and its frame must fit even where bodies may only be tiny.
pub(crate) const LEAST_MESSAGE: usize = 1 << 20;

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
    forwarded: String,
    max_message: usize,
    metrics: Option<InvokeMetrics>,
    policies: Policies,
    tracer: Option<Tracer>,
}

/// A failed call, in the words that follow `failed to invoke, id: <id>, err: `.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub(crate) struct Failure {
    pub(crate) cause: String,
    /// Of the call between the sidecars, when that is what failed.
    pub(crate) code: Option<Code>,
}

impl Failure {
    /// Whether the callee's access policy refused.
    pub(crate) fn denied(&self) -> bool {
        self.code == Some(Code::PermissionDenied)
    }
}

impl From<String> for Failure {
    fn from(cause: String) -> Self {
        Self { cause, code: None }
    }
}

impl From<resiliency::Error<Self>> for Failure {
    fn from(error: resiliency::Error<Self>) -> Self {
        match error {
            resiliency::Error::Attempt(failure) => failure,
            refused => refused.to_string().into(),
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
            code: Some(status.code()),
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
    pub(crate) policies: Policies,
    pub(crate) tracer: Option<Tracer>,
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
            policies,
            tracer,
        } = parts;
        let hostname = service::log::hostname();
        let shown = if address.contains(':') {
            format!("\"[{address}]\"")
        } else {
            address.clone()
        };
        let forwarded = format!("for={shown};by={shown};host={hostname}");
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
                forwarded,
                max_message: max_message.max(LEAST_MESSAGE),
                metrics,
                policies,
                tracer,
            }),
        }
    }

    /// Calls a method of what `target` names, under its policy. `known` says that
    /// the size of the body is known and fit for memory.
    async fn call(&self, target: &str, inbound: Inbound, known: bool) -> Result<Answer, Failure> {
        let me = &*self.inner;
        let policy = me.policy(target, &inbound.head.method);
        if policy.is_none() {
            return me.once(target, inbound, known).await;
        }
        Box::pin(me.under(&policy, target, inbound, known)).await
    }
}

impl Inner {
    /// Makes the call under a policy of the user's.
    async fn under(
        &self,
        policy: &Policy,
        target: &str,
        inbound: Inbound,
        known: bool,
    ) -> Result<Answer, Failure> {
        let result = if known && policy.retries() {
            let (head, body) = kept(inbound).await?;
            let again = || head.with(Body::from(body.clone()));
            policy
                .run(verdict, || self.once(target, again(), true))
                .await
        } else {
            // A stream is sent once, so its failure is final.
            let first = Mutex::new(Some(inbound));
            let classify = |result: &Result<Answer, Failure>| match verdict(result) {
                Verdict::Success => Verdict::Success,
                _ => Verdict::Final,
            };
            let attempt = || {
                let inbound = first.lock().take();
                async move {
                    let sent = "its body was a stream, which cannot be sent again";
                    let inbound = inbound.ok_or_else(|| Failure::from(sent.to_owned()))?;
                    self.once(target, inbound, known).await
                }
            };
            policy.run(classify, attempt).await
        };
        result.map_err(Into::into)
    }
}

/// The body of a call, in memory for another try.
async fn kept(inbound: Inbound) -> Result<(Head, Bytes), Failure> {
    let body = crate::api::body::read(inbound.body).await;
    Ok((inbound.head, body.map_err(|e| e.to_string())?))
}

/// What the app answered counts as well: policies are there to hide its failures.
fn verdict(result: &Result<Answer, Failure>) -> Verdict {
    let code = match result {
        Ok(answer) if matches!(answer.code, 0 | 200..=399) => return Verdict::Success,
        Ok(answer) => Some(answer.code),
        Err(failure) => failure.code.map(i32::from),
    };
    Verdict::Failure { code }
}

/// Two codes say that a peer was not reached.
fn is_lost(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Unauthenticated)
}

fn peer<'a>(address: &'a Address, app_id: &'a str, namespace: &'a str) -> Peer<'a> {
    Peer {
        address: &address.0,
        app_id,
        namespace,
    }
}

impl Inner {
    /// The policy of a user's; those built in are the sidecars' own affair.
    fn policy(&self, target: &str, method: &str) -> Policy {
        if self.policies.loaded().is_empty() {
            return Policy::default();
        }
        let endpoint = match self.external.endpoints.get(target) {
            Some(endpoint) => format!("{target}:{}", endpoint.base_url()),
            None if External::is_url(target) => format!("{target}/{method}"),
            None => format!("{target}:{method}"),
        };
        self.policies.app(target, &endpoint)
    }

    /// One call, as far as a user's policy sees it. The rarer ways are boxed, so that
    /// the usual one does not carry their size along.
    async fn once(&self, target: &str, inbound: Inbound, known: bool) -> Result<Answer, Failure> {
        if External::is_url(target) {
            return Box::pin(self.external.url(target, inbound)).await;
        }
        let (id, namespace) = self.split(target)?;
        if let Some(endpoint) = self.external.endpoints.wait(id).await {
            return Box::pin(self.external.endpoint(&endpoint, inbound)).await;
        }
        if id == self.app_id && namespace == self.namespace {
            return Box::pin(self.call_self(inbound)).await;
        }
        if known {
            return self.retried(id, namespace, inbound).await;
        }
        let address = self.resolver.resolve(id, namespace).await?;
        let peer = peer(&address, id, namespace);
        let attempt = Box::pin(self.attempt(peer, inbound));
        attempt.await.map_err(|e| match e {
            Attempt::Status(status) if status.code() == Code::Unimplemented => {
                Failure::from(format!(
                    "target app '{id}' is running a version of Dapr that does not support streaming-based service invocation"
                ))
            }
            Attempt::Status(status) => {
                self.lost(&status, peer);
                status.into()
            }
            Attempt::Other(cause) => cause.into(),
        })
    }

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

    /// The connection and the address of a peer that was not reached are not used
    /// again.
    fn lost(&self, status: &Status, peer: Peer<'_>) {
        if is_lost(status.code()) {
            self.pool.forget(peer.address);
            self.resolver
                .failed(peer.app_id, peer.namespace, peer.address);
        }
    }

    /// Under the built-in retries, unless a resource names the app. Each try looks
    /// the address up anew: the peer may be back elsewhere.
    async fn retried(
        &self,
        id: &str,
        namespace: &str,
        inbound: Inbound,
    ) -> Result<Answer, Failure> {
        let (head, body) = kept(inbound).await?;
        let builtin = if self.policies.has_app(id) {
            Policy::default()
        } else {
            self.policies.builtin(Builtin::ServiceRetries)
        };
        let tries = AtomicU32::new(0);
        let call = self.framed(id, head, body);
        let (call, counted) = (&call, &tries);
        let attempt = || {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(self.whole(id, namespace, call))
        };
        let classify = |result: &Result<Answer, Failure>| match result {
            Ok(_) => Verdict::Success,
            Err(failure) if failure.code.is_some_and(is_lost) => Verdict::Failure { code: None },
            Err(_) => Verdict::Final,
        };
        builtin.run(classify, attempt).await.map_err(|e| match e {
            resiliency::Error::Attempt(failure)
                if !builtin.is_none() && failure.code.is_some_and(is_lost) =>
            {
                let (retries, cause) = (tries.load(Ordering::Relaxed) - 1, failure.cause);
                format!("failed to invoke target {id} after {retries} retries. Error: {cause}")
                    .into()
            }
            other => other.into(),
        })
    }

    /// One try with a body that is in memory: as a stream, or in one message for a
    /// peer from before the streaming call.
    async fn whole(&self, id: &str, namespace: &str, call: &Framed) -> Result<Answer, Failure> {
        let address = self.resolver.resolve(id, namespace).await?;
        let peer = peer(&address, id, namespace);
        let mut result = self.attempt_framed(peer, call).await;
        if let Err(Attempt::Status(status)) = &result
            && status.code() == Code::Unimplemented
        {
            result = Box::pin(self.unary(peer, call)).await;
        }
        result.map_err(|e| match e {
            Attempt::Other(cause) => cause.into(),
            Attempt::Status(status) => {
                self.lost(&status, peer);
                status.into()
            }
        })
    }
}
