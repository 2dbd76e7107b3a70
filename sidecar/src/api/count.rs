//! Bodies that tell how much went through them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Calls `done` once, with the bytes that were sent and the trailers: at the end
/// of the body, or when it is dropped before.
pub(crate) fn counted<F>(body: Body, done: F) -> Counted<F>
where
    F: FnOnce(u64, Option<&HeaderMap>) + Unpin + Send + 'static,
{
    Counted {
        body,
        size: 0,
        done: Some(done),
    }
}

pub(crate) struct Counted<F: FnOnce(u64, Option<&HeaderMap>)> {
    body: Body,
    size: u64,
    done: Option<F>,
}

impl<F: FnOnce(u64, Option<&HeaderMap>)> Counted<F> {
    fn end(&mut self, trailers: Option<&HeaderMap>) {
        if let Some(done) = self.done.take() {
            done(self.size, trailers);
        }
    }
}

impl<F: FnOnce(u64, Option<&HeaderMap>) + Unpin> HttpBody for Counted<F> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => self.size += data.len() as u64,
                (None, trailers) => self.end(trailers),
            },
            Some(Err(_)) | None => self.end(None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<F: FnOnce(u64, Option<&HeaderMap>)> Drop for Counted<F> {
    fn drop(&mut self) {
        self.end(None);
    }
}
