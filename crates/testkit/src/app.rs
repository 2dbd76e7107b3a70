//! A user's application, as far as a sidecar sees it: an HTTP server that
//! answers from one function and records what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// One request as the app received it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The verb.
    pub method: String,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query without its question mark, empty when there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Recorded {
    /// A header's value, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// What the app answers.
#[derive(Debug, Clone, Default)]
pub struct Response {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Response {
    /// 200 with this body.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// 200 with a JSON body.
    pub fn json(body: &serde_json::Value) -> Self {
        Self::ok(body.to_string()).header("content-type", "application/json")
    }

    /// Only a status, for example 404.
    ///
    /// # Panics
    /// When the number is no HTTP status.
    pub fn status(status: u16) -> Self {
        Self::ok("").with_status(status)
    }

    /// The same answer with another status.
    ///
    /// # Panics
    /// When the number is no HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).expect("tests use valid statuses");
        self
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;
type Handler = dyn Fn(Recorded) -> Answer + Send + Sync;

/// A running app; it stops and cuts its connections when it is dropped.
#[derive(Debug)]
pub struct App {
    port: u16,
    seen: Arc<Mutex<Vec<Recorded>>>,
    server: AbortHandle,
}

impl App {
    /// Starts an app on a free port.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start<F>(handler: F) -> anyhow::Result<Self>
    where
        F: Fn(&Recorded) -> Response + Send + Sync + 'static,
    {
        Self::start_on(crate::free_port(), handler).await
    }

    /// Starts an app on this port, for sidecars that were started before it.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start_on<F>(port: u16, handler: F) -> anyhow::Result<Self>
    where
        F: Fn(&Recorded) -> Response + Send + Sync + 'static,
    {
        Self::start_slow_on(port, move |request| std::future::ready(handler(&request))).await
    }

    /// Starts an app on this port whose answers may take their time. One that its
    /// caller no longer waits for is dropped.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start_slow_on<F, A>(port: u16, handler: F) -> anyhow::Result<Self>
    where
        F: Fn(Recorded) -> A + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        let handler: Arc<Handler> = Arc::new(move |request| Box::pin(handler(request)) as Answer);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot bind {address}"))?;
        let seen = Arc::default();
        #[allow(clippy::disallowed_methods)] // Drop aborts it; tests have no task tracker.
        let server = tokio::spawn(serve(listener, handler, Arc::clone(&seen)));
        Ok(Self {
            port,
            seen,
            server: server.abort_handle(),
        })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every request so far, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.seen).clone()
    }

    /// The requests for one path.
    pub fn seen(&self, path: &str) -> Vec<Recorded> {
        let mut requests = self.requests();
        requests.retain(|request| request.path == path);
        requests
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, handler: Arc<Handler>, seen: Arc<Mutex<Vec<Recorded>>>) {
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
        let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
        let service = service_fn(move |request: Request<Incoming>| {
            let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
            async move {
                Ok::<_, Infallible>(match record(request).await {
                    Ok(request) => {
                        lock(&seen).push(request.clone());
                        render(handler(request).await)
                    }
                    Err(_) => render(Response::status(400)),
                })
            }
        });
        connections.spawn(async move {
            // Clients that leave early are part of what tests do.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn record(request: Request<Incoming>) -> Result<Recorded, hyper::Error> {
    let (head, body) = request.into_parts();
    Ok(Recorded {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}

fn render(response: Response) -> http::Response<Full<Bytes>> {
    let mut answer = http::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        answer = answer.header(name, value);
    }
    answer
        .body(Full::new(response.body))
        .expect("tests use valid headers")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Http;

    #[tokio::test]
    async fn requests_are_answered_and_recorded() {
        let app = App::start(|request| match request.path.as_str() {
            "/hello" => Response::json(&json!({"got": request.body.len()})).header("x-app", "1"),
            _ => Response::status(404),
        })
        .await
        .unwrap();
        let client = Http::port(app.port()).header("x-caller", "me");
        let reply = client.post("/hello?a=1", "abc").await.unwrap();
        assert_eq!(reply.json(), json!({"got": 3}));
        assert_eq!(reply.header("x-app"), "1");
        client.get("/other").await.unwrap().expect_status(404);

        let seen = app.seen("/hello");
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].method, "POST");
        assert_eq!(seen[0].query, "a=1");
        assert_eq!(seen[0].header("x-caller"), "me");
        assert_eq!(app.requests().len(), 2);
    }

    #[tokio::test]
    async fn an_answer_may_take_its_time_and_is_dropped_with_its_caller() {
        let (began, mut begins) = tokio::sync::mpsc::channel(1);
        let app = App::start_slow_on(crate::free_port(), move |_| {
            let began = began.clone();
            async move {
                // The other half is dropped when this answer is.
                let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
                began.send(dropped).await.unwrap();
                std::future::pending::<()>().await;
                drop(alive);
                Response::ok("")
            }
        });
        let app = app.await.unwrap();
        let client = Http::port(app.port());
        let dropped = tokio::select! {
            reply = client.get("/") => panic!("{reply:?}"),
            began = begins.recv() => began.unwrap(),
        };
        assert!(dropped.await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_app_no_longer_answers() {
        let app = App::start(|_| Response::ok("hi")).await.unwrap();
        let client = Http::port(app.port());
        client.get("/").await.unwrap().expect_status(200);
        drop(app);
        crate::eventually(crate::DEADLINE, async || {
            anyhow::ensure!(client.get("/").await.is_err(), "it still answers");
            Ok(())
        })
        .await;
    }
}
