//! `pubsub.in-memory`: a bus inside the process, for development.

use std::sync::Arc;

use async_trait::async_trait;
use component::pubsub::{Features, Handler, Message, PubSub, Subscription};
use component::{Component, Env, Error, JsonSchema, Result};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Has no metadata of its own.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Config {}

pub(crate) struct InMemoryPubSub {
    subscribers: Mutex<Vec<Subscriber>>,
    /// Deliver until their subscription, or the component, ends.
    deliveries: Mutex<JoinSet<()>>,
    closed: CancellationToken,
}

#[derive(Clone)]
struct Subscriber {
    /// As subscribed; one that ends in `*` takes every topic with that prefix.
    topic: String,
    /// Room for one message: a publish waits while the one before is handled.
    queue: mpsc::Sender<Message>,
}

impl Subscriber {
    fn takes(&self, topic: &str) -> bool {
        match self.topic.strip_suffix('*') {
            Some(prefix) => topic.len() > prefix.len() && topic.starts_with(prefix),
            None => self.topic == topic,
        }
    }
}

impl Component for InMemoryPubSub {
    type Config = Config;

    async fn open(_: Config, env: Env) -> Result<Self> {
        let (subscribers, deliveries) = (Mutex::default(), Mutex::default());
        Ok(Self {
            subscribers,
            deliveries,
            closed: env.shutdown,
        })
    }
}

#[async_trait]
impl PubSub for InMemoryPubSub {
    fn features(&self) -> Features {
        Features::SUBSCRIBE_WILDCARDS
    }

    /// Succeeds without subscribers too.
    async fn publish(&self, message: Message) -> Result<()> {
        if self.closed.is_cancelled() {
            return Err(Error::unavailable("the component is closed"));
        }
        let takers: Vec<Subscriber> = self
            .subscribers
            .lock()
            .iter()
            .filter(|s| s.takes(&message.topic))
            .cloned()
            .collect();
        for taker in takers {
            // The handler sees the topic of its subscription.
            let message = Message {
                topic: taker.topic.clone(),
                ..message.clone()
            };
            // A subscriber that has ended meanwhile takes no more messages.
            let _ = taker.queue.send(message).await;
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        subscription: Subscription,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
    ) -> Result<()> {
        let (queue, mut messages) = mpsc::channel(1);
        let topic = subscription.topic;
        {
            let mut subscribers = self.subscribers.lock();
            subscribers.retain(|s| !s.queue.is_closed());
            subscribers.push(Subscriber {
                topic: topic.clone(),
                queue,
            });
        }
        let closed = self.closed.clone();
        let mut deliveries = self.deliveries.lock();
        while deliveries.try_join_next().is_some() {}
        deliveries.spawn(async move {
            loop {
                let message = tokio::select! {
                    () = stop.cancelled() => return,
                    () = closed.cancelled() => return,
                    message = messages.recv() => message,
                };
                let Some(message) = message else { return };
                if let Err(e) = handler.deliver(message).await {
                    tracing::warn!(target: "dapr.contrib", "a message on topic {topic} was not processed and is lost: {e}");
                }
            }
        });
        Ok(())
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Collect(mpsc::Sender<Message>);

    #[async_trait]
    impl Handler for Collect {
        async fn deliver(&self, message: Message) -> Result<()> {
            self.0
                .send(message)
                .await
                .map_err(|e| Error::internal(e.to_string()))
        }
    }

    fn message(topic: &str, data: &'static str) -> Message {
        Message {
            topic: topic.into(),
            data: data.into(),
            ..Message::default()
        }
    }

    #[tokio::test]
    async fn subscribers_get_their_topics_in_order_until_they_stop() {
        let bus = InMemoryPubSub::open(Config {}, Env::named("bus"))
            .await
            .unwrap();
        let (sender, mut seen) = mpsc::channel(16);
        let stop = CancellationToken::new();
        for topic in ["a", "or*"] {
            let subscription = Subscription {
                topic: topic.into(),
                ..Subscription::default()
            };
            bus.subscribe(
                subscription,
                Arc::new(Collect(sender.clone())),
                stop.clone(),
            )
            .await
            .unwrap();
        }
        for (topic, data) in [("a", "1"), ("b", "2"), ("a", "3")] {
            bus.publish(message(topic, data)).await.unwrap();
        }
        for expected in ["1", "3"] {
            assert_eq!(seen.recv().await.unwrap().data, expected);
        }
        bus.publish(message("or", "4")).await.unwrap();
        bus.publish(message("orders", "5")).await.unwrap();
        let got = seen.recv().await.unwrap();
        assert_eq!((got.topic.as_str(), got.data.as_ref()), ("or*", &b"5"[..]));
        stop.cancel();
        while !bus.subscribers.lock().iter().all(|s| s.queue.is_closed()) {
            tokio::task::yield_now().await;
        }
        bus.publish(message("a", "6")).await.unwrap();
        drop(sender);
        assert!(seen.recv().await.is_none());
    }
}
