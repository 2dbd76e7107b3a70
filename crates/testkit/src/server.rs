//! A server whose answers a test writes by hand: streams that stall, break or
//! never come, HTTP/1.1 and HTTP/2, with and without TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

/// Why a body breaks off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body of any making.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Sends the frames of a body; an error breaks the body off.
pub type BodySender = mpsc::Sender<Result<Frame<Bytes>, BodyError>>;

/// A body that is there at once.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that comes as it is sent; dropping the sender ends it.
pub fn channel() -> (BodySender, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let body = StreamBody::new(ReceiverStream::new(receiver));
    (sender, body.boxed_unsync())
}

/// A running server; it stops and cuts its connections when it is dropped.
#[derive(Debug)]
pub struct Server {
    port: u16,
    requests: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl Server {
    /// Serves on a free port. The future of a request whose client goes away is
    /// dropped.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start<F, A>(answer: F) -> anyhow::Result<Self>
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::launch(None, answer).await
    }

    /// The same over TLS.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start_tls<F, A>(tls: Arc<ServerConfig>, answer: F) -> anyhow::Result<Self>
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::launch(Some(tls.into()), answer).await
    }

    async fn launch<F, A>(tls: Option<TlsAcceptor>, answer: F) -> anyhow::Result<Self>
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let port = crate::free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot bind {address}"))?;
        let requests = Arc::<AtomicUsize>::default();
        let accepting = accept(listener, tls, Arc::new(answer), Arc::clone(&requests));
        #[allow(clippy::disallowed_methods)] // Drop aborts it; tests have no task tracker.
        let accepting = tokio::spawn(accepting).abort_handle();
        Ok(Self {
            port,
            requests,
            accepting,
        })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many requests have reached it.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<F, A>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answer: Arc<F>,
    requests: Arc<AtomicUsize>,
) where
    F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    // Dropping the set with this future cuts the open connections.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
            Some(_) = connections.join_next() => continue,
        };
        let _ = stream.set_nodelay(true);
        let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
        connections.spawn(converse(stream, tls.clone(), move |request| {
            requests.fetch_add(1, Ordering::Relaxed);
            answer(request)
        }));
    }
}

/// Handshakes that fail and clients that leave early are part of what tests do.
async fn converse<F, A>(stream: TcpStream, tls: Option<TlsAcceptor>, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Send,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    match tls {
        None => serve(TokioIo::new(stream), answer).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(TokioIo::new(stream), answer).await;
            }
        }
    }
}

async fn serve<S, F, A>(stream: S, answer: F)
where
    S: Read + Write + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(|request| {
        let answering = answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(10_000);
    let _ = builder.serve_connection(stream, service).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Authority, Leaf};
    use crate::{Connection, DEADLINE, Http, eventually};

    #[tokio::test]
    async fn a_body_comes_as_it_is_sent_and_breaks_off_on_an_error() {
        let (sender, body) = channel();
        let body = std::sync::Mutex::new(Some(body));
        let server = Server::start(move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async move { Response::new(body) }
        })
        .await
        .unwrap();
        let mut connection = Connection::open(server.port()).await.unwrap();
        let response = connection.get("/").await.unwrap();
        let mut body = response.into_body();
        for text in ["one", "two"] {
            let frame = Frame::data(Bytes::from(text));
            sender.send(Ok(frame)).await.unwrap();
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), text);
        }
        sender.send(Err("enough".into())).await.unwrap();
        assert!(body.frame().await.unwrap().is_err());
        assert_eq!(server.requests(), 1);
    }

    #[tokio::test]
    async fn tls_is_spoken_and_plain_text_is_not_served() {
        let authority = Authority::root("a test");
        let leaf = authority.leaf(Leaf {
            name: "127.0.0.1",
            expired: false,
        });
        let answer = |_| async { Response::new(full("hello")) };
        let server = Server::start_tls(leaf.server(None), answer).await.unwrap();
        assert!(Http::port(server.port()).get("/").await.is_err());
        let tls = crate::pki::credulous_client(None);
        let status = eventually(DEADLINE, async || {
            crate::http2_over_tls(server.port(), tls.clone(), "/", "").await
        });
        assert_eq!(status.await, 200);
        assert_eq!(server.requests(), 1);
    }
}
