//! Named places for loaded components. Only the loader writes; readers take an
//! `Arc` and never wait for a reload.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

/// The components of one block by name.
pub(crate) struct Slots<T> {
    map: Arc<ArcSwap<BTreeMap<String, Slot<T>>>>,
    changed: watch::Sender<()>,
}

enum Slot<T> {
    Ready(Arc<T>),
    Opening(Opening<T>),
}

/// `None` until the component has opened; closed without a value when it failed.
type Opening<T> = watch::Receiver<Option<Arc<T>>>;

impl<T> Clone for Slots<T> {
    fn clone(&self) -> Self {
        Self {
            map: self.map.clone(),
            changed: self.changed.clone(),
        }
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            map: Arc::new(ArcSwap::from_pointee(BTreeMap::new())),
            changed: watch::Sender::new(()),
        }
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Ready(value) => Self::Ready(value.clone()),
            Self::Opening(opening) => Self::Opening(opening.clone()),
        }
    }
}

impl<T> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.map.load().keys()).finish()
    }
}

impl<T: Send + Sync> Slots<T> {
    /// Whether nothing of this block is loaded or being loaded.
    pub(crate) fn is_empty(&self) -> bool {
        self.map.load().is_empty()
    }

    /// The component, if it is open now.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<T>> {
        match self.map.load().get(name)? {
            Slot::Ready(value) => Some(value.clone()),
            Slot::Opening(_) => None,
        }
    }

    /// Those that are open now, by name.
    pub(crate) fn ready(&self) -> Vec<Arc<T>> {
        let map = self.map.load();
        let ready = map.values().filter_map(|slot| match slot {
            Slot::Ready(value) => Some(value.clone()),
            Slot::Opening(_) => None,
        });
        ready.collect()
    }

    /// Notes every change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.map.load().keys().cloned().collect()
    }

    /// The component, waiting for it while it is opening. `None` when there is
    /// none of this name, or when it failed to open.
    pub(crate) async fn wait(&self, name: &str) -> Option<Arc<T>> {
        let mut opening = match self.map.load().get(name)? {
            Slot::Ready(value) => return Some(value.clone()),
            Slot::Opening(opening) => opening.clone(),
        };
        let opened = opening.wait_for(Option::is_some).await.ok()?;
        opened.clone()
    }

    /// Announces a component that is about to open. Calls wait for it until the
    /// returned [`Promise`] is kept or dropped; a component that it is to replace
    /// stays in place instead.
    pub(crate) fn opening(&self, name: &str) -> Promise<T> {
        let (sender, receiver) = watch::channel(None);
        self.change(|map| {
            map.entry(name.to_owned())
                .or_insert(Slot::Opening(receiver.clone()));
        });
        Promise {
            slots: self.clone(),
            name: name.to_owned(),
            sender,
        }
    }

    /// Takes a component away; who uses it now keeps it.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<T>> {
        let removed = self.get(name);
        self.change(|map| {
            map.remove(name);
        });
        removed
    }

    fn change(&self, edit: impl Fn(&mut BTreeMap<String, Slot<T>>)) {
        self.map.rcu(|map| {
            let mut map = BTreeMap::clone(map);
            edit(&mut map);
            map
        });
        self.changed.send_replace(());
    }
}

/// A component that is being opened.
pub(crate) struct Promise<T: Send + Sync> {
    slots: Slots<T>,
    name: String,
    sender: watch::Sender<Option<Arc<T>>>,
}

impl<T: Send + Sync> Promise<T> {
    /// Puts the component in its place and returns the one it replaces.
    pub(crate) fn keep(self, value: Arc<T>) -> Option<Arc<T>> {
        let replaced = self.slots.get(&self.name);
        self.slots.change(|map| {
            map.insert(self.name.clone(), Slot::Ready(value.clone()));
        });
        self.sender.send_replace(Some(value));
        replaced
    }
}

impl<T: Send + Sync> Drop for Promise<T> {
    /// A component that failed to open leaves no place behind.
    fn drop(&mut self) {
        if self.sender.borrow().is_some() {
            return;
        }
        self.slots.change(|map| {
            if matches!(map.get(&self.name), Some(Slot::Opening(_))) {
                map.remove(&self.name);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_waits_for_a_component_that_is_opening() {
        let slots = Slots::default();
        let promise = slots.opening("a");
        let waiter = slots.wait("a");
        assert!(slots.get("a").is_none() && !slots.is_empty());
        let (found, replaced) = tokio::join!(waiter, async { promise.keep(Arc::new(1)) });
        assert_eq!((found.as_deref(), replaced), (Some(&1), None));
    }

    #[tokio::test]
    async fn a_component_that_fails_to_open_releases_who_waits() {
        let slots = Slots::<i32>::default();
        let promise = slots.opening("a");
        let (found, ()) = tokio::join!(slots.wait("a"), async { drop(promise) });
        assert!(found.is_none() && slots.is_empty());
        assert!(slots.wait("b").await.is_none());
    }

    #[tokio::test]
    async fn a_replacement_leaves_the_old_one_in_place_until_it_is_open() {
        let slots = Slots::default();
        slots.opening("a").keep(Arc::new(1));
        let promise = slots.opening("a");
        assert_eq!(slots.wait("a").await.as_deref(), Some(&1));
        assert_eq!(promise.keep(Arc::new(2)).as_deref(), Some(&1));
        assert_eq!(slots.wait("a").await.as_deref(), Some(&2));
        drop(slots.opening("a"));
        assert_eq!(slots.remove("a").as_deref(), Some(&2));
        assert!(slots.is_empty());
    }
}
