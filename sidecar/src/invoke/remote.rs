//! One try of a call to another sidecar.

use std::future::Future;
use std::time::Instant;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderValue, Uri};
use http_body_util::Full;
use prost::Message;
use proto::dapr::common::v1::StreamPayload;
use proto::dapr::internals::v1 as wire;
use proto::dapr::internals::v1::service_invocation_client::ServiceInvocationClient;
use telemetry::TraceContext;
use tokio::sync::oneshot;
use tonic::codec::{Codec, Streaming};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::ServiceExt;

use super::local::{Answer, Head, Inbound};
use super::{Inner, Shape};
use crate::api::body;
use crate::api::metrics::Measured;
use crate::peer::headers::list;
use crate::peer::{CHUNK, Incoming, Line, Peer, chunks};

const METHOD: &str = "/dapr.proto.internals.v1.ServiceInvocation/CallLocalStream";

/// Why one try failed.
pub(super) enum Attempt {
    Status(Status),
    Other(String),
}

/// A call whose body is in memory, as it goes over the wire: written once, sent at
/// every try.
pub(super) struct Framed {
    data: Bytes,
    body: Bytes,
    trace: Option<TraceContext>,
}

impl Framed {
    /// The head travels with the first chunk.
    fn new(mut head: Head, body: Bytes) -> Self {
        let trace = head.trace.take();
        let mut data = BytesMut::with_capacity(FRAME_HEAD + HEAD + body.len());
        let mut request = Some(head.into_wire());
        let mut left = body.clone();
        for seq in 0.. {
            let chunk = left.split_to(left.len().min(CHUNK));
            let payload = (!chunk.is_empty()).then_some(StreamPayload { data: chunk, seq });
            if request.is_none() && payload.is_none() {
                break;
            }
            let request = request.take();
            frame(
                &mut data,
                &wire::InternalInvokeRequestStream { request, payload },
            );
        }
        Self {
            data: data.freeze(),
            body,
            trace,
        }
    }

    /// The head of the call.
    fn head(&self) -> Result<wire::InternalInvokeRequest, Attempt> {
        let Some((prefix, rest)) = self.data.split_first_chunk::<FRAME_HEAD>() else {
            return Err(Attempt::Other("the call has no head".into()));
        };
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        let first = rest.get(..length).unwrap_or_default();
        let first = wire::InternalInvokeRequestStream::decode(first);
        let first = first.map_err(|e| Attempt::Other(e.to_string()))?;
        Ok(first.request.unwrap_or_default())
    }
}

/// The flag and the length in front of each message.
const FRAME_HEAD: usize = 5;
/// About as much as the head of a call takes.
const HEAD: usize = 1024;

/// Adds a message as gRPC frames it, not compressed.
fn frame(data: &mut BytesMut, message: &impl Message) {
    let length = message.encoded_len();
    data.reserve(FRAME_HEAD + length);
    data.put_u8(0);
    // A chunk and a head are far below this bound.
    data.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(data);
}

impl Inner {
    /// One try with a body that streams, counted.
    pub(super) async fn attempt(
        &self,
        peer: Peer<'_>,
        inbound: Inbound,
    ) -> Result<Answer, Attempt> {
        self.counted(peer, self.streamed(peer, inbound)).await
    }

    /// One try with a body that is in memory, counted.
    pub(super) async fn attempt_framed(
        &self,
        peer: Peer<'_>,
        call: &Framed,
    ) -> Result<Answer, Attempt> {
        self.counted(peer, self.sent(peer, call)).await
    }

    async fn counted(
        &self,
        peer: Peer<'_>,
        call: impl Future<Output = Result<Answer, Attempt>>,
    ) -> Result<Answer, Attempt> {
        let Some(metrics) = &self.metrics else {
            return call.await;
        };
        let start = Instant::now();
        metrics.sent(peer.app_id, Shape::Unary);
        let result = call.await;
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
        answered(answers.into_inner()).await
    }

    /// The messages are one body of known size, so that they leave together.
    async fn sent(&self, peer: Peer<'_>, call: &Framed) -> Result<Answer, Attempt> {
        let line = self.pool.line(peer).await.map_err(Attempt::Status)?;
        let body = tonic::body::Body::new(Full::new(call.data.clone()));
        let mut req = http::Request::new(body);
        *req.method_mut() = http::Method::POST;
        *req.uri_mut() = Uri::from_static(METHOD);
        let head = req.headers_mut();
        head.insert(TE, HeaderValue::from_static("trailers"));
        head.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        if let Some(context) = &call.trace {
            telemetry::headers::to_grpc(context, head);
        }
        let response = line.oneshot(req).await.map_err(Attempt::Status)?;
        if let Some(status) = Status::from_header_map(response.headers())
            && status.code() != Code::Ok
        {
            return Err(Attempt::Status(status));
        }
        let (head, body) = response.into_parts();
        let decoder = ProstCodec::<(), wire::InternalInvokeResponseStream>::default().decoder();
        let most = Some(self.max_message);
        let answers = Streaming::new_response(decoder, body, head.status, None, most);
        answered(answers).await
    }

    /// What is written once of a call.
    pub(super) fn framed(&self, id: &str, mut head: Head, body: Bytes) -> Framed {
        self.mark(id, &mut head);
        Framed::new(head, body)
    }

    /// The whole call in one message, for peers that know no streams.
    pub(super) async fn unary(&self, peer: Peer<'_>, call: &Framed) -> Result<Answer, Attempt> {
        let mut head = call.head()?;
        let message = head.message.get_or_insert_default();
        message.data.get_or_insert_default().value = call.body.to_vec();
        let request = traced(head, call.trace.as_ref());
        let answer = self.client(peer).await?.call_local(request).await;
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
        for (key, value) in [
            ("X-Forwarded-For", &self.address),
            ("X-Forwarded-Host", &self.hostname),
            ("Forwarded", &self.forwarded),
        ] {
            metadata
                .entry(key.into())
                .or_default()
                .values
                .push(value.clone());
        }
    }
}

/// The answer, as soon as its head is there.
async fn answered(
    mut answers: Streaming<wire::InternalInvokeResponseStream>,
) -> Result<Answer, Attempt> {
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

#[cfg(test)]
mod tests {
    use proto::dapr::common::v1::http_extension::Verb;

    use super::*;

    fn head() -> Head {
        Head {
            method: "orders".into(),
            verb: Verb::Post,
            query: String::new(),
            content_type: "a/b".into(),
            type_url: String::new(),
            metadata: [("X".to_owned(), list("1"))].into(),
            trace: None,
        }
    }

    /// The messages that a callee reads.
    fn messages(mut data: &[u8]) -> Vec<wire::InternalInvokeRequestStream> {
        let mut out = Vec::new();
        while let Some((prefix, rest)) = data.split_first_chunk::<FRAME_HEAD>() {
            let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
            let (message, rest) = rest.split_at(length as usize);
            out.push(wire::InternalInvokeRequestStream::decode(message).unwrap());
            data = rest;
        }
        out
    }

    #[test]
    fn the_head_travels_with_the_first_chunk_and_the_others_follow() {
        for (size, count) in [(0, 1), (1, 1), (CHUNK, 1), (CHUNK + 1, 2), (3 * CHUNK, 3)] {
            let body = Bytes::from(vec![7; size]);
            let framed = Framed::new(head(), body.clone());
            let messages = messages(&framed.data);
            assert_eq!(messages.len(), count, "{size}");
            let heads = messages.iter().map(|m| m.request.is_some());
            assert!(heads.enumerate().all(|(at, is)| is == (at == 0)), "{size}");
            let payloads: Vec<_> = messages.into_iter().filter_map(|m| m.payload).collect();
            assert!(
                payloads
                    .iter()
                    .enumerate()
                    .all(|(at, p)| p.seq == at as u64)
            );
            let joined: Vec<u8> = payloads.iter().flat_map(|p| p.data.to_vec()).collect();
            assert_eq!(joined, body, "{size}");
            let read = framed.head().unwrap_or_else(|_| panic!("{size}"));
            assert_eq!(read, head().into_wire());
        }
    }
}
