//! A small HTTP client: one connection per call, TCP or unix socket.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

use crate::DEADLINE;

/// A server to call.
#[derive(Debug, Clone)]
pub struct Http {
    target: Target,
    headers: Vec<(String, String)>,
    within: Duration,
}

#[derive(Debug, Clone)]
enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, empty when there is none.
    pub body: Bytes,
}

impl Http {
    /// Calls 127.0.0.1 on this port.
    pub fn port(port: u16) -> Self {
        Self::new(Target::Tcp(SocketAddr::from(([127, 0, 0, 1], port))))
    }

    /// Calls the unix socket at this path.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::new(Target::Unix(path.into()))
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            headers: Vec::new(),
            within: DEADLINE,
        }
    }

    /// Sends this header with every call.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the deadline of a call.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.within = deadline;
        self
    }

    /// GET without a body.
    ///
    /// # Errors
    /// When no answer comes; every status is an answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// DELETE without a body.
    ///
    /// # Errors
    /// When no answer comes; every status is an answer.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Reply> {
        self.call(Method::DELETE, path, Bytes::new()).await
    }

    /// POST with a body of bytes or text.
    ///
    /// # Errors
    /// When no answer comes; every status is an answer.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> anyhow::Result<Reply> {
        self.call(Method::POST, path, body).await
    }

    /// PUT with a body of bytes or text.
    ///
    /// # Errors
    /// When no answer comes; every status is an answer.
    pub async fn put(&self, path: &str, body: impl Into<Bytes>) -> anyhow::Result<Reply> {
        self.call(Method::PUT, path, body).await
    }

    /// POST with a JSON body and its content type.
    ///
    /// # Errors
    /// When no answer comes; every status is an answer.
    pub async fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        let client = self.clone().header("content-type", "application/json");
        client.post(path, body.to_string()).await
    }

    /// One request; `path` may hold a query and is sent as it stands.
    ///
    /// # Errors
    /// When no answer comes; every status is an answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Reply> {
        let mut request = Request::builder().method(&method).uri(path);
        let named_host = self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"));
        if !named_host {
            request = request.header("host", "localhost");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into()))?;
        let exchange = async {
            match &self.target {
                Target::Tcp(address) => send(TcpStream::connect(address).await?, request).await,
                Target::Unix(path) => send(UnixStream::connect(path).await?, request).await,
            }
        };
        tokio::time::timeout(self.within, exchange)
            .await
            .with_context(|| format!("{method} {path}: no answer within {:?}", self.within))?
            .with_context(|| format!("{method} {path}"))
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Reply>
where
    TokioIo<S>: Read + Write + Unpin,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        anyhow::Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    };
    // The connection may end before the exchange has read its last bytes.
    let driver = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        reply = exchange => reply,
        () = driver => unreachable!("the driver never returns"),
    }
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{} {:?} is not JSON: {error}", self.status, self.text()),
        }
    }

    /// A header's value, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Checks the status and hands the answer on.
    ///
    /// # Panics
    /// When the status differs.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "body: {}", self.text());
        self
    }

    /// Checks status and `errorCode` of an error answer and returns its message.
    ///
    /// # Panics
    /// When one of them differs.
    #[track_caller]
    pub fn expect_error(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "body: {}", self.text());
        let body = self.json();
        assert_eq!(body["errorCode"], code, "body: {body}");
        body["message"].as_str().unwrap_or_default().to_owned()
    }
}
