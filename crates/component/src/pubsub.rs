//! Publish and subscribe.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

pub type Metadata = BTreeMap<String, String>;

/// Single publishes that the default of [`PubSub::bulk_publish`] has under way.
const PARALLEL_PUBLISHES: usize = 100;

crate::features::features! {
    MESSAGE_TTL = 0,
    SUBSCRIBE_WILDCARDS = 1,
    BULK_PUBSUB = 2,
    BULK_SUBSCRIBE_IMMEDIATE = 3,
}

/// A message broker. Topics arrive complete, with the runtime's namespace.
///
/// A publish error whose kind is retriable may be tried again; any other is final.
#[async_trait]
pub trait PubSub: Send + Sync + 'static {
    fn features(&self) -> Features;

    /// Returns when the broker has taken the message.
    async fn publish(&self, message: Message) -> Result<()>;

    /// The entries that failed, each with its error; the others were taken. The
    /// default publishes singly, the metadata of the request below an entry's.
    async fn bulk_publish(&self, messages: BulkMessage) -> Result<Vec<(String, Error)>> {
        let BulkMessage {
            topic,
            metadata,
            entries,
        } = messages;
        let calls = entries.into_iter().map(|entry| {
            let mut merged = metadata.clone();
            merged.extend(entry.metadata);
            let message = Message {
                topic: topic.clone(),
                data: entry.data,
                content_type: entry.content_type,
                metadata: merged,
            };
            async move { (entry.id, self.publish(message).await) }
        });
        let results = stream::iter(calls).buffered(PARALLEL_PUBLISHES);
        Ok(results
            .filter_map(|(id, result)| async move { Some((id, result.err()?)) })
            .collect()
            .await)
    }

    /// Returns when the broker accepted the subscription. Deliveries then go on
    /// until `stop` is cancelled: no message is fetched after that, and those
    /// in the handler's hands are still settled by its answer.
    ///
    /// The backend awaits the handler before it acknowledges; whether messages
    /// of one subscription overlap, and in which order, is the backend's business.
    async fn subscribe(
        &self,
        subscription: Subscription,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
    ) -> Result<()>;

    /// Like [`PubSub::subscribe`], in batches. Only for brokers with a form of
    /// their own; for others the runtime gathers single messages.
    async fn bulk_subscribe(
        &self,
        _subscription: Subscription,
        _batch: Batch,
        _handler: Arc<dyn BulkHandler>,
        _stop: CancellationToken,
    ) -> Result<()> {
        Err(Error::unsupported("a bulk subscription"))
    }

    /// Whether the broker answers now.
    async fn ping(&self) -> Result<()> {
        Err(Error::unsupported("a ping"))
    }

    /// Ends connections and tasks; calls under way may fail.
    async fn close(&self) {}
}

/// Takes the messages of one subscription.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// An error means that the message was not processed: what the broker then
    /// does with it is the backend's rule.
    async fn deliver(&self, message: Message) -> Result<()>;
}

/// Takes the batches of one subscription.
#[async_trait]
pub trait BulkHandler: Send + Sync + 'static {
    /// The entries that were not processed, each with its error.
    async fn deliver(&self, messages: BulkMessage) -> Result<Vec<(String, Error)>>;
}

/// What is published or delivered.
#[derive(Clone, Debug, Default)]
pub struct Message {
    pub topic: String,
    pub data: Bytes,
    pub content_type: Option<String>,
    pub metadata: Metadata,
}

/// Messages of one topic.
#[derive(Clone, Debug, Default)]
pub struct BulkMessage {
    pub topic: String,
    pub metadata: Metadata,
    pub entries: Vec<Entry>,
}

/// One message of a batch.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Unique within the batch.
    pub id: String,
    pub data: Bytes,
    pub content_type: Option<String>,
    pub metadata: Metadata,
}

/// A topic, or a pattern where the broker has wildcards.
#[derive(Clone, Debug, Default)]
pub struct Subscription {
    pub topic: String,
    pub metadata: Metadata,
}

/// How large a batch may grow before it is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    pub max_messages: usize,
    pub max_wait: std::time::Duration,
}

impl Default for Batch {
    /// The runtime's defaults.
    fn default() -> Self {
        Self {
            max_messages: 100,
            max_wait: std::time::Duration::from_secs(1),
        }
    }
}
