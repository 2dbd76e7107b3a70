//! The routes and methods of blocks that are not configured: each answers the
//! documented error after the checks that come before it.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use proto::dapr::runtime::v1 as rt;
use tonic::Status;

use super::body;
use super::error::{ApiError, Detail};
use super::errors::{self, absent};
use super::http::{Group, Routes};
use super::router::{Call, Handle, On, on};

/// Answers for every block of which nothing is configured.
#[derive(Clone)]
pub(crate) struct Absent;

impl Absent {
    pub(crate) fn binding(&self, name: &str) -> ApiError {
        absent::output_binding(name)
    }

    pub(crate) fn configuration(&self) -> ApiError {
        absent::configuration()
    }

    /// The expiry is checked before anything else.
    pub(crate) fn lock(&self, store: &str, expiry: Option<i32>) -> ApiError {
        if expiry.is_some_and(|seconds| seconds <= 0) {
            return absent::lock_expiry(store);
        }
        absent::lock()
    }

    pub(crate) fn crypto(&self) -> ApiError {
        absent::crypto()
    }

    pub(crate) fn workflow(&self) -> ApiError {
        errors::actors::no_state_store()
    }

    pub(crate) fn conversation(&self, name: &str) -> ApiError {
        absent::conversation(name)
    }

    /// A streaming subscription is refused once it has said to what.
    pub(crate) async fn subscribe_topic<T>(
        &self,
        mut stream: tonic::Streaming<rt::SubscribeTopicEventsRequestAlpha1>,
    ) -> Result<T, Status> {
        use rt::subscribe_topic_events_request_alpha1::SubscribeTopicEventsRequestType::InitialRequest;
        let first = stream
            .message()
            .await?
            .and_then(|m| m.subscribe_topic_events_request_type);
        let Some(InitialRequest(first)) = first else {
            return Err(Status::unknown("initial request is required"));
        };
        if first.pubsub_name.is_empty() {
            return Err(Status::unknown("pubsubName is required"));
        }
        if first.topic.is_empty() {
            return Err(Status::unknown("topic is required"));
        }
        let message = format!("pubsub {} is not found", first.pubsub_name);
        let details = vec![Detail::ErrorInfo {
            reason: "DAPR_PUBSUB_NOT_FOUND".into(),
            metadata: None,
        }];
        let code = tonic::Code::InvalidArgument;
        Err(ApiError::rich(
            "ERR_PUBSUB_NOT_FOUND",
            errors::NOT_FOUND,
            code,
            message,
            details,
        )
        .status())
    }

    pub(crate) fn routes(&self) -> Routes {
        self.messaging().and(self.workflows()).and(self.rest())
    }

    fn messaging(&self) -> Routes {
        let me = self.clone();
        let binding = write(
            move |c: Asked| match body::first_json::<serde_json::Value>(&c.body) {
                Ok(_) => me.binding(&c.name("name")),
                Err(e) => body::malformed(&e),
            },
        );
        Routes::new().add(
            Group::new("bindings", "v1"),
            "/v1.0/bindings/{name}",
            binding,
        )
    }

    fn workflows(&self) -> Routes {
        let mut routes = Routes::new();
        for (path, version) in [
            ("v1.0", "v1"),
            ("v1.0-beta1", "v1beta1"),
            ("v1.0-alpha1", "v1alpha1"),
        ] {
            let group = Group::new("workflows", version);
            let none = |_| errors::actors::no_state_store();
            let base = format!("/{path}/workflows/{{component}}/{{id}}");
            routes = routes.add(group, base.clone(), get(none));
            routes = routes.add(group, format!("{base}/raiseEvent/{{event}}"), post(none));
            for verb in ["start", "pause", "resume", "terminate", "purge"] {
                routes = routes.add(group, format!("{base}/{verb}"), post(none));
            }
        }
        routes
    }

    fn rest(&self) -> Routes {
        let mut routes = Routes::new();
        for (path, version) in [("v1.0", "v1"), ("v1.0-alpha1", "v1alpha1")] {
            let group = Group::new("configuration", version);
            let none = || get(|_| absent::configuration());
            routes = routes
                .add(group, format!("/{path}/configuration/{{store}}"), none())
                .add(
                    group,
                    format!("/{path}/configuration/{{store}}/subscribe"),
                    none(),
                )
                .add(
                    group,
                    format!("/{path}/configuration/{{store}}/{{id}}/unsubscribe"),
                    none(),
                );
        }
        let me = self.clone();
        let lock = post(move |c: Asked| {
            let expiry = match c.json() {
                Ok(body) => body
                    .get("expiryInSeconds")
                    .and_then(serde_json::Value::as_i64)
                    .unwrap_or(0),
                Err(e) => return errors::malformed(&e),
            };
            me.lock(
                &c.name("store"),
                Some(i32::try_from(expiry).unwrap_or(i32::MAX)),
            )
        });
        let unlock = post(|c: Asked| match c.json() {
            Ok(_) => absent::lock(),
            Err(e) => errors::malformed(&e),
        });
        let alpha1 = |name| Group::new(name, "v1alpha1");
        let crypto = || put(|_| absent::crypto());
        routes = routes
            .add(alpha1("lock"), "/v1.0-alpha1/lock/{store}", lock)
            .add(alpha1("unlock"), "/v1.0-alpha1/unlock/{store}", unlock)
            .add(
                alpha1("crypto"),
                "/v1.0-alpha1/crypto/{name}/encrypt",
                crypto(),
            )
            .add(
                alpha1("crypto"),
                "/v1.0-alpha1/crypto/{name}/decrypt",
                crypto(),
            );
        for verb in [
            "getkey",
            "encrypt",
            "decrypt",
            "wrapkey",
            "unwrapkey",
            "sign",
            "verify",
        ] {
            let path = format!("/v1.0-alpha1/subtlecrypto/{{name}}/{verb}");
            routes = routes.add(
                alpha1("subtlecrypto"),
                path,
                post(|_| errors::unimplemented()),
            );
        }
        for (path, version) in [("v1.0-alpha1", "v1alpha1"), ("v1.0-alpha2", "v1alpha2")] {
            let converse = post(|c: Asked| absent::conversation(&c.name("name")));
            let path = format!("/{path}/conversation/{{name}}/converse");
            routes = routes.add(Group::new("conversation", version), path, converse);
        }
        routes
    }
}

/// What a handler here may look at.
struct Asked {
    params: Vec<(String, String)>,
    body: Bytes,
}

impl Asked {
    fn name(&self, wanted: &str) -> String {
        self.params
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, v)| v.clone())
            .unwrap_or_default()
    }

    /// An empty body counts as an empty object.
    fn json(&self) -> Result<serde_json::Value, String> {
        if self.body.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|e| e.to_string())
    }
}

/// An answer that needs no more than the names in the path and the body.
trait Refusal: Fn(Asked) -> ApiError + Clone + Send + Sync + 'static {}

impl<F: Fn(Asked) -> ApiError + Clone + Send + Sync + 'static> Refusal for F {}

fn refusing(refusal: impl Refusal) -> impl Handle<()> {
    move |_: Arc<()>, call: Call| refuse(refusal.clone(), call)
}

fn get(refusal: impl Refusal) -> On<()> {
    on(&Arc::default()).get(refusing(refusal))
}

fn post(refusal: impl Refusal) -> On<()> {
    on(&Arc::default()).post(refusing(refusal))
}

fn put(refusal: impl Refusal) -> On<()> {
    on(&Arc::default()).put(refusing(refusal))
}

fn write(refusal: impl Refusal) -> On<()> {
    on(&Arc::default()).write(refusing(refusal))
}

async fn refuse(refusal: impl Refusal, call: Call) -> Result<Response, Response> {
    let mut params = Vec::new();
    for name in call.names() {
        params.push((name.clone(), call.param(name)?.into_owned()));
    }
    let body = body::read(call.req.into_body()).await;
    let body = body.map_err(|e| errors::body_read(&e.to_string()).into_response())?;
    Ok(refusal(Asked { params, body }).into_response())
}
