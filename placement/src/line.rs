//! The way out of one stream: a bounded queue of encoded orders and a status.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::{Notify, mpsc};
use tonic::Status;

/// More orders than these nobody leaves unread who means well: rounds wait for
/// answers, only rounds that begin anew do not.
const MOST_ORDERS: usize = 1024;

/// How a stream ends; clones speak of the same stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Arc<State>);

#[derive(Debug, Default)]
struct State {
    status: OnceLock<Status>,
    ended: Notify,
    gone: Notify,
}

/// The queue's entry. The stream ends when it is dropped and the queue is empty.
#[derive(Debug)]
pub(crate) struct Outlet {
    queue: mpsc::Sender<Bytes>,
    line: Line,
}

/// The body of the answer.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// None when everything is said.
    queue: Option<mpsc::Receiver<Bytes>>,
    line: Line,
}

impl Line {
    pub(crate) fn open() -> (Self, Outlet, Orders) {
        let line = Self::default();
        let (sender, receiver) = mpsc::channel(MOST_ORDERS);
        let outlet = Outlet {
            queue: sender,
            line: line.clone(),
        };
        let orders = Orders {
            queue: Some(receiver),
            line: line.clone(),
        };
        (line, outlet, orders)
    }

    /// Ends the stream with this status, unless it has one already.
    pub(crate) fn end(&self, status: Status) {
        // The first reason is the true one.
        let _ = self.0.status.set(status);
        self.0.ended.notify_one();
    }

    /// Waits until the stream is to end; for one waiter.
    pub(crate) async fn ended(&self) {
        self.0.ended.notified().await;
    }

    /// Waits until nobody reads the answer any more; for one waiter.
    pub(crate) async fn gone(&self) {
        self.0.gone.notified().await;
    }

    /// The status that it ends with.
    pub(crate) fn status(&self) -> Option<&Status> {
        self.0.status.get()
    }
}

impl Outlet {
    /// Queues the frame of an order; false when the queue is full or nobody reads.
    pub(crate) fn send(&self, frame: Bytes) -> bool {
        self.queue.try_send(frame).is_ok()
    }

    /// Ends the stream after what is queued.
    pub(crate) fn end(self, status: Status) {
        self.line.end(status);
    }
}

impl Body for Orders {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(queue) = &mut self.queue else {
            return Poll::Ready(None);
        };
        match queue.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(frame)) => Poll::Ready(Some(Ok(Frame::data(frame)))),
            Poll::Ready(None) => {
                self.queue = None;
                let status = self.line.status().cloned();
                let status = status.unwrap_or_else(|| Status::ok(""));
                let mut trailers = HeaderMap::new();
                // It fails for texts that no header can hold; the code is set by then.
                let _ = status.add_header(&mut trailers);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.queue.is_none()
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.line.0.gone.notify_one();
    }
}
