//! A connection that runs in one task, with everything that it starts.
//!
//! hyper hands its executor a future for each call of an HTTP/2 connection. As a task
//! of its own each would wake threads, for itself and again for its answer. Here they
//! run where the connection does, and what they have to say leaves together.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, mem};

use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::rt::Executor;
use parking_lot::Mutex;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The executor of one connection; clones are the same.
#[derive(Clone, Default)]
pub struct Inline {
    started: Arc<Mutex<Vec<Work>>>,
}

impl Inline {
    /// Runs the connection that this executor was given to.
    pub fn drive<C: Future>(self, connection: C) -> Driven<C> {
        Driven {
            connection: Some(Box::pin(connection)),
            calls: FuturesUnordered::new(),
            executor: self,
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Inline {
    fn execute(&self, work: F) {
        self.started.lock().push(Box::pin(work));
    }
}

impl fmt::Debug for Inline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inline")
    }
}

/// A connection and all that it started; it ends when all of that has ended.
pub struct Driven<C> {
    /// None when it has ended: what it holds may be what the rest waits for.
    connection: Option<Pin<Box<C>>>,
    calls: FuturesUnordered<Work>,
    executor: Inline,
}

impl<C: Future> Driven<C> {
    /// The connection, while it lasts.
    pub fn connection(&mut self) -> Option<Pin<&mut C>> {
        self.connection.as_mut().map(Pin::as_mut)
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = self.connection()
            && connection.poll(cx).is_ready()
        {
            self.connection = None;
        }
    }

    fn poll_calls(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while ready!(self.calls.poll_next_unpin(cx)).is_some() {}
        Poll::Ready(())
    }

    fn take_started(&self) -> Vec<Work> {
        mem::take(&mut *self.executor.started.lock())
    }
}

impl<C: Future> Future for Driven<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // What calls have to say is there before the connection writes.
            let calls = self.poll_calls(cx);
            self.poll_connection(cx);
            let started = self.take_started();
            if started.is_empty() {
                return match self.connection {
                    Some(_) => Poll::Pending,
                    None => calls,
                };
            }
            self.calls.extend(started);
        }
    }
}

impl<C> Drop for Driven<C> {
    fn drop(&mut self) {
        // What was started holds the executor, which holds what was started.
        let started = mem::take(&mut *self.executor.started.lock());
        drop(started);
    }
}

impl<C> fmt::Debug for Driven<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Driven").field(&self.calls.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::body::Incoming;
    use hyper::client::conn::http2 as client;
    use hyper::server::conn::http2 as server;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::sync::Barrier;

    use super::*;

    /// Answers when so many calls are there.
    async fn serve(io: tokio::io::DuplexStream, calls: usize) {
        let together = Arc::new(Barrier::new(calls));
        let service = service_fn(|request: Request<Incoming>| {
            let together = together.clone();
            async move {
                together.wait().await;
                Ok::<_, Infallible>(Response::new(request.into_body()))
            }
        });
        let inline = Inline::default();
        let protocol = server::Builder::new(inline.clone());
        inline
            .drive(protocol.serve_connection(TokioIo::new(io), service))
            .await;
    }

    #[tokio::test]
    async fn calls_of_one_connection_do_not_wait_for_each_other_and_all_ends_with_it() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let inline = Inline::default();
        let opened = client::handshake(inline.clone(), TokioIo::new(near)).await;
        let (sender, connection) = opened.unwrap();
        let calls = async {
            let calls = (0..200_u32).map(|number| {
                let (mut sender, text) = (sender.clone(), number.to_string());
                async move {
                    let body = Full::new(Bytes::from(text.clone()));
                    let request = Request::post("http://a/").body(body).unwrap();
                    let answer = sender.send_request(request).await.unwrap();
                    let body = answer.into_body().collect().await.unwrap().to_bytes();
                    assert_eq!(body, text);
                }
            });
            futures_util::future::join_all(calls).await;
            // Without a sender the client's end closes the connection.
            drop(sender);
        };
        tokio::join!(serve(far, 200), inline.drive(connection), calls);
    }

    #[test]
    fn what_is_dropped_before_it_ran_leaves_nothing_behind() {
        let inline = Inline::default();
        let left = Arc::downgrade(&inline.started);
        let (started, executor) = (inline.clone(), inline.clone());
        let driven = inline.drive(pending::<()>());
        started.execute(async move {
            let _executor = executor;
            pending::<()>().await;
        });
        drop((started, driven));
        assert_eq!(left.strong_count(), 0);
    }
}
