//! Secrets that change while the sidecar runs: what refers to them is opened
//! again, without a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use resources::{Component, Object};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::batch::OnError;
use super::loader::Work;
use super::reload::RELOAD;
use crate::secrets::Store;

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Which stores tell of changes, and which changes are not applied yet.
#[derive(Default)]
pub(super) struct Rotation {
    followed: BTreeMap<String, watch::Receiver<u64>>,
    /// Stores whose new secrets some component could not be opened with.
    stale: BTreeSet<String>,
    retry: Option<(Instant, Duration)>,
}

impl Rotation {
    pub(super) fn follow(&mut self, name: &str, store: &Store) {
        match store.component().changes() {
            Some(changes) => self.followed.insert(name.to_owned(), changes),
            None => self.followed.remove(name),
        };
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.followed.remove(name);
        self.stale.remove(name);
    }

    /// The store that next says that its secrets may have changed.
    pub(super) async fn moved(&mut self) -> String {
        let moves = self.followed.iter_mut().map(|(name, changes)| async move {
            match changes.changed().await {
                Ok(()) => name.clone(),
                // The store is gone.
                Err(_) => pending().await,
            }
        });
        let mut moves: FuturesUnordered<_> = moves.collect();
        match moves.next().await {
            Some(store) => store,
            None => pending().await,
        }
    }

    /// Ends when it is time to try again.
    pub(super) fn retry(&self) -> impl Future<Output = ()> + use<> {
        let at = self.retry.map(|(at, _)| at);
        async move {
            match at {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        }
    }

    fn settled(&mut self, store: &str, ok: bool) {
        if ok {
            self.stale.remove(store);
        } else {
            self.stale.insert(store.to_owned());
        }
        if self.stale.is_empty() {
            self.retry = None;
        } else {
            let wait = self
                .retry
                .map_or(FIRST_RETRY, |(_, w)| (w * 2).min(LAST_RETRY));
            self.retry = Some((Instant::now() + wait, wait));
        }
    }
}

impl Work {
    /// Reads again what components refer to in a store, and opens those again
    /// whose metadata really became another.
    pub(super) async fn secrets_changed(&mut self, store: &str) -> Result<(), String> {
        let refers = |c: &&Component| {
            let needs = c.spec.metadata.iter().any(|m| m.secret_key_ref.is_some());
            needs && c.secret_store() == Some(store) && !c.is_denied_by(&self.denied)
        };
        let mut again = Vec::new();
        let mut ok = true;
        for component in self.set.components.iter().filter(refers) {
            let Some(now) = self.resolver.resolve(component).await else {
                continue;
            };
            let live = self.live.get(&component.metadata.name);
            if now.unread > 0 {
                ok = false;
            } else if live.is_none_or(|live| live.resolved != now) {
                again.push((component.clone(), now));
            }
        }
        if !again.is_empty() {
            for (component, _) in &again {
                let title = component.title();
                tracing::info!(target: RELOAD, "Secret of component {title} changed in {store}; opening it again");
            }
            // A value that does not work yet must not end a sidecar that runs: the
            // old component stays, and the new value is tried again.
            let components: Vec<_> = again.iter().map(|(c, _)| c.clone()).collect();
            let places = self.places(&components);
            self.open_all(components, places, OnError::Keep).await?;
            self.chains.build();
            ok &= again.iter().all(|(component, now)| {
                let live = self.live.get(&component.metadata.name);
                live.is_some_and(|live| live.resolved == *now)
            });
        }
        self.rotation.settled(store, ok);
        Ok(())
    }

    pub(super) async fn retry_secrets(&mut self) -> Result<(), String> {
        for store in self.rotation.stale.clone() {
            self.secrets_changed(&store).await?;
        }
        Ok(())
    }
}
