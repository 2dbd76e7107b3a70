//! Opening a set of components side by side.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use resources::{Component, Object};

use super::loader::{Live, Work};
use super::open::{Block, Failure, Opened, Opener};
use super::resolve::{Owner, Resolved, Resolver};
use super::slots::Promise;
use crate::{pubsub, secrets, state};

const SCOPE: &str = "dapr.runtime.processor";

/// What a component that fails means for the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnError {
    /// It ends, unless the component says `ignoreErrors`.
    End,
    /// It goes on with the component that it has.
    Keep,
}

/// The places of components that are being opened.
#[derive(Default)]
pub(super) struct Places {
    pubsub: BTreeMap<String, Promise<pubsub::Broker>>,
    state: BTreeMap<String, Promise<state::Store>>,
    secrets: BTreeMap<String, Promise<secrets::Store>>,
}

impl Work {
    /// Takes the places of components that are about to be opened, so that no
    /// call finds a store missing that is on its way.
    pub(super) fn places(&self, components: &[Component]) -> Places {
        let mut places = Places::default();
        for component in components {
            let name = component.metadata.name.clone();
            match Block::of(component) {
                Some(Block::State) => {
                    let place = self.state.opening(&name);
                    places.state.insert(name, place);
                }
                Some(Block::PubSub) => {
                    let place = self.pubsub.opening(&name);
                    places.pubsub.insert(name, place);
                }
                Some(Block::Secrets) => {
                    let place = self.secrets.opening(&name);
                    places.secrets.insert(name, place);
                }
                _ => {}
            }
        }
        places
    }

    /// Opens components concurrently; one that needs a secret waits for its
    /// store. A component that is replaced serves until the new one is open. The
    /// error is the text of the fatal line.
    pub(super) async fn open_all(
        &mut self,
        components: Vec<Component>,
        mut places: Places,
        on_error: OnError,
    ) -> Result<(), String> {
        let endless = endless(&components);
        let (opener, resolver) = (&self.opener, &self.resolver);
        let mut opening: FuturesUnordered<_> = components
            .into_iter()
            .map(|component| {
                let endless = endless.contains(&component.metadata.name);
                async move {
                    if endless {
                        Resolver::waiting(Owner::component(&component));
                        return (component, Ok(None));
                    }
                    let result = open_one(opener, resolver, &component).await;
                    (component, result)
                }
            })
            .collect();
        let mut outcome = Ok(());
        let mut opened = Vec::new();
        while let Some((component, result)) = opening.next().await {
            let name = &component.metadata.name;
            let state = places.state.remove(name);
            let secrets = places.secrets.remove(name);
            let pubsub = places.pubsub.remove(name);
            let result = result.and_then(|opened| self.only_one_for_actors(opened));
            match result {
                Ok(None) => {}
                Ok(Some((what, resolved))) => {
                    // Calls under way hold the component that is replaced; it ends
                    // when the last of them does.
                    match (&what, state, secrets, pubsub) {
                        (Opened::State(new), Some(place), ..) => drop(place.keep(new.clone())),
                        (Opened::Secrets(new), _, Some(place), _) => drop(place.keep(new.clone())),
                        (Opened::PubSub(new), .., Some(place)) => drop(place.keep(new.clone())),
                        _ => {}
                    }
                    tracing::info!(target: SCOPE, "Component loaded: {}", component.title());
                    opened.push((component, what, resolved));
                }
                Err(failure) => {
                    if let Some(counts) = &self.counts {
                        counts.failed(&component, failure.reason());
                    }
                    outcome = report(&component, &failure, on_error);
                }
            }
            if outcome.is_err() {
                break;
            }
        }
        drop(opening);
        for (component, what, resolved) in opened {
            self.keep(component, what, resolved);
        }
        outcome
    }

    /// Refuses a second store for actors: their state must not be in two places.
    fn only_one_for_actors(&self, opened: Option<(Opened, Resolved)>) -> Attempt {
        let Some((Opened::State(store), _)) = &opened else {
            return Ok(opened);
        };
        if store.is_for_actors() {
            if let Some(first) = self.store_of_actors().filter(|n| n != store.name()) {
                let second = store.name();
                return Err(Failure::Init(format!(
                    "detected duplicate actor state store: {first} and {second}"
                )));
            }
            tracing::info!(
                target: "dapr.runtime.processor.state",
                "Using '{}' as actor state store", store.name()
            );
        }
        Ok(opened)
    }

    /// The name of the open store that actors keep their state in.
    pub(super) fn store_of_actors(&self) -> Option<String> {
        let mut ready = self.state.ready().into_iter();
        let found = ready.find(|store| store.is_for_actors())?;
        Some(found.name().to_owned())
    }

    fn keep(&mut self, component: Component, what: Opened, resolved: Resolved) {
        self.inventory.put(what.info(&component));
        if let Some(counts) = &self.counts {
            counts.opened(&component);
        }
        let name = component.metadata.name.clone();
        match what {
            Opened::Secrets(store) => self.rotation.follow(&name, &store),
            Opened::Middleware(middleware) => self.chains.put(&component, middleware),
            Opened::State(_) | Opened::PubSub(_) => {}
        }
        let live = Live {
            component,
            resolved,
        };
        self.live.insert(name, live);
    }
}

/// `None` while the component waits for a secret store.
type Attempt = Result<Option<(Opened, Resolved)>, Failure>;

async fn open_one(opener: &Opener, resolver: &Resolver, component: &Component) -> Attempt {
    let Some(resolved) = resolver.resolve(component).await else {
        return Ok(None);
    };
    let properties = resolver.fill(&resolved).map_err(Failure::Init)?;
    let opened = opener.open(component, &resolved, &properties).await?;
    Ok(Some((opened, resolved)))
}

/// The components that would wait for secret stores which wait for each other.
fn endless(components: &[Component]) -> BTreeSet<String> {
    let waits_for = |c: &Component| {
        let needs = c.spec.metadata.iter().any(|m| m.secret_key_ref.is_some());
        let store = c.secret_store().filter(|_| needs)?.to_owned();
        components
            .iter()
            .find(|c| c.metadata.name == store && Block::of(c) == Some(Block::Secrets))
    };
    let circles = |component: &&Component| {
        let mut seen = BTreeSet::new();
        let mut next = Some(*component);
        while let Some(current) = next {
            if !seen.insert(&current.metadata.name) {
                return true;
            }
            next = waits_for(current);
        }
        false
    };
    let found = components.iter().filter(circles);
    found.map(|c| c.metadata.name.clone()).collect()
}

/// Logs why a component failed; an error is the text of the fatal line.
fn report(component: &Component, failure: &Failure, on_error: OnError) -> Result<(), String> {
    let title = component.title();
    if !matches!(failure, Failure::NoBlock(_)) {
        let cause = failure.inner(&title);
        tracing::error!(target: SCOPE, "Failed to init component {title}: {cause}");
    }
    let name = &component.metadata.name;
    let text = format!("process component {name} error: {}", failure.outer(&title));
    if component.spec.ignore_errors || on_error == OnError::Keep {
        tracing::error!(target: SCOPE, "Ignoring error processing component: {text}");
        return Ok(());
    }
    tracing::warn!(target: SCOPE, "Error processing component, daprd will exit gracefully: {text}");
    Err(text)
}

#[cfg(test)]
mod tests {
    use resources::{Auth, NameValue, SecretKeyRef};

    use super::*;

    fn component(kind: &str, name: &str, store: &str) -> Component {
        let mut c = Component::default();
        c.metadata.name = name.into();
        c.spec.component_type = kind.into();
        c.auth = Some(Auth {
            secret_store: store.into(),
        });
        c.spec.metadata = vec![NameValue {
            name: "p".into(),
            secret_key_ref: Some(SecretKeyRef::default()),
            ..NameValue::default()
        }];
        c
    }

    #[test]
    fn stores_that_wait_for_each_other_are_found() {
        let store = |name, store| component("secretstores.x", name, store);
        let check = |components: &[Component], expected: &[&str]| {
            let found = endless(components);
            assert_eq!(
                found.iter().map(String::as_str).collect::<Vec<_>>(),
                expected
            );
        };
        check(&[store("a", "a")], &["a"]);
        check(
            &[store("a", "b"), store("b", "a"), store("c", "")],
            &["a", "b"],
        );
        check(&[store("a", "b"), store("b", "")], &[]);
        check(&[store("a", "elsewhere")], &[]);
        let user = component("state.x", "user", "a");
        check(&[user, store("a", "a")], &["a", "user"]);
    }

    #[test]
    fn failures_are_told_in_upstreams_words() {
        let text = |failure: &Failure| failure.outer("s (state.x/v1)");
        assert_eq!(
            text(&Failure::NoBlock("incorrect type x".into())),
            "incorrect type x"
        );
        assert_eq!(
            text(&Failure::Init("no".into())),
            "[INIT_COMPONENT_FAILURE]: initialization error occurred for s (state.x/v1): no"
        );
        assert_eq!(
            text(&Failure::Unknown(
                "couldn't find state store state.x/v1".into()
            )),
            "[INIT_COMPONENT_FAILURE]: initialization error occurred for s (state.x/v1): \
             [CREATE_COMPONENT_FAILURE]: initialization error occurred for s (state.x/v1): \
             couldn't find state store state.x/v1"
        );
    }
}
