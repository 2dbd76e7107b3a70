//! Hot reload: the resources are read again and what differs is applied.

use std::collections::BTreeMap;
use std::path::PathBuf;

use resources::load::{parse_documents, read_configurations};
use resources::{Component, Object};

use super::Progress;
use super::batch::OnError;
use super::loader::Work;
use super::open::Block;
use super::source::{Set, difference};

pub(super) const RELOAD: &str = "dapr.runtime.hotreload.reconciler";

impl Work {
    /// The error is the text of the fatal line: a component that is bad on reload
    /// ends the sidecar, unless it says `ignoreErrors`.
    pub(super) async fn reload(&mut self) -> Result<(), String> {
        let Some(set) = self.read_again().await else {
            return Ok(());
        };
        if let Some((kind, name, what)) = restarts(&self.set, &set) {
            self.restart(kind, &name, what);
            return Ok(());
        }
        let mut had: BTreeMap<&str, &Component> = BTreeMap::new();
        had.extend(
            self.set
                .components
                .iter()
                .map(|c| (c.metadata.name.as_str(), c)),
        );
        let changed = |c: &&Component| {
            had.get(c.metadata.name.as_str()) != Some(c) || self.skipped.contains(&c.metadata.name)
        };
        let changed: Vec<Component> = set.components.iter().filter(changed).cloned().collect();
        let wanted = |name: &String| set.components.iter().any(|c| c.metadata.name == *name);
        let gone: Vec<String> = self.live.keys().filter(|n| !wanted(n)).cloned().collect();
        self.set = set;
        let mut rebuild = false;
        for name in gone {
            rebuild |= self.close(&name);
        }
        // Secret stores first: what refers to them must see the new ones.
        let (stores, others): (Vec<_>, Vec<_>) = changed
            .into_iter()
            .partition(|c| Block::of(c) == Some(Block::Secrets));
        let stores = self.apply(stores).await?;
        let others = self.apply(others).await?;
        rebuild |= others
            .iter()
            .any(|c| Block::of(c) == Some(Block::Middleware));
        if rebuild {
            self.chains.build();
        }
        for store in stores {
            self.secrets_changed(&store.metadata.name).await?;
        }
        Ok(())
    }

    /// `None` when nothing differs, or when it cannot be read.
    async fn read_again(&mut self) -> Option<Set> {
        let files = self.files.clone();
        let reading = self
            .tasks
            .spawn_blocking("read configurations", move || contents(&files));
        let configurations = reading.await.ok()?;
        if configurations != self.configurations {
            self.configuration_changed(configurations);
            return None;
        }
        match self.source.read() {
            Ok(set) if set == self.set => None,
            Ok(set) => Some(set),
            Err(cause) => {
                // A folder may be away for a moment while it is replaced.
                tracing::error!(target: RELOAD, "Error listing Component: {cause}");
                None
            }
        }
    }

    /// A Configuration that cannot be used, half written perhaps, must not end a
    /// sidecar that runs.
    fn configuration_changed(&mut self, now: Vec<Option<Vec<u8>>>) {
        let before = std::mem::replace(&mut self.configurations, now);
        if let Err(cause) = read_configurations(&self.files, &*self.resolver.env) {
            tracing::error!(target: RELOAD, "Error listing Configuration: {cause}");
            return;
        }
        let mut pairs = self
            .files
            .iter()
            .zip(self.configurations.iter().zip(&before));
        let Some((file, (Some(bytes), _))) = pairs.find(|(_, (now, before))| now != before) else {
            return;
        };
        let named = parse_documents(bytes, file).resources.into_iter().next();
        let name = named.map(|r| r.resource.meta().name.clone());
        let name = name.unwrap_or_else(|| file.display().to_string());
        self.restart("Configuration", &name, "UPDATED");
    }

    fn restart(&self, kind: &str, name: &str, what: &str) {
        tracing::info!(target: RELOAD, "Received {kind} {what} event: {name} - triggering SIGHUP reload");
        self.progress.send_replace(Progress::Restart);
    }

    /// Opens those again that really differ, and answers which ones these were.
    async fn apply(&mut self, changed: Vec<Component>) -> Result<Vec<Component>, String> {
        let mut again = Vec::new();
        for component in changed {
            if component.is_denied_by(&self.denied) {
                let title = component.title();
                tracing::warn!(target: RELOAD, "Received unauthorized component update, ignored: {title}");
            } else if self.is_second_for_actors(&component) {
                self.skipped.insert(component.metadata.name.clone());
            } else if !self.is_as_open(&component).await {
                again.push(component);
            }
        }
        for component in &again {
            let title = component.title();
            tracing::info!(target: RELOAD, "Closing existing Component to reload: {title}");
            tracing::info!(target: RELOAD, "Adding Component for processing: {title}");
            self.make_room(component);
        }
        let places = self.places(&again);
        self.open_all(again.clone(), places, OnError::End).await?;
        for component in &again {
            tracing::info!(target: RELOAD, "Component updated: {}", component.title());
        }
        Ok(again)
    }

    /// Whether actors keep their state elsewhere already; then the component waits
    /// until that store is gone.
    fn is_second_for_actors(&mut self, component: &Component) -> bool {
        let name = &component.metadata.name;
        let asks = component.spec.metadata.iter().any(|m| {
            m.name.eq_ignore_ascii_case("actorStateStore")
                && service::flags::truthy(m.value.as_str())
        });
        let first = self.store_of_actors().filter(|first| first != name);
        let title = component.title();
        match first.filter(|_| asks && Block::of(component) == Some(Block::State)) {
            Some(first) => {
                tracing::error!(
                    target: RELOAD,
                    "Skipping hot reload of {title}: {first} is already the actor state store, only one actor \
                     state store is allowed. The component will be applied if {first} is removed"
                );
                true
            }
            None => {
                if self.skipped.remove(name) {
                    tracing::info!(target: RELOAD, "Applying previously skipped actor state store: {title}");
                }
                false
            }
        }
    }

    /// Whether a changed resource (a label, a comment turned into an annotation)
    /// gives the component that is open already.
    async fn is_as_open(&mut self, component: &Component) -> bool {
        let product = |c: &Component| (c.spec.component_type.clone(), c.spec.version.clone());
        let name = &component.metadata.name;
        match self.live.get(name) {
            Some(live) if product(&live.component) == product(component) => {}
            _ => return false,
        }
        let now = self.resolver.resolve(component).await;
        match (self.live.get_mut(name), now) {
            (Some(live), Some(now)) if now.unread == 0 && live.resolved == now => {
                live.component = component.clone();
                true
            }
            _ => false,
        }
    }

    /// A component that moves to another block must leave its old place.
    fn make_room(&mut self, component: &Component) {
        let name = component.metadata.name.clone();
        let live = self.live.get(&name);
        if live.is_some_and(|live| Block::of(&live.component) != Block::of(component)) {
            self.close(&name);
        }
    }

    /// Takes a component out; whoever uses it now keeps it until he is done. Tells
    /// whether it was a middleware.
    fn close(&mut self, name: &str) -> bool {
        self.pubsub.remove(name);
        self.state.remove(name);
        self.secrets.remove(name);
        self.inventory.remove(name);
        self.rotation.forget(name);
        self.live.remove(name);
        self.chains.remove(name)
    }
}

/// What differs that is read only when the runtime starts.
fn restarts(old: &Set, new: &Set) -> Option<(&'static str, String, &'static str)> {
    let endpoint = difference(&old.http_endpoints, &new.http_endpoints);
    let resiliency = difference(&old.resiliencies, &new.resiliencies);
    let endpoint = endpoint.map(|(name, what)| ("HTTPEndpoint", name, what));
    endpoint.or_else(|| resiliency.map(|(name, what)| ("Resiliency", name, what)))
}

pub(super) fn contents(files: &[PathBuf]) -> Vec<Option<Vec<u8>>> {
    files.iter().map(|f| std::fs::read(f).ok()).collect()
}
