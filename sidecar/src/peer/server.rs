//! The internal API: calls of other sidecars to this one's app.

use std::pin::Pin;

use axum::body::Body;
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::BodyExt;
use proto::dapr::common::v1::http_extension::Verb;
use proto::dapr::internals::v1 as wire;
use proto::dapr::internals::v1::service_invocation_server::ServiceInvocation;
use security::SpiffeId;
use tonic::{Request, Response, Status, Streaming};

use super::Caller;
use super::access::AccessList;
use super::body::{Incoming, chunks};
use super::headers;
use crate::api::errors::absent;
use crate::app::App;
use crate::invoke::InvokeMetrics;
use crate::invoke::local::{self, Answer, Inbound};

/// Serves `dapr.proto.internals.v1.ServiceInvocation`.
pub(crate) struct Server {
    app: App,
    access: Option<AccessList>,
    metrics: Option<InvokeMetrics>,
}

impl Server {
    pub(crate) fn new(
        app: App,
        access: Option<AccessList>,
        metrics: Option<InvokeMetrics>,
    ) -> Self {
        Self {
            app,
            access,
            metrics,
        }
    }

    /// One call, counted under the name of the caller: the one that its
    /// certificate proves, or else the one that it gives.
    async fn call(
        &self,
        caller: Option<&SpiffeId>,
        head: wire::InternalInvokeRequest,
        body: Body,
    ) -> Result<Answer, Status> {
        let Some(metrics) = &self.metrics else {
            return self.deliver(caller, head, body).await;
        };
        let given = || headers::first(&head.metadata, "dapr-caller-app-id").unwrap_or("unknown");
        let name = caller.map_or_else(given, |id| &id.app_id).to_owned();
        metrics.received(&name);
        let result = self.deliver(caller, head, body).await;
        let code = match &result {
            Ok(answer) => answer.code,
            Err(status) => status.code().into(),
        };
        metrics.answered(&name, code);
        result
    }

    async fn deliver(
        &self,
        caller: Option<&SpiffeId>,
        head: wire::InternalInvokeRequest,
        body: Body,
    ) -> Result<Answer, Status> {
        if !self.app.exists() {
            return Err(Status::internal("app channel is not initialized"));
        }
        let inbound = Inbound::from_wire(head, body)?;
        if let Some(access) = &self.access {
            let verb = Some(inbound.head.verb).filter(|v| *v != Verb::None);
            let verb = verb.filter(|_| !inbound.head.metadata.is_empty());
            let verb = verb.map(|v| v.as_str_name());
            access
                .check(caller, &inbound.head.method, verb)
                .map_err(Status::permission_denied)?;
        }
        local::call(&self.app, inbound)
            .await
            .map_err(|e| Status::internal(format!("error invoking app channel: {e}")))
    }
}

fn caller_of(extensions: &tonic::Extensions) -> Option<&SpiffeId> {
    extensions.get::<Caller>().map(|caller| &*caller.0)
}

fn incomplete() -> Status {
    let cause = "request does not contain the required fields in the leading chunk";
    Status::invalid_argument(format!("parsing InternalInvokeRequest error: {cause}"))
}

type Answers =
    Pin<Box<dyn Stream<Item = Result<wire::InternalInvokeResponseStream, Status>> + Send>>;

#[tonic::async_trait]
impl ServiceInvocation for Server {
    type CallLocalStreamStream = Answers;
    type CallActorStreamStream = stream::Empty<Result<wire::InternalInvokeResponse, Status>>;

    async fn call_local(
        &self,
        request: Request<wire::InternalInvokeRequest>,
    ) -> Result<Response<wire::InternalInvokeResponse>, Status> {
        let (_, extensions, mut head) = request.into_parts();
        let data = head
            .message
            .as_mut()
            .and_then(|m| m.data.as_mut())
            .map(|d| std::mem::take(&mut d.value));
        let answer = self
            .call(
                caller_of(&extensions),
                head,
                Body::from(data.unwrap_or_default()),
            )
            .await?;
        let (mut head, body) = answer.into_wire();
        let data = body
            .collect()
            .await
            .map_err(|e| Status::internal(format!("error invoking app channel: {e}")))?;
        let message = head.message.get_or_insert_default();
        message.data.get_or_insert_default().value = data.to_bytes().into();
        Ok(Response::new(head))
    }

    async fn call_local_stream(
        &self,
        request: Request<Streaming<wire::InternalInvokeRequestStream>>,
    ) -> Result<Response<Answers>, Status> {
        let (_, extensions, mut messages) = request.into_parts();
        let first = messages.message().await?.unwrap_or_default();
        let head = first
            .request
            .filter(|r| !r.metadata.is_empty() && r.message.is_some())
            .ok_or_else(incomplete)?;
        let rest = messages.map(|message| match message {
            Ok(m)
                if m.request
                    .as_ref()
                    .is_some_and(|r| !r.metadata.is_empty() || r.message.is_some()) =>
            {
                Err("a later message of the stream has a head".to_owned())
            }
            Ok(m) => Ok(m.payload),
            Err(status) => Err(status.message().to_owned()),
        });
        let body = Incoming::default().body(first.payload, rest);
        let (head, body) = self
            .deliver(extensions.get(), head, body)
            .await?
            .into_wire();
        let head = wire::InternalInvokeResponseStream {
            response: Some(head),
            payload: None,
        };
        let rest = chunks(body).map(|chunk| match chunk {
            Ok(payload) => Ok(wire::InternalInvokeResponseStream {
                response: None,
                payload: Some(payload),
            }),
            Err(e) => Err(Status::internal(format!("error invoking app channel: {e}"))),
        });
        let answers = stream::once(std::future::ready(Ok(head))).chain(rest);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn call_actor(
        &self,
        _: Request<wire::InternalInvokeRequest>,
    ) -> Result<Response<wire::InternalInvokeResponse>, Status> {
        Err(absent::placement().status())
    }

    async fn call_actor_reminder(
        &self,
        _: Request<wire::Reminder>,
    ) -> Result<Response<()>, Status> {
        Err(absent::placement().status())
    }

    async fn call_actor_stream(
        &self,
        _: Request<wire::InternalInvokeRequest>,
    ) -> Result<Response<Self::CallActorStreamStream>, Status> {
        Err(absent::placement().status())
    }
}
