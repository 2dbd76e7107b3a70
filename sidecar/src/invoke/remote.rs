//! One try of a call to another sidecar.

use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use proto::dapr::internals::v1 as wire;
use proto::dapr::internals::v1::service_invocation_client::ServiceInvocationClient;
use telemetry::TraceContext;
use tokio::sync::oneshot;
use tonic::{Code, Status};

use super::local::{Answer, Head, Inbound};
use super::{Inner, Shape};
use crate::api::body;
use crate::api::metrics::Measured;
use crate::peer::headers::list;
use crate::peer::{Incoming, Line, Peer, chunks};

/// Why one try failed.
pub(super) enum Attempt {
    Status(Status),
    Other(String),
}

impl Inner {
    /// One try, counted.
    pub(super) async fn attempt(
        &self,
        peer: Peer<'_>,
        inbound: Inbound,
    ) -> Result<Answer, Attempt> {
        let Some(metrics) = &self.metrics else {
            return self.streamed(peer, inbound).await;
        };
        let start = Instant::now();
        metrics.sent(peer.app_id, Shape::Unary);
        let result = self.streamed(peer, inbound).await;
        let code = match &result {
            Ok(answer) => answer.code,
            Err(Attempt::Status(status)) => status.code().into(),
            Err(Attempt::Other(_)) => Code::Unknown.into(),
        };
        metrics.answer(peer.app_id, code, Shape::Unary, start);
        result
    }

    async fn streamed(&self, peer: Peer<'_>, mut inbound: Inbound) -> Result<Answer, Attempt> {
        self.mark(peer.app_id, &mut inbound.head);
        let mut client = self.client(peer).await?;
        let trace = inbound.head.trace.take();
        let (requests, broken) = requests(inbound);
        let requests = traced(requests, trace.as_ref());
        let answers = tokio::select! {
            answers = client.call_local_stream(requests) => answers.map_err(Attempt::Status)?,
            Ok(cause) = broken => return Err(Attempt::Other(cause)),
        };
        let mut answers = answers.into_inner();
        let first = answers
            .message()
            .await
            .map_err(Attempt::Status)?
            .unwrap_or_default();
        let head = first
            .response
            .ok_or_else(|| Attempt::Other("the peer answered without a head".into()))?;
        let rest = answers.map(|message| match message {
            Ok(m)
                if m.response
                    .as_ref()
                    .is_some_and(|r| r.status.is_some() || r.message.is_some()) =>
            {
                Err("a later message of the answer has a head".to_owned())
            }
            Ok(m) => Ok(m.payload),
            Err(status) => Err(status.message().to_owned()),
        });
        let body = Incoming::default().body(first.payload, rest);
        Answer::from_wire(head, body).map_err(Attempt::Other)
    }

    /// The whole call in one message, for peers that know no streams.
    pub(super) async fn unary(
        &self,
        peer: Peer<'_>,
        mut head: Head,
        data: Bytes,
    ) -> Result<Answer, Attempt> {
        self.mark(peer.app_id, &mut head);
        let trace = head.trace.take();
        let mut head = head.into_wire();
        let message = head.message.get_or_insert_default();
        message.data.get_or_insert_default().value = data.into();
        let answer = self
            .client(peer)
            .await?
            .call_local(traced(head, trace.as_ref()))
            .await;
        let mut head = answer.map_err(Attempt::Status)?.into_inner();
        let data = head.message.as_mut().and_then(|m| m.data.as_mut());
        let data = data.map(|d| std::mem::take(&mut d.value));
        Answer::from_wire(head, Body::from(data.unwrap_or_default())).map_err(Attempt::Other)
    }

    async fn client(
        &self,
        peer: Peer<'_>,
    ) -> Result<ServiceInvocationClient<Measured<Line>>, Attempt> {
        let line = self.pool.line(peer).await.map_err(Attempt::Status)?;
        Ok(ServiceInvocationClient::new(line)
            .max_decoding_message_size(self.max_message)
            .max_encoding_message_size(self.max_message))
    }

    /// What a callee learns of its caller.
    fn mark(&self, id: &str, head: &mut Head) {
        let metadata = &mut head.metadata;
        for (key, value) in [
            ("destination-app-id", id),
            ("dapr-caller-app-id", &self.app_id),
            ("dapr-caller-namespace", &self.namespace),
            ("dapr-callee-app-id", id),
        ] {
            metadata.insert(key.into(), list(value));
        }
        let address = if self.address.contains(':') {
            format!("\"[{}]\"", self.address)
        } else {
            self.address.clone()
        };
        let forwarded = format!("for={address};by={address};host={}", self.hostname);
        for (key, value) in [
            ("X-Forwarded-For", &self.address),
            ("X-Forwarded-Host", &self.hostname),
            ("Forwarded", &forwarded),
        ] {
            metadata
                .entry(key.into())
                .or_default()
                .values
                .push(value.clone());
        }
    }
}

/// The call itself belongs to the span too.
fn traced<T>(message: T, trace: Option<&TraceContext>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    if let Some(context) = trace {
        telemetry::headers::to_grpc(context, request.metadata_mut().as_mut());
    }
    request
}

/// The messages of a call. A body that breaks is reported on the side, and the
/// stream then never ends: to the callee a cut body must not look like a whole
/// one.
fn requests(
    inbound: Inbound,
) -> (
    impl tokio_stream::Stream<Item = wire::InternalInvokeRequestStream> + Send + 'static,
    oneshot::Receiver<String>,
) {
    let head = wire::InternalInvokeRequestStream {
        request: Some(inbound.head.into_wire()),
        payload: None,
    };
    let (sender, receiver) = oneshot::channel();
    let mut sender = Some(sender);
    let payloads = chunks(inbound.body).then(move |chunk| {
        let sender = if chunk.is_err() { sender.take() } else { None };
        async move {
            match (chunk, sender) {
                (Ok(payload), _) => wire::InternalInvokeRequestStream {
                    request: None,
                    payload: Some(payload),
                },
                (Err(e), sender) => {
                    if let Some(sender) = sender {
                        // Nobody listens once the callee has answered.
                        let _ = sender.send(body::cause(e).to_string());
                    }
                    std::future::pending().await
                }
            }
        }
    });
    (
        stream::once(std::future::ready(head)).chain(payloads),
        receiver,
    )
}
