//! The subscriptions that an HTTP app asks for (`GET /dapr/subscribe`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use component::pubsub::Subscription;
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use telemetry::Tracer;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Broker;
use super::deliver::Delivery;
use crate::app::App;
use crate::load::slots::Slots;

const SCOPE: &str = "dapr.runtime.processor.subscription";
const ANSWER: Duration = Duration::from_secs(60);
const LARGEST: usize = 4 << 20;

/// Asks the app and keeps its subscriptions.
pub(crate) struct Subscriptions {
    pub(crate) brokers: Slots<Broker>,
    pub(crate) app: App,
    pub(crate) app_id: String,
    pub(crate) tracer: Option<Tracer>,
}

/// One entry of the app's answer. The names are compared as upstream writes them.
#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    pubsubname: String,
    #[serde(default)]
    topic: String,
    #[serde(default)]
    route: String,
    #[serde(default)]
    routes: Routes,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default, rename = "deadLetterTopic")]
    dead_letter_topic: String,
}

#[derive(Debug, Default, Deserialize)]
struct Routes {
    #[serde(default)]
    rules: Vec<serde_json::Value>,
    #[serde(default)]
    default: String,
}

impl Subscriptions {
    /// Called once, when the app is healthy; without a broker nothing is asked.
    pub(crate) async fn start(&self, stop: CancellationToken) {
        let is_http = self.app.protocol().is_some_and(|p| !p.is_grpc());
        if self.brokers.is_empty() || !is_http {
            return;
        }
        let wanted = match timeout(ANSWER, self.ask()).await {
            Ok(Ok(wanted)) => wanted,
            Ok(Err(e)) => {
                return tracing::warn!(target: "dapr.runtime", "failed to subscribe to topics: {e} ");
            }
            Err(_) => {
                return tracing::warn!(
                    target: "dapr.runtime",
                    "failed to subscribe to topics: GET /dapr/subscribe was not answered within {}s ",
                    ANSWER.as_secs()
                );
            }
        };
        if !wanted.is_empty() {
            let topics: Vec<String> = wanted
                .iter()
                .map(|w| format!("{}/{}", w.pubsubname, w.topic))
                .collect();
            tracing::info!(target: SCOPE, "app is subscribed to the following topics: [{}]", topics.join(" "));
        }
        for entry in wanted {
            self.subscribe(entry, &stop).await;
        }
    }

    async fn ask(&self) -> Result<Vec<Wanted>, String> {
        let asked = self.app.ask("/dapr/subscribe", &self.app_id).await;
        let response = asked.map_err(|e| e.to_string())?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Vec::new()),
            status => {
                tracing::error!(
                    target: SCOPE,
                    "app returned http status code {} from subscription endpoint", status.as_u16()
                );
                return Ok(Vec::new());
            }
        }
        let body = Limited::new(response.into_body(), LARGEST)
            .collect()
            .await
            .map_err(|e| e.to_string())?;
        let body = body.to_bytes();
        if body.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Option<Vec<Wanted>> = serde_json::from_slice(&body)
            .map_err(|e| format!("bad answer of /dapr/subscribe: {e}"))?;
        Ok(wanted.unwrap_or_default())
    }

    async fn subscribe(&self, wanted: Wanted, stop: &CancellationToken) {
        let (pubsub, topic) = (wanted.pubsubname, wanted.topic);
        let fail = |cause: String| {
            tracing::error!(target: SCOPE, "Failed to start subscription for pubsub {pubsub}, topic {topic}: {cause}");
        };
        if !wanted.routes.rules.is_empty() || !wanted.dead_letter_topic.is_empty() {
            return fail("routing rules and dead letter topics are not part of this release yet; give one route".into());
        }
        let path = if wanted.routes.default.is_empty() {
            wanted.route
        } else {
            wanted.routes.default
        };
        if path.is_empty() {
            return tracing::warn!(target: SCOPE, "subscription to topic {topic} of pubsub {pubsub} has no route and is left out; set route");
        }
        let Some(broker) = self.brokers.wait(&pubsub).await else {
            return fail(format!("pubsub '{pubsub}' not found"));
        };
        if !broker.scopes.may_subscribe(&topic) {
            return fail(format!(
                "subscription to topic '{topic}' on pubsub '{pubsub}' is not allowed"
            ));
        }
        let delivery = Delivery {
            app: self.app.clone(),
            pubsub: pubsub.clone(),
            path,
            tracer: self.tracer.clone(),
        };
        let subscription = Subscription {
            topic: broker.topic(&topic),
            metadata: wanted.metadata,
        };
        if let Err(e) = broker
            .broker
            .subscribe(subscription, Arc::new(delivery), stop.clone())
            .await
        {
            fail(e.to_string());
        }
    }
}
