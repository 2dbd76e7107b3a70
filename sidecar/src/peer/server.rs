//! The internal API: calls of other sidecars to this one's app.

use std::pin::Pin;

use axum::body::Body;
use futures_util::FutureExt;
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::BodyExt;
use proto::dapr::common::v1::http_extension::Verb;
use proto::dapr::internals::v1 as wire;
use proto::dapr::internals::v1::service_invocation_server::ServiceInvocation;
use security::SpiffeId;
use telemetry::attributes::{Hop, grpc_error, http_error};
use telemetry::{Span, Tracer};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::Caller;
use super::access::AccessList;
use super::body::{Incoming, chunks};
use super::headers;
use crate::actors::Actors;
use crate::app::{App, Protocol};
use crate::invoke::InvokeMetrics;
use crate::invoke::local::{self, Answer, Inbound};

/// Serves `dapr.proto.internals.v1.ServiceInvocation`.
pub(crate) struct Server {
    app: App,
    actors: Actors,
    access: Option<AccessList>,
    metrics: Option<InvokeMetrics>,
    tracing: Option<Tracing>,
}

/// Where the spans of calls that arrive begin.
pub(crate) struct Tracing {
    pub(crate) tracer: Tracer,
    pub(crate) app_id: String,
}

impl Server {
    pub(crate) fn new(
        app: App,
        actors: Actors,
        access: Option<AccessList>,
        metrics: Option<InvokeMetrics>,
        tracing: Option<Tracing>,
    ) -> Self {
        Self {
            app,
            actors,
            access,
            metrics,
            tracing,
        }
    }

    fn span(&self, metadata: &MetadataMap, head: &wire::InternalInvokeRequest) -> Option<Span> {
        let tracing = self.tracing.as_ref()?;
        let parent = telemetry::headers::from_grpc(metadata.as_ref());
        let method = head.message.as_ref().map_or("", |m| m.method.as_str());
        let hop = Hop::Invoked {
            app_id: &tracing.app_id,
            method,
        };
        Some(hop.start(&tracing.tracer, parent.as_ref()))
    }

    /// One call, counted under the name of the caller: the one that its
    /// certificate proves, or else the one that it gives.
    async fn call(
        &self,
        caller: Option<&SpiffeId>,
        span: Option<&Span>,
        head: wire::InternalInvokeRequest,
        body: Body,
    ) -> Result<Answer, Status> {
        let Some(metrics) = &self.metrics else {
            return self.deliver(caller, span, head, body).await;
        };
        let given = || headers::first(&head.metadata, "dapr-caller-app-id").unwrap_or("unknown");
        let name = caller.map_or_else(given, |id| &id.app_id).to_owned();
        metrics.received(&name);
        let result = self.deliver(caller, span, head, body).await;
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
        span: Option<&Span>,
        head: wire::InternalInvokeRequest,
        body: Body,
    ) -> Result<Answer, Status> {
        if !self.app.exists() {
            return Err(Status::internal("app channel is not initialized"));
        }
        let mut inbound = Inbound::from_wire(head, body)?;
        inbound.head.trace = span.and_then(Span::context).cloned();
        if let Some(access) = &self.access {
            let verb = Some(inbound.head.verb).filter(|v| *v != Verb::None);
            let is_grpc = self.app.protocol().is_some_and(Protocol::is_grpc);
            let verb = verb.filter(|_| !inbound.head.metadata.is_empty() && !is_grpc);
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

/// A failed call is a failed span.
fn ended(span: Option<&mut Span>, answer: Result<Answer, Status>) -> Result<Answer, Status> {
    if let Some(span) = span {
        let error = match &answer {
            Ok(answer) if answer.code >= 100 => {
                http_error(u16::try_from(answer.code).unwrap_or(u16::MAX))
            }
            Ok(answer) => grpc_error(answer.code, &answer.message),
            Err(status) => grpc_error(status.code().into(), status.message()),
        };
        span.status(error);
    }
    answer
}

/// The answer tells the trace that the call belonged to.
fn told<T>(message: T, span: Option<&Span>) -> Response<T> {
    let mut response = Response::new(message);
    if let Some(context) = span.and_then(Span::context) {
        let context = telemetry::headers::grpc_trace_bin(context);
        let metadata = response.metadata_mut().as_mut();
        metadata.insert(telemetry::headers::GRPC_TRACE_BIN, context);
    }
    response
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
        let (metadata, extensions, mut head) = request.into_parts();
        let mut span = self.span(&metadata, &head);
        let data = head
            .message
            .as_mut()
            .and_then(|m| m.data.as_mut())
            .map(|d| std::mem::take(&mut d.value));
        let body = Body::from(data.unwrap_or_default());
        let called = self.call(caller_of(&extensions), span.as_ref(), head, body);
        let called = called.await;
        let answer = ended(span.as_mut(), called)?;
        let (mut head, body) = answer.into_wire();
        let data = body
            .collect()
            .await
            .map_err(|e| Status::internal(format!("error invoking app channel: {e}")))?;
        let message = head.message.get_or_insert_default();
        message.data.get_or_insert_default().value = data.to_bytes().into();
        Ok(told(head, span.as_ref()))
    }

    async fn call_local_stream(
        &self,
        request: Request<Streaming<wire::InternalInvokeRequestStream>>,
    ) -> Result<Response<Answers>, Status> {
        let (metadata, extensions, mut messages) = request.into_parts();
        let first = messages.message().await?.unwrap_or_default();
        let head = first
            .request
            .filter(|r| !r.metadata.is_empty() && r.message.is_some())
            .ok_or_else(incomplete)?;
        let mut span = self.span(&metadata, &head);
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
        let called = self.call(caller_of(&extensions), span.as_ref(), head, body);
        let called = called.await;
        let (head, body) = ended(span.as_mut(), called)?.into_wire();
        let message = |chunk| match chunk {
            Ok(payload) => Ok(wire::InternalInvokeResponseStream {
                response: None,
                payload: Some(payload),
            }),
            Err(e) => Err(Status::internal(format!("error invoking app channel: {e}"))),
        };
        // What is there of the body already travels with the head.
        let mut rest = Box::pin(chunks(body).fuse());
        let (payload, broken) = match rest.next().now_or_never().flatten() {
            Some(Ok(payload)) => (Some(payload), None),
            Some(Err(e)) => (None, Some(message(Err(e)))),
            None => (None, None),
        };
        let head = wire::InternalInvokeResponseStream {
            response: Some(head),
            payload,
        };
        let rest = stream::iter(broken).chain(rest.map(message));
        let answers = stream::once(std::future::ready(Ok(head))).chain(rest);
        Ok(told(Box::pin(answers) as Answers, span.as_ref()))
    }

    async fn call_actor(
        &self,
        request: Request<wire::InternalInvokeRequest>,
    ) -> Result<Response<wire::InternalInvokeResponse>, Status> {
        let answer = self.actors.called(request.into_inner()).await;
        answer.map(Response::new)
    }

    async fn call_actor_reminder(
        &self,
        request: Request<wire::Reminder>,
    ) -> Result<Response<()>, Status> {
        let answer = self.actors.reminded(request.into_inner()).await;
        answer.map(Response::new)
    }

    /// Only actors of the runtime's own answer with streams.
    async fn call_actor_stream(
        &self,
        _: Request<wire::InternalInvokeRequest>,
    ) -> Result<Response<Self::CallActorStreamStream>, Status> {
        Err(Status::unimplemented("not implemented"))
    }
}
