//! Keeps a copy like the server's objects: lists them, watches what happens to
//! them, and lists again when a watch cannot be continued.
//!
//! Nothing is assumed of the server but that a list is true. One that numbers
//! no versions, closes watches at once or forgets versions is listed again and
//! again, and what differs is told as if it had been an event.

use std::collections::HashMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout_at};

use crate::events::Event;
use crate::list::Head;
use crate::{Cache, Change, Error, Key};

const SCOPE: &str = "dapr.kubernetes";
/// How long the server is asked to keep a watch open; a dead connection is noticed by then.
const WATCH: Duration = Duration::from_secs(120);
/// The same for a server without versions: only its lists tell what is gone.
const BLIND: Duration = Duration::from_secs(30);
/// How much longer it may take to close the watch.
const GRACE: Duration = Duration::from_secs(15);
/// A watch that ended sooner is not opened again at once.
const SHORT: Duration = Duration::from_secs(1);
/// The pause after such a watch.
const POLL: Duration = Duration::from_secs(2);
/// The pauses after failures grow from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

impl<T: DeserializeOwned + PartialEq> Cache<T> {
    /// Follows the server for ever and tells each change to `changed`, in order.
    pub async fn follow(&self, mut changed: impl FnMut(Change<T>)) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let done = match self.list(&mut changed).await {
                Ok(version) => {
                    self.0.synced.send_replace(true);
                    self.watch(version, &mut changed).await
                }
                Err(e) => Err(e),
            };
            let short = began.elapsed() < SHORT;
            if !short {
                pause = FIRST_PAUSE;
            }
            if let Err(e) = done {
                let plural = self.0.kind.plural;
                tracing::warn!(target: SCOPE, "Failed to follow {plural}, trying again: {e}");
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            } else if short {
                sleep(POLL).await;
            }
        }
    }

    /// Reads all objects and answers their version.
    async fn list(&self, changed: &mut impl FnMut(Change<T>)) -> Result<String, Error> {
        let mut all = HashMap::new();
        let (kind, namespace) = (self.0.kind, self.0.namespace.as_deref());
        let each = |item: &RawValue| {
            let (key, _) = identify(item)?;
            if let Some(object) = self.decode(&key, item) {
                all.insert(key, object);
            }
            Ok(())
        };
        let version = self.0.client.list(kind, namespace, each).await?;
        self.replace(all).into_iter().for_each(changed);
        Ok(version)
    }

    /// Follows events from a version on, over as many watches as the server
    /// makes of it; returns when only a list can help.
    async fn watch(
        &self,
        mut version: String,
        changed: &mut impl FnMut(Change<T>),
    ) -> Result<(), Error> {
        let (kind, namespace) = (self.0.kind, self.0.namespace.as_deref());
        loop {
            let lasting = if version.is_empty() { BLIND } else { WATCH };
            let began = Instant::now();
            let client = &self.0.client;
            let mut events = client.watch(kind, namespace, &version, lasting).await?;
            let end = began + lasting + GRACE;
            // Whoever stays silent for longer is gone: no event is lost by that.
            while let Ok(Some(event)) = timeout_at(end, events.next()).await.unwrap_or(Ok(None)) {
                if event.r#type == "ERROR" {
                    // Mostly a version that the server has forgotten.
                    return Ok(());
                }
                let seen = self.apply(&event, changed)?;
                if !(seen.is_empty() || version.is_empty()) {
                    version = seen;
                }
            }
            if version.is_empty() || began.elapsed() < SHORT {
                return Ok(());
            }
        }
    }

    /// Does what an event says, and answers its version.
    fn apply(&self, event: &Event, changed: &mut impl FnMut(Change<T>)) -> Result<String, Error> {
        let (key, version) = identify(&event.object)?;
        let change = match event.r#type.as_str() {
            "ADDED" | "MODIFIED" => {
                let object = self.decode(&key, &event.object);
                self.put(key, object)
            }
            "DELETED" => self.put(key, None),
            // A bookmark has a version only; what is unknown changes nothing.
            _ => None,
        };
        change.into_iter().for_each(changed);
        Ok(version)
    }

    /// An object that cannot be decoded counts as none: an old form of it
    /// would be worse.
    fn decode(&self, key: &Key, object: &RawValue) -> Option<T> {
        let decoded = serde_json::from_str(object.get());
        if decoded.is_err() {
            let (plural, Key { namespace, name }) = (self.0.kind.plural, key);
            tracing::warn!(
                target: SCOPE,
                "Ignoring {namespace}/{name} of {plural}: it is malformed"
            );
        }
        decoded.ok()
    }
}

/// Which object it is, and of which version.
fn identify(object: &RawValue) -> Result<(Key, String), Error> {
    let Head { metadata } = serde_json::from_str(object.get())?;
    let key = Key {
        namespace: metadata.namespace,
        name: metadata.name,
    };
    Ok((key, metadata.resource_version))
}
