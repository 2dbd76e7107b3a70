//! A copy of all objects of a kind.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::{Client, Error, Kind};

/// Where an object is; the namespace is empty for objects outside of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

/// An object that came, changed or went.
#[derive(Clone, Debug)]
pub struct Change<T> {
    pub key: Key,
    pub before: Option<Arc<T>>,
    pub after: Option<Arc<T>>,
}

pub(crate) type Objects<T> = HashMap<Key, Arc<T>>;

/// All objects of a kind, in the form `T` that holds what matters of them;
/// clones are the same copy. It is empty until [`Cache::follow`] runs.
pub struct Cache<T>(pub(crate) Arc<Inner<T>>);

pub(crate) struct Inner<T> {
    pub(crate) client: Client,
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    objects: RwLock<Objects<T>>,
    pub(crate) synced: watch::Sender<bool>,
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({})", self.0.kind.plural)
    }
}

impl<T: DeserializeOwned + PartialEq> Cache<T> {
    /// A copy of the kind's objects in one namespace, or in all.
    pub fn new(client: Client, kind: Kind, namespace: Option<&str>) -> Self {
        Self(Arc::new(Inner {
            client,
            kind,
            namespace: namespace.map(str::to_owned),
            objects: RwLock::default(),
            synced: watch::Sender::new(false),
        }))
    }

    /// Waits until all objects have been read once.
    pub async fn synced(&self) {
        // The sender lives as long as this does.
        let _ = self.0.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// The object as far as it is known here.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        let key = Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.0.objects.read().get(&key).cloned()
    }

    /// The object, asked from the server when it is not known here: it may be
    /// younger than the last event.
    pub async fn find(&self, namespace: &str, name: &str) -> Result<Arc<T>, Error> {
        match self.get(namespace, name) {
            Some(found) => Ok(found),
            None => {
                let asked = self.0.client.get(self.0.kind, namespace, name).await;
                asked.map(Arc::new)
            }
        }
    }

    /// Puts an object in its place, or takes it away.
    pub(crate) fn put(&self, key: Key, after: Option<T>) -> Option<Change<T>> {
        let mut objects = self.0.objects.write();
        let before = objects.get(&key).cloned();
        if before.as_deref() == after.as_ref() {
            return None;
        }
        let after = after.map(Arc::new);
        match &after {
            Some(object) => objects.insert(key.clone(), object.clone()),
            None => objects.remove(&key),
        };
        Some(Change { key, before, after })
    }

    /// Puts these objects in the place of all, and tells what differs.
    pub(crate) fn replace(&self, new: HashMap<Key, T>) -> Vec<Change<T>> {
        let mut changes = Vec::new();
        let mut objects = self.0.objects.write();
        objects.retain(|key, before| {
            let stays = new.contains_key(key);
            if !stays {
                changes.push(Change {
                    key: key.clone(),
                    before: Some(before.clone()),
                    after: None,
                });
            }
            stays
        });
        for (key, object) in new {
            let before = objects.get(&key);
            if before.is_some_and(|before| **before == object) {
                continue;
            }
            let after = Arc::new(object);
            let before = objects.insert(key.clone(), after.clone());
            changes.push(Change {
                key,
                before,
                after: Some(after),
            });
        }
        changes
    }
}
