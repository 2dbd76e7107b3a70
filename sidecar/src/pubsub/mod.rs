//! Publish and subscribe: publishing under CloudEvents, and the subscriptions
//! that the app asks for when it starts.

mod deliver;
mod envelope;
pub(crate) mod grpc;
pub(crate) mod http;
mod scope;
mod subscribe;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use component::metadata::Properties;
use component::pubsub::{Message, PubSub};
use tokio_util::sync::DropGuard;

use self::envelope::Event;
use self::scope::Scopes;
pub(crate) use self::subscribe::Subscriptions;
use crate::api::error::ApiError;
use crate::api::errors::pubsub::{self as errors, Shown};
use crate::api::errors::unimplemented;
use crate::api::trace::Traced;
use crate::load::slots::Slots;

/// The trace of an event: `traceparent` and `tracestate` of the publishing call.
fn told(traced: &Traced) -> (String, String) {
    let context = traced.context();
    let state = context.state.as_ref().map(|s| s.as_str().to_owned());
    (context.traceparent(), state.unwrap_or_default())
}

/// One loaded message broker.
pub(crate) struct Broker {
    broker: Arc<dyn PubSub>,
    scopes: Scopes,
    /// Put in front of every topic, when the component asks for namespaces.
    namespace: String,
    /// Ends the component's own tasks with its last user.
    _guard: DropGuard,
}

impl Broker {
    /// `namespaced` tells whether the resource refers to `{namespace}`.
    pub(crate) fn new(
        properties: &Properties,
        app_id: &str,
        namespace: &str,
        broker: Arc<dyn PubSub>,
        guard: DropGuard,
    ) -> Self {
        let scopes = Scopes::new(properties, app_id);
        Self {
            broker,
            scopes,
            namespace: namespace.into(),
            _guard: guard,
        }
    }

    pub(crate) fn capabilities(&self) -> Vec<String> {
        self.broker.features().names().map(Into::into).collect()
    }

    pub(crate) async fn close(&self) {
        self.broker.close().await;
    }

    fn topic(&self, topic: &str) -> String {
        format!("{}{topic}", self.namespace)
    }
}

/// The message brokers of this sidecar.
#[derive(Clone)]
pub(crate) struct Brokers {
    slots: Slots<Broker>,
    app_id: String,
}

/// One message to publish.
pub(crate) struct Publish {
    pub(crate) pubsub: String,
    pub(crate) topic: String,
    pub(crate) data: Bytes,
    pub(crate) content_type: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) traceparent: String,
    pub(crate) tracestate: String,
}

impl Brokers {
    pub(crate) fn new(slots: Slots<Broker>, app_id: &str) -> Self {
        Self {
            slots,
            app_id: app_id.into(),
        }
    }

    /// Publishing in bulk is not part of this release.
    pub(crate) fn bulk(&self, pubsub: &str, shown: Shown) -> ApiError {
        if self.slots.is_empty() {
            return errors::not_found(pubsub, shown);
        }
        unimplemented()
    }

    /// `shown` is the metadata that errors of this transport carry.
    pub(crate) async fn publish(&self, message: Publish, shown: Shown) -> Result<(), ApiError> {
        let Publish {
            pubsub,
            topic,
            data,
            content_type,
            metadata,
            traceparent,
            tracestate,
        } = message;
        if pubsub.is_empty() {
            return Err(errors::name_empty(shown));
        }
        let Some(broker) = self.slots.wait(&pubsub).await else {
            return Err(errors::not_found(&pubsub, shown));
        };
        if topic.is_empty() {
            return Err(errors::topic_empty(&pubsub, shown));
        }
        let raw = component::metadata::raw_payload(&metadata)
            .map_err(|e| errors::metadata(&pubsub, &e.message, shown))?;
        if !broker.scopes.may_publish(&topic) {
            return Err(errors::forbidden(&pubsub, &topic, &self.app_id));
        }
        let data = if raw {
            data
        } else {
            let event = Event {
                app_id: &self.app_id,
                pubsub: &pubsub,
                topic: &topic,
                data: &data,
                content_type: &content_type,
                metadata: &metadata,
                traceparent: &traceparent,
                tracestate: &tracestate,
            };
            event
                .envelope()
                .map_err(|e| errors::cloud_event(&pubsub, &self.app_id, &e))?
        };
        let content_type = Some(content_type).filter(|c| !c.is_empty());
        let message = Message {
            topic: broker.topic(&topic),
            data,
            content_type,
            metadata,
        };
        broker
            .broker
            .publish(message)
            .await
            .map_err(|e| errors::publish(&pubsub, &topic, &e.message))
    }
}
