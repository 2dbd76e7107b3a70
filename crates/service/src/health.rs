//! Readiness: named targets that start as not ready, and the `/healthz` server
//! of the control-plane services.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::Tasks;
use crate::http::serve_requests;

/// The readiness of a process: ready when it has a target and all are ready.
#[derive(Clone, Debug, Default)]
pub struct Health {
    targets: Arc<Mutex<Vec<Target>>>,
}

/// One thing that must be ready; clones are the same target.
#[derive(Clone, Debug)]
pub struct Target {
    name: Cow<'static, str>,
    ready: Arc<AtomicBool>,
}

impl Health {
    /// A health without targets, hence not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a target that is not ready yet.
    pub fn target(&self, name: impl Into<Cow<'static, str>>) -> Target {
        let target = Target {
            name: name.into(),
            ready: Arc::default(),
        };
        self.targets.lock().push(target.clone());
        target
    }

    /// Whether there is a target and every target is ready.
    pub fn is_ready(&self) -> bool {
        let targets = self.targets.lock();
        !targets.is_empty() && targets.iter().all(Target::is_ready)
    }

    /// The names of the targets that are not ready, in order of registration.
    pub fn unready(&self) -> Vec<String> {
        let targets = self.targets.lock();
        targets
            .iter()
            .filter(|t| !t.is_ready())
            .map(|t| t.name.clone().into_owned())
            .collect()
    }
}

impl Target {
    /// Marks the target ready.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Marks the target not ready.
    pub fn not_ready(&self) {
        self.ready.store(false, Ordering::Release);
    }

    /// Whether the target is ready.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

type Page = Box<dyn Fn() -> String + Send + Sync>;

/// The health port of a control-plane service.
pub struct Server {
    health: Health,
    pages: BTreeMap<&'static str, Page>,
}

impl Server {
    /// A server that answers `/healthz`: 200 when ready, else 503, empty body.
    pub fn new(health: &Health) -> Self {
        Self {
            health: health.clone(),
            pages: BTreeMap::new(),
        }
    }

    /// Adds a page that answers `GET` with the JSON text that `page` returns.
    pub fn json(
        mut self,
        path: &'static str,
        page: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.pages.insert(path, Box::new(page));
        self
    }

    /// Serves until the tasks are asked to end.
    pub fn serve(self, listener: TcpListener, tasks: &Tasks) {
        serve_requests("health server", listener, tasks, move |request| {
            self.answer(request)
        });
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        let path = request.uri().path();
        if path == "/healthz" {
            if !self.health.is_ready() {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
        } else if let Some(page) = self.pages.get(path) {
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                header::HeaderValue::from_static("application/json"),
            );
            *response.body_mut() = page().into();
        } else {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        response
    }
}

/// Serves `/healthz` until the tasks are asked to end.
pub fn serve(listener: TcpListener, health: &Health, tasks: &Tasks) {
    Server::new(health).serve(listener, tasks);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::get;

    #[test]
    fn ready_needs_a_target_and_all_of_them() {
        let health = Health::new();
        assert!(!health.is_ready());
        let (runtime, grpc) = (health.target("runtime"), health.target("grpc-api-server"));
        assert_eq!(health.unready(), ["runtime", "grpc-api-server"]);
        runtime.ready();
        assert_eq!(health.unready(), ["grpc-api-server"]);
        grpc.ready();
        assert!(health.is_ready());
        runtime.not_ready();
        assert!(!health.is_ready());
    }

    #[tokio::test]
    async fn the_server_answers_200_503_and_404() {
        let (tasks, health) = (Tasks::new(), Health::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = health.target("a");
        Server::new(&health)
            .json("/placement/state", || "{}".into())
            .serve(listener, &tasks);

        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 503"));
        target.ready();
        let answer = get(address, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(
            get(address, "/placement/state")
                .await
                .ends_with("\r\n\r\n{}")
        );
        assert!(get(address, "/other").await.starts_with("HTTP/1.1 404"));
        assert!(
            tasks
                .shutdown(std::time::Duration::from_secs(10))
                .await
                .is_empty()
        );
    }
}
