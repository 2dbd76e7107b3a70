//! What a request says of its own body, where hyper would leave it out.

use axum::body::{Body, HttpBody};
use futures_util::stream::{self, StreamExt};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, BodyStream, StreamBody};

/// hyper takes it that a GET of unknown length has no body, and says nothing of the
/// length of an empty POST, which some servers refuse.
pub(super) async fn announced(
    req: Request<Body>,
    is_http1: bool,
) -> Result<Request<Body>, axum::Error> {
    let (mut parts, mut body) = req.into_parts();
    let headers = &mut parts.headers;
    let unknown = body.size_hint().exact().is_none();
    if headers.contains_key(CONTENT_LENGTH) || !is_http1 {
        return Ok(Request::from_parts(parts, body));
    }
    match parts.method {
        Method::POST | Method::PUT | Method::PATCH if body.is_end_stream() => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Method::GET | Method::HEAD if unknown => match body.frame().await.transpose()? {
            Some(first) => {
                headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                let first = stream::once(std::future::ready(Ok(first)));
                body = Body::new(StreamBody::new(first.chain(BodyStream::new(body))));
            }
            None => body = Body::empty(),
        },
        _ => {}
    }
    Ok(Request::from_parts(parts, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> = chunks.iter().map(|c| Ok::<_, axum::Error>(*c)).collect();
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_that_hyper_would_leave_out_is_announced() {
        let chunked = Some("transfer-encoding: chunked");
        let none = Some("content-length: 0");
        for (verb, is_http1, body, header, expected) in [
            ("GET", true, streamed(&["a", "b"]), chunked, "ab"),
            ("HEAD", true, streamed(&["a"]), chunked, "a"),
            ("GET", true, streamed(&[]), None, ""),
            ("GET", true, Body::from("ab"), None, "ab"),
            ("GET", true, Body::empty(), None, ""),
            ("GET", false, streamed(&["ab"]), None, "ab"),
            ("POST", true, streamed(&["ab"]), None, "ab"),
            ("POST", true, Body::empty(), none, ""),
            ("PUT", true, Body::empty(), none, ""),
            ("PATCH", true, Body::empty(), none, ""),
            ("DELETE", true, Body::empty(), None, ""),
            ("PUT", false, Body::empty(), None, ""),
        ] {
            let req = Request::builder().method(verb).body(body).unwrap();
            let (parts, body) = announced(req, is_http1).await.unwrap().into_parts();
            let headers: Vec<String> = parts
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            assert_eq!(
                headers.first().map(String::as_str),
                header,
                "{verb} {expected}"
            );
            let body = body.collect().await.unwrap().to_bytes();
            assert_eq!(body, expected, "{verb}");
        }
    }

    #[tokio::test]
    async fn a_length_that_is_known_stays_as_it_is() {
        let req = Request::get("/")
            .header(CONTENT_LENGTH, "2")
            .body(streamed(&["ab"]));
        let req = announced(req.unwrap(), true).await.unwrap();
        assert!(!req.headers().contains_key(TRANSFER_ENCODING));
    }
}
