//! From app ids to addresses.

mod choice;
mod open;
mod registry;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use component::resolution::{NameResolver, ResolveRequest};
use parking_lot::Mutex;

use self::choice::Choice;
pub(crate) use self::open::open;
pub(crate) use self::registry::{Entry, Registration, Registry};

/// How long an answer of several addresses holds.
const HELD: Duration = Duration::from_secs(20);
/// An empty answer is asked for again.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// Where a sidecar can be called: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) String);

/// Finds the sidecars of apps: with the default resolver in the file registry
/// first, which knows those of this machine at once, else by the component.
#[derive(Clone)]
pub(crate) struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Option<Registry>,
    component: Option<Arc<dyn NameResolver>>,
    /// This sidecar's own internal port, for resolvers that cannot know another's.
    port: u16,
    /// Several addresses of one app, by namespace and id.
    held: Mutex<HashMap<(String, String), Held>>,
    choice: Choice,
}

struct Held {
    addresses: Arc<[String]>,
    until: Instant,
}

impl Resolver {
    pub(crate) fn new(
        registry: Option<Registry>,
        component: Option<Arc<dyn NameResolver>>,
        port: u16,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                registry,
                component,
                port,
                held: Mutex::default(),
                choice: Choice::default(),
            }),
        }
    }

    /// The error is a text that follows `failed to invoke, id: <id>, err: `.
    pub(crate) async fn resolve(&self, id: &str, namespace: &str) -> Result<Address, String> {
        let me = &*self.inner;
        if let Some(registry) = &me.registry {
            // At most a few small files that the kernel has in memory: shorter than
            // the way to another thread.
            match registry.find(id) {
                Ok(found) => {
                    if let Some(address) = me.choice.pick(&found) {
                        return Ok(Address(address.clone()));
                    }
                }
                Err(e) if me.component.is_none() => {
                    return Err(format!("cannot read the registry of sidecars: {e}"));
                }
                Err(e) => tracing::debug!(target: "dapr.nr.registry", "cannot be read: {e}"),
            }
        }
        let Some(component) = &me.component else {
            return Err(match me.registry {
                Some(_) => format!("couldn't find service: {id}"),
                None => "name resolver not initialized".into(),
            });
        };
        if component.gives_several() {
            return me.held(component.as_ref(), id, namespace).await;
        }
        for _ in 0..TRIES {
            let found = me.ask(component.as_ref(), id, namespace).await?;
            if let Some(address) = me.choice.pick(&found) {
                return Ok(Address(address.clone()));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(empty(id, namespace))
    }

    /// An address that did not answer is not given out again while others are left.
    pub(crate) fn failed(&self, id: &str, namespace: &str, address: &str) {
        self.inner.choice.failed(address);
        if let Some(registry) = &self.inner.registry {
            registry.forget();
        }
        let key = (namespace.to_owned(), id.to_owned());
        self.inner.held.lock().remove(&key);
    }
}

impl Resolver {
    /// Returns when this sidecar can be found no more; with the reason.
    pub(crate) async fn lost(&self) -> String {
        match &self.inner.component {
            Some(component) => component.lost().await.to_string(),
            None => std::future::pending().await,
        }
    }

    /// Takes the registration back.
    pub(crate) async fn close(&self) {
        if let Some(component) = &self.inner.component {
            component.close().await;
        }
    }
}

impl Inner {
    async fn held(
        &self,
        component: &dyn NameResolver,
        id: &str,
        namespace: &str,
    ) -> Result<Address, String> {
        let key = (namespace.to_owned(), id.to_owned());
        let held = self.held.lock().get(&key).and_then(|held| {
            let fresh = held.until > Instant::now();
            fresh.then(|| held.addresses.clone())
        });
        let addresses = match held {
            Some(addresses) => addresses,
            None => {
                let addresses: Arc<[String]> = self.ask(component, id, namespace).await?.into();
                let now = Instant::now();
                let mut all = self.held.lock();
                all.retain(|_, held| held.until > now);
                let held = Held {
                    addresses: addresses.clone(),
                    until: now + HELD,
                };
                all.insert(key, held);
                addresses
            }
        };
        let picked = self.choice.pick(&addresses);
        picked.map_or_else(|| Err(empty(id, namespace)), |a| Ok(Address(a.clone())))
    }

    async fn ask(
        &self,
        component: &dyn NameResolver,
        id: &str,
        namespace: &str,
    ) -> Result<Vec<String>, String> {
        let request = ResolveRequest {
            id: id.to_owned(),
            namespace: namespace.to_owned(),
            port: self.port,
            data: Default::default(),
        };
        component.resolve(request).await.map_err(|e| e.to_string())
    }
}

fn empty(id: &str, namespace: &str) -> String {
    format!("resolver returned empty address for app id {namespace}/{id}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;

    /// Answers with the addresses that it was made with, and counts.
    struct Fixed {
        addresses: Vec<String>,
        several: bool,
        asked: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl NameResolver for Fixed {
        async fn resolve(&self, _: ResolveRequest) -> component::Result<Vec<String>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Ok(self.addresses.clone())
        }

        fn gives_several(&self) -> bool {
            self.several
        }
    }

    fn resolver(addresses: &[&str], several: bool) -> (Resolver, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let fixed = Fixed {
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            several,
            asked: asked.clone(),
        };
        (Resolver::new(None, Some(Arc::new(fixed)), 1), asked)
    }

    #[tokio::test]
    async fn an_answer_of_several_is_kept_until_one_fails() {
        let (resolver, asked) = resolver(&["a:1", "b:1"], true);
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(resolver.resolve("x", "ns").await.unwrap().0);
        }
        seen.sort();
        assert_eq!(seen, ["a:1", "a:1", "b:1", "b:1"]);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        resolver.failed("x", "ns", "a:1");
        for _ in 0..3 {
            assert_eq!(resolver.resolve("x", "ns").await.unwrap().0, "b:1");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_answer_is_asked_for_again() {
        let (resolver, asked) = resolver(&[], false);
        let error = resolver.resolve("x", "ns").await.unwrap_err();
        assert_eq!(error, "resolver returned empty address for app id ns/x");
        assert_eq!(asked.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn without_any_resolver_nobody_is_found() {
        let none = Resolver::new(None, None, 1);
        assert_eq!(
            none.resolve("x", "ns").await.unwrap_err(),
            "name resolver not initialized"
        );
    }
}
