//! Proxied calls under a policy: a call is kept as a whole, so that it can be made
//! again and its end can be judged.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, request};
use http_body::Frame;
use http_body_util::{BodyExt, Limited, StreamBody};
use resiliency::{Policy, Verdict};
use tonic::Status;

use super::{given_up, open, send};
use crate::api::log::grpc_code;
use crate::invoke::Inner;

/// The flag and the length in front of each message.
const PREFIX: usize = 5;

/// A request or an answer, with what comes after its messages.
struct Whole<T> {
    head: T,
    data: Bytes,
    trailers: Option<HeaderMap>,
}

pub(super) async fn call(
    me: &Inner,
    to: (&str, &str),
    policy: &Policy,
    req: Request,
) -> Result<Response, Status> {
    let (head, body) = req.into_parts();
    let (data, trailers) = kept(body, me.max_message).await?;
    if policy.retries() && messages(&data) > 1 {
        let text =
            "a call with retries has one request message; say dapr-stream: true in its metadata";
        return Err(Status::failed_precondition(text));
    }
    let request = Whole {
        head,
        data,
        trailers,
    };
    let attempt = || async {
        let line = open(me, to).await?;
        let response = send(line, request.again()).await?;
        let (head, body) = response.into_parts();
        let (data, trailers) = kept(body, me.max_message).await?;
        Ok(Whole {
            head,
            data,
            trailers,
        })
    };
    let answer = policy.run(verdict, attempt).await.map_err(given_up)?;
    let body = framed(answer.data, answer.trailers);
    Ok(Response::from_parts(answer.head, body))
}

impl Whole<request::Parts> {
    fn again(&self) -> Request {
        let body = framed(self.data.clone(), self.trailers.clone());
        Request::from_parts(self.head.clone(), body)
    }
}

fn verdict(result: &Result<Whole<http::response::Parts>, Status>) -> Verdict {
    let code = match result {
        Ok(answer) => {
            let end = answer.trailers.as_ref().and_then(grpc_code);
            let code = end.or_else(|| grpc_code(&answer.head.headers));
            i32::try_from(code.unwrap_or(0)).unwrap_or(2)
        }
        Err(status) => status.code().into(),
    };
    match code {
        0 => Verdict::Success,
        code => Verdict::Failure { code: Some(code) },
    }
}

async fn kept(body: Body, most: usize) -> Result<(Bytes, Option<HeaderMap>), Status> {
    let collected = Limited::new(body, most.saturating_add(PREFIX))
        .collect()
        .await;
    let collected = collected.map_err(|e| {
        if e.is::<http_body_util::LengthLimitError>() {
            let text = "the call is too large to be kept for its policy; raise --max-body-size";
            return Status::resource_exhausted(text);
        }
        Status::unavailable(e.to_string())
    })?;
    let trailers = collected.trailers().cloned();
    Ok((collected.to_bytes(), trailers))
}

fn framed(data: Bytes, trailers: Option<HeaderMap>) -> Body {
    let data = (!data.is_empty()).then(|| Frame::data(data));
    let frames = data.into_iter().chain(trailers.map(Frame::trailers));
    let frames = frames.map(Ok::<_, std::convert::Infallible>);
    Body::new(StreamBody::new(stream::iter(frames)))
}

/// The number of messages, counted by their prefixes.
pub fn messages(mut data: &[u8]) -> usize {
    let mut count = 0;
    while let Some((prefix, rest)) = data.split_at_checked(PREFIX) {
        count += 1;
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
        data = rest.get(length as usize..).unwrap_or_default();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_their_prefixes() {
        for (data, expected) in [
            (&b""[..], 0),
            (b"\0\0\0\0\0", 1),
            (b"\0\0\0\0\x02ab", 1),
            (b"\0\0\0\0\x02ab\0\0\0\0\0", 2),
            (b"\0\0\0\xff\xffab", 1),
            (b"\0\0", 0),
        ] {
            assert_eq!(messages(data), expected, "{data:?}");
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_given_back_with_its_trailers() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("14"));
        let body = framed(Bytes::from_static(b"x"), Some(trailers.clone()));
        let (data, found) = kept(body, 10).await.unwrap();
        assert_eq!((&*data, found), (&b"x"[..], Some(trailers)));
        let refused = kept(Body::from(vec![0; 100]), 10).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    }
}
