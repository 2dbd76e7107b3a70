//! Calls over one HTTP/2 connection of hyper's, without a queue in front.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http2::SendRequest;
use prost::Message;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use crate::api::metrics::Measured;

/// The largest answer in bytes: all jobs of an app come in one.
const LARGEST: usize = 64 << 20;
/// The flag and the length in front of each message.
const FRAME_HEAD: usize = 5;

/// A way to one scheduler.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) authority: Authority,
    pub(super) sender: SendRequest<tonic::body::Body>,
}

/// A message as gRPC frames it; clones share it.
#[derive(Clone)]
pub(super) struct Framed(Bytes);

impl Framed {
    pub(super) fn new(message: &impl Message) -> Self {
        let length = message.encoded_len();
        let mut data = BytesMut::with_capacity(FRAME_HEAD + length);
        data.put_u8(0);
        // No scheduler takes more than that.
        data.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        message.encode_raw(&mut data);
        Self(data.freeze())
    }
}

/// One call with one answer, which may take so long.
pub(super) async fn unary<A: Message + Default>(
    line: Measured<Line>,
    method: &'static str,
    message: Framed,
    time: Duration,
) -> Result<A, Status> {
    // It leaves in one piece with the head.
    let body = tonic::body::Body::new(Full::new(message.0));
    let mut req = Request::new(body);
    *req.method_mut() = Method::POST;
    *req.uri_mut() = Uri::from_static(method);
    let head = req.headers_mut();
    head.insert(TE, HeaderValue::from_static("trailers"));
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    // Whole seconds are mostly the same text, which HTTP/2 sends as a number.
    if let Ok(time) = format!("{}S", time.as_secs() + 1).try_into() {
        head.insert("grpc-timeout", time);
    }
    let response = line.oneshot(req).await?;
    refused(Status::from_header_map(response.headers()))?;
    let (head, body) = response.into_parts();
    let answer = Limited::new(body, LARGEST).collect().await;
    let answer = answer.map_err(|e| match e.is::<LengthLimitError>() {
        true => Status::out_of_range(format!("the answer has more than {LARGEST} bytes")),
        false => Status::from_error(e),
    })?;
    match answer.trailers().and_then(Status::from_header_map) {
        None if head.status == StatusCode::OK => {
            return Err(Status::internal("the answer has no status"));
        }
        None => {
            return Err(Status::unknown(format!(
                "the answer is HTTP {}",
                head.status
            )));
        }
        status => refused(status)?,
    }
    decode(answer.to_bytes()).ok_or_else(|| Status::internal("the answer cannot be read"))
}

fn refused(status: Option<Status>) -> Result<(), Status> {
    match status {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

/// The message of an answer; it has one, and none is compressed.
fn decode<A: Message + Default>(mut data: Bytes) -> Option<A> {
    let [0, length @ ..] = *data.first_chunk::<FRAME_HEAD>()? else {
        return None;
    };
    data.advance(FRAME_HEAD);
    let whole = data.len() == u32::from_be_bytes(length) as usize;
    whole.then(|| A::decode(data).ok()).flatten()
}

type Sending = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

impl Service<Request<tonic::body::Body>> for Line {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Sending;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.sender.poll_ready(cx).map_err(broken)
    }

    fn call(&mut self, mut req: Request<tonic::body::Body>) -> Sending {
        // HTTP/2 wants the whole address; the scheme says nothing about TLS here.
        let mut uri = std::mem::take(req.uri_mut()).into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
        *req.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        let sending = self.sender.send_request(req);
        Box::pin(async move { Ok(sending.await.map_err(broken)?.map(Body::new)) })
    }
}

/// Its source tells whether the call was sent.
fn broken(error: hyper::Error) -> Status {
    Status::from_error(Box::new(error))
}

#[cfg(test)]
mod tests {
    use proto::dapr::scheduler::v1 as wire;

    use super::*;

    #[test]
    fn an_answer_is_one_whole_message() {
        let job = wire::GetJobRequest {
            name: "a".into(),
            ..wire::GetJobRequest::default()
        };
        let Framed(data) = Framed::new(&job);
        assert_eq!(decode(data.clone()), Some(job));
        let read = |data: &[u8]| decode::<wire::GetJobRequest>(Bytes::copy_from_slice(data));
        for end in 0..data.len() {
            assert_eq!(read(&data[..end]), None, "{end}");
        }
        let mut compressed = data.to_vec();
        compressed[0] = 1;
        assert_eq!(read(&compressed), None);
        assert_eq!(read(&[&*data, &[0]].concat()), None, "more than one");
    }
}
