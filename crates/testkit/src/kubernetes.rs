//! A small API server of Kubernetes: objects of any kind by their paths, lists
//! in pages, watches, reviews of tokens, and bad manners on request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Server;
use crate::server::{Body, channel, full};

/// What the server does that it should not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// It numbers no versions: none in objects, lists and events.
    pub no_versions: bool,
    /// It ends a watch after its first event.
    pub closes_watches: bool,
    /// It refuses every watch with a 410 in the stream.
    pub forgets_versions: bool,
    /// It answers everything with 500.
    pub fails: bool,
    /// It answers everything with 403.
    pub forbids: bool,
}

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub struct Api {
    state: Arc<State>,
    server: Server,
}

#[derive(Debug)]
struct State {
    inner: Mutex<Inner>,
    /// The version of the newest event.
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By path.
    objects: BTreeMap<String, Value>,
    events: Vec<Logged>,
    /// What a review answers for a token.
    tokens: BTreeMap<String, Value>,
    manners: Manners,
    /// How often its manners have changed.
    era: u64,
    requests: Vec<String>,
    reviews: Vec<Value>,
}

#[derive(Clone, Debug)]
struct Logged {
    version: u64,
    path: String,
    kind: &'static str,
    object: Value,
}

impl Api {
    /// Starts it without any object.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> anyhow::Result<Self> {
        let state = Arc::new(State {
            inner: Mutex::default(),
            version: watch::Sender::new(1),
        });
        let answering = state.clone();
        let server = Server::start(move |request| {
            let state = answering.clone();
            async move { state.answer(request).await }
        });
        let server = server.await?;
        Ok(Self { state, server })
    }

    /// Writes a kubeconfig for it into a folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig(&self, folder: &Path) -> std::io::Result<PathBuf> {
        let path = folder.join("kubeconfig");
        let server = format!("http://127.0.0.1:{}", self.server.port());
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        std::fs::write(&path, text.to_string())?;
        Ok(path)
    }

    /// Creates or replaces the object at a path such as
    /// `/api/v1/namespaces/a/pods/b`; name and namespace come from there.
    pub fn put(&self, path: &str, object: Value) {
        self.state.put(path, object);
    }

    /// Deletes an object.
    pub fn remove(&self, path: &str) {
        self.state.remove(path);
    }

    /// An object as it is now.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state.inner().objects.get(path).cloned()
    }

    /// What the review of this token finds: the `status` of its answer.
    pub fn review(&self, token: &str, status: Value) {
        let token = token.to_owned();
        self.state.inner().tokens.insert(token, status);
    }

    /// How it behaves from now on; open watches end.
    pub fn behave(&self, manners: Manners) {
        let mut inner = self.state.inner();
        inner.manners = manners;
        inner.era += 1;
        self.state.version.send_modify(|_| {});
    }

    /// The `spec` of every review of a token so far.
    pub fn reviews(&self) -> Vec<Value> {
        self.state.inner().reviews.clone()
    }

    /// The requests so far, such as `GET /api/v1/pods?limit=500`.
    pub fn requests(&self) -> Vec<String> {
        self.state.inner().requests.clone()
    }
}

impl State {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, path: &str, mut object: Value) -> Value {
        let mut inner = self.inner();
        let version = *self.version.borrow() + 1;
        let parts: Vec<_> = path.rsplit('/').collect();
        object["metadata"]["name"] = parts[0].into();
        if parts.get(3) == Some(&"namespaces") {
            object["metadata"]["namespace"] = parts[2].into();
        }
        if !inner.manners.no_versions {
            object["metadata"]["resourceVersion"] = version.to_string().into();
        }
        let before = inner.objects.insert(path.to_owned(), object.clone());
        inner.events.push(Logged {
            version,
            path: path.to_owned(),
            kind: if before.is_some() {
                "MODIFIED"
            } else {
                "ADDED"
            },
            object: object.clone(),
        });
        self.version.send_replace(version);
        object
    }

    fn remove(&self, path: &str) {
        let mut inner = self.inner();
        let version = *self.version.borrow() + 1;
        if let Some(mut object) = inner.objects.remove(path) {
            if !inner.manners.no_versions {
                object["metadata"]["resourceVersion"] = version.to_string().into();
            }
            inner.events.push(Logged {
                version,
                path: path.to_owned(),
                kind: "DELETED",
                object,
            });
            self.version.send_replace(version);
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let manners = {
            let mut inner = self.inner();
            inner.requests.push(format!("{} {}", head.method, head.uri));
            inner.manners
        };
        if manners.fails {
            return status(StatusCode::INTERNAL_SERVER_ERROR, "it fails");
        }
        if manners.forbids {
            return status(StatusCode::FORBIDDEN, "it is not allowed");
        }
        let body = match Limited::new(body, 4 << 20).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return status(StatusCode::BAD_REQUEST, "no body"),
        };
        let query = head.uri.query().unwrap_or_default();
        let object = self.inner().objects.get(&path).cloned();
        match (head.method, object) {
            (Method::POST, _) if path.ends_with("/tokenreviews") => self.reviewed(&body),
            (Method::POST, None) => self.created(&path, &body),
            (Method::GET, Some(object)) => reply(&object),
            (Method::PUT, Some(object)) => self.replaced(&path, &object, &body),
            (Method::GET, None) if Collection::of(&path).is_object => {
                status(StatusCode::NOT_FOUND, &format!("{path} not found"))
            }
            (Method::GET, None) if query.contains("watch=true") => self.watched(
                Collection::of(&path),
                parameter(query, "resourceVersion").and_then(|n| n.parse().ok()),
                manners,
            ),
            (Method::GET, None) => self.listed(&Collection::of(&path), query),
            _ => status(StatusCode::NOT_FOUND, &format!("{path} not found")),
        }
    }

    fn reviewed(&self, body: &[u8]) -> Response<Body> {
        let Ok(mut review) = serde_json::from_slice::<Value>(body) else {
            return status(StatusCode::BAD_REQUEST, "no review");
        };
        let token = review["spec"]["token"].as_str().unwrap_or_default();
        let mut inner = self.inner();
        let found = inner.tokens.get(token).cloned();
        inner.reviews.push(review["spec"].clone());
        review["status"] = found.unwrap_or_else(|| json!({"error": "unknown token"}));
        reply(&review)
    }

    fn created(&self, collection: &str, body: &[u8]) -> Response<Body> {
        let Ok(object) = serde_json::from_slice::<Value>(body) else {
            return status(StatusCode::BAD_REQUEST, "no object");
        };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{collection}/{name}");
        if self.inner().objects.contains_key(&path) {
            return status(StatusCode::CONFLICT, "the object already exists");
        }
        reply(&self.put(&path, object))
    }

    fn replaced(&self, path: &str, before: &Value, body: &[u8]) -> Response<Body> {
        let Ok(after) = serde_json::from_slice::<Value>(body) else {
            return status(StatusCode::BAD_REQUEST, "no object");
        };
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        if !version(&after).is_null() && version(&after) != version(before) {
            let text =
                "the object has been modified; please apply your changes to the latest version";
            return status(StatusCode::CONFLICT, text);
        }
        reply(&self.put(path, after))
    }

    fn listed(&self, collection: &Collection, query: &str) -> Response<Body> {
        let inner = self.inner();
        let limit = parameter(query, "limit").and_then(|n| n.parse().ok());
        let skip = parameter(query, "continue").and_then(|n| n.parse().ok());
        let (limit, skip) = (limit.unwrap_or(usize::MAX), skip.unwrap_or(0));
        let all = inner
            .objects
            .iter()
            .filter(|(path, _)| collection.has(path));
        let items: Vec<_> = all.skip(skip).map(|(_, object)| object).collect();
        let mut metadata = json!({});
        if !inner.manners.no_versions {
            metadata["resourceVersion"] = self.version.borrow().to_string().into();
        }
        if items.len() > limit {
            metadata["continue"] = (skip + limit).to_string().into();
        }
        let items: Vec<_> = items.into_iter().take(limit).collect();
        reply(&json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
    }

    /// What a watch sends next: what came after the version that it has seen,
    /// or everything when it has seen none; `None` when the manners changed.
    fn events(
        &self,
        collection: &Collection,
        seen: &mut Option<u64>,
        era: u64,
    ) -> Option<Vec<Value>> {
        let inner = self.inner();
        if inner.era != era {
            return None;
        }
        let event = |kind: &str, object: &Value| json!({"type": kind, "object": object});
        let before = seen.replace(*self.version.borrow());
        Some(match before {
            Some(before) => {
                let new = inner.events.iter().filter(|e| e.version > before);
                let new = new.filter(|e| collection.has(&e.path));
                new.map(|e| event(e.kind, &e.object)).collect()
            }
            None => {
                let all = inner
                    .objects
                    .iter()
                    .filter(|(path, _)| collection.has(path));
                all.map(|(_, object)| event("ADDED", object)).collect()
            }
        })
    }

    fn watched(
        self: Arc<Self>,
        collection: Collection,
        from: Option<u64>,
        manners: Manners,
    ) -> Response<Body> {
        let (sender, body) = channel();
        let mut versions = self.version.subscribe();
        let era = self.inner().era;
        #[allow(clippy::disallowed_methods)] // It ends with its connection.
        tokio::spawn(async move {
            let line = |event: &Value| Ok(Frame::data(Bytes::from(format!("{event}\n"))));
            if manners.forgets_versions {
                let object = json!({"kind": "Status", "code": 410, "message": "too old"});
                let event = json!({"type": "ERROR", "object": object});
                let _ = sender.send(line(&event)).await;
                return;
            }
            let mut seen = from;
            loop {
                let Some(new) = self.events(&collection, &mut seen, era) else {
                    return;
                };
                for event in new {
                    if sender.send(line(&event)).await.is_err() || manners.closes_watches {
                        return;
                    }
                }
                tokio::select! {
                    () = sender.closed() => return,
                    changed = versions.changed() => if changed.is_err() { return },
                }
            }
        });
        Response::new(body)
    }
}

/// The objects that a path without a name stands for.
struct Collection {
    /// What their paths begin with.
    root: String,
    plural: String,
    /// Whether the path is one of a single object after all.
    is_object: bool,
}

impl Collection {
    fn of(path: &str) -> Self {
        let parts: Vec<_> = path.split('/').skip(1).collect();
        // `api/v1` or `apis/group/version`
        let roots = if parts[0] == "api" { 2 } else { 3 };
        let (root, rest) = parts.split_at(roots.min(parts.len()));
        let root = format!("/{}/", root.join("/"));
        match rest {
            ["namespaces", namespace, plural, name @ ..] => Self {
                root: format!("{root}namespaces/{namespace}/"),
                plural: (*plural).to_owned(),
                is_object: !name.is_empty(),
            },
            rest => Self {
                root,
                plural: rest.join("/"),
                is_object: false,
            },
        }
    }

    fn has(&self, path: &str) -> bool {
        let mut parts = path.rsplit('/').skip(1);
        path.starts_with(&self.root) && parts.next() == Some(&self.plural)
    }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn reply(object: &Value) -> Response<Body> {
    Response::new(full(object.to_string()))
}

fn status(code: StatusCode, message: &str) -> Response<Body> {
    let text = json!({"kind": "Status", "message": message, "code": code.as_u16()});
    let mut answer = reply(&text);
    *answer.status_mut() = code;
    answer
}
