//! Delivery of one message to the app, and what its answer means.

use std::borrow::Cow;

use async_trait::async_trait;
use axum::body::Body;
use axum::response::Response;
use component::pubsub::{Handler, Message};
use component::{Error, Result};
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use telemetry::attributes::{Hop, http_error};
use telemetry::{TraceContext, TraceState, Tracer};

use crate::app::App;

const SCOPE: &str = "dapr.runtime.processor.subscription";
const LARGEST: usize = 1 << 20;

/// Where the messages of one subscription go.
pub(super) struct Delivery {
    pub(super) app: App,
    pub(super) pubsub: String,
    pub(super) path: String,
    pub(super) tracer: Option<Tracer>,
}

/// What the app said of a message.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Drop,
    Retry(String),
}

#[async_trait]
impl Handler for Delivery {
    async fn deliver(&self, message: Message) -> Result<()> {
        let mut req = self.request(&message)?;
        let mut span = self.tracer.as_ref().map(|tracer| {
            let parent = Trace::of(&message.data);
            let hop = Hop::Delivery {
                topic: &message.topic,
            };
            let span = hop.start(tracer, parent.as_ref());
            if let Some(context) = span.context() {
                telemetry::headers::to_http(context, req.headers_mut());
            }
            span
        });
        let response = self.app.send(req).await;
        if let (Some(span), Ok(response)) = (&mut span, &response) {
            span.status(http_error(response.status().as_u16()));
        }
        let response = response.map_err(|e| {
            Error::unavailable(format!(
                "error from app channel while sending pub/sub event to app: {e}"
            ))
        })?;
        match verdict(response).await {
            Verdict::Done => Ok(()),
            Verdict::Drop => {
                tracing::warn!(target: SCOPE, "DROP status returned from app while processing pub/sub event on topic {}", message.topic);
                Ok(())
            }
            Verdict::Retry(cause) => Err(Error::unavailable(cause)),
        }
    }
}

/// The trace that a CloudEvent says it belongs to.
#[derive(Deserialize)]
struct Trace<'a> {
    #[serde(borrow, default)]
    traceparent: Cow<'a, str>,
    #[serde(borrow, default)]
    tracestate: Cow<'a, str>,
}

impl Trace<'_> {
    fn of(event: &[u8]) -> Option<TraceContext> {
        let event: Trace<'_> = serde_json::from_slice(event).ok()?;
        let mut context = TraceContext::parse(&event.traceparent)?;
        context.state = TraceState::parse([&*event.tracestate]);
        Some(context)
    }
}

impl Delivery {
    fn request(&self, message: &Message) -> Result<Request<Body>> {
        let path = if self.path.starts_with('/') {
            self.path.clone()
        } else {
            format!("/{}", self.path)
        };
        let req = Request::post(&path).header(header::CONTENT_TYPE, "application/cloudevents+json");
        let mut req = req
            .body(Body::from(message.data.clone()))
            .map_err(|e| Error::invalid(format!("route '{path}' is no valid path: {e}")))?;
        for (key, value) in &message.metadata {
            let name = HeaderName::try_from(key.as_str());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value))
                && name != header::CONTENT_LENGTH
                && name != header::CONTENT_TYPE
            {
                req.headers_mut().insert(name, value);
            }
        }
        if let Ok(name) = HeaderValue::try_from(&self.pubsub) {
            req.headers_mut().insert("pubsubname", name);
        }
        Ok(req)
    }
}

async fn verdict(response: Response) -> Verdict {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        status: String,
    }
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    let body = body.map(|b| b.to_bytes()).unwrap_or_default();
    if status == http::StatusCode::NOT_FOUND {
        tracing::error!(target: SCOPE, "non-retriable error returned from app while processing pub/sub event: status code 404");
        return Verdict::Drop;
    }
    if !status.is_success() {
        return Verdict::Retry(format!(
            "retriable error returned from app while processing pub/sub event: status code {}",
            status.as_u16()
        ));
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(&body) else {
        return Verdict::Done;
    };
    match answer.status.as_str() {
        "" | "SUCCESS" => Verdict::Done,
        "DROP" => Verdict::Drop,
        "RETRY" => {
            Verdict::Retry("RETRY status returned from app while processing pub/sub event".into())
        }
        other => Verdict::Retry(format!(
            "unknown status returned from app while processing pub/sub event: {other}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(status: u16, body: &'static str, expected: &str) {
        let response = Response::builder()
            .status(status)
            .body(Body::from(body))
            .unwrap();
        let got = match verdict(response).await {
            Verdict::Done => "done",
            Verdict::Drop => "drop",
            Verdict::Retry(_) => "retry",
        };
        assert_eq!(got, expected, "{status} {body}");
    }

    #[tokio::test]
    async fn answers_of_the_app_are_understood() {
        for (status, body, expected) in [
            (200, "", "done"),
            (204, "", "done"),
            (200, "hello", "done"),
            (200, r#"{"status":""}"#, "done"),
            (200, r#"{"status":"SUCCESS"}"#, "done"),
            (200, r#"{"status":"RETRY"}"#, "retry"),
            (200, r#"{"status":"DROP"}"#, "drop"),
            (200, r#"{"status":"other"}"#, "retry"),
            (404, "", "drop"),
            (302, "", "retry"),
            (500, r#"{"status":"SUCCESS"}"#, "retry"),
        ] {
            check(status, body, expected).await;
        }
    }
}
