//! What this sidecar hosts: what the app says over HTTP and over its streams, as
//! long as there is a store for the state of actors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actors::call::App;
use actors::host::Host;
use actors::placement::{Hosted, Placement};
use actors::settings::Registration;
use actors::settings::TypeSettings;
use tokio::sync::{Mutex, watch};

const SCOPE: &str = "dapr.runtime.actor";

/// Who named types: each can take its own back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Http,
    Stream(u64),
}

pub(super) struct Hosting {
    host: Host,
    placement: Placement,
    named: Mutex<Named>,
    /// Whether calls may go on: the app has said once what it hosts, be it nothing.
    registered: watch::Sender<bool>,
}

#[derive(Default)]
struct Named {
    /// The name of the store that holds the state, while there is one.
    store: Option<String>,
    sources: BTreeMap<Source, (Registration, Arc<dyn App>)>,
    hosted: BTreeMap<Arc<str>, (TypeSettings, Source)>,
}

impl Hosting {
    pub(super) fn new(host: Host, placement: Placement) -> Self {
        Self {
            host,
            placement,
            named: Mutex::default(),
            registered: watch::Sender::new(false),
        }
    }

    /// Waits until the app has said what it hosts.
    pub(super) async fn registered(&self) {
        let mut registered = self.registered.subscribe();
        // The sender is in `self`.
        let _ = registered.wait_for(|registered| *registered).await;
    }

    /// The types that are hosted now.
    pub(super) async fn types(&self) -> BTreeSet<Arc<str>> {
        self.named.lock().await.hosted.keys().cloned().collect()
    }

    pub(super) fn is_registered(&self) -> bool {
        *self.registered.borrow()
    }

    /// The app hosts these types.
    pub(super) async fn register(
        &self,
        source: Source,
        registration: Registration,
        app: &Arc<dyn App>,
    ) {
        let types: Vec<&str> = registration.types.keys().map(|kind| &**kind).collect();
        if !types.is_empty() {
            tracing::info!(target: SCOPE, "Registering hosted actors: [{}]", types.join(" "));
        }
        let mut named = self.named.lock().await;
        named.sources.insert(source, (registration, app.clone()));
        self.apply(&mut named).await;
        self.registered.send_replace(true);
    }

    /// The app hosts nothing more of what it said; its actors are let go. Calls wait
    /// until it says something again, if this was about any type.
    pub(super) async fn withdraw(&self, source: Source) {
        let mut named = self.named.lock().await;
        let Some((registration, _)) = named.sources.remove(&source) else {
            return;
        };
        if source == Source::Http && !registration.types.is_empty() {
            self.registered.send_replace(false);
        }
        self.apply(&mut named).await;
    }

    /// The store for the state came, went or is another one.
    pub(super) async fn store(&self, store: Option<&str>) {
        let mut named = self.named.lock().await;
        if named.store.as_deref() == store {
            return;
        }
        if named.store.is_some() {
            tracing::info!(target: SCOPE, "Actor state store removed or replaced - draining hosted actors");
            named.store = None;
            self.apply(&mut named).await;
        }
        if let Some(store) = store {
            tracing::info!(target: SCOPE, "Actor state store {store} configured - enabling actor hosting");
        }
        named.store = store.map(str::to_owned);
        if self.is_registered() || named.store.is_none() {
            self.apply(&mut named).await;
        }
    }

    /// Makes the hosts of actors be as they are named now, and tells Placement. The
    /// end of a stream leaves the types that another one has named as well: upstream
    /// withdraws them, so that an app which reconnects loses its actors.
    async fn apply(&self, named: &mut Named) {
        let mut wanted = BTreeMap::new();
        let sources = named.sources.iter().filter(|_| named.store.is_some());
        for (source, (registration, _)) in sources {
            for (kind, settings) in &registration.types {
                wanted.insert(kind.clone(), (settings.clone(), *source));
            }
        }
        for (kind, (settings, source)) in &wanted {
            if named.hosted.get(kind) != Some(&(settings.clone(), *source))
                && let Some((_, app)) = named.sources.get(source)
            {
                let types = BTreeMap::from([(kind.clone(), settings.clone())]);
                let registration = Registration { types, drain: None };
                self.host.register(&registration, app);
            }
        }
        let gone = named
            .hosted
            .keys()
            .filter(|kind| !wanted.contains_key(*kind));
        let gone: BTreeSet<Arc<str>> = gone.cloned().collect();
        named.hosted = wanted;
        self.placement.report(named.report());
        if !gone.is_empty() {
            self.host.withdraw(&gone).await;
        }
    }
}

impl Named {
    fn report(&self) -> Hosted {
        let sources = self.sources.values();
        let drain = sources.filter_map(|(registration, _)| registration.drain);
        let types = self.hosted.iter();
        let types = types.map(|(kind, (settings, _))| (kind.clone(), settings.drain()));
        Hosted {
            types: types.collect(),
            drain: drain.max().unwrap_or(TypeSettings::default().drain_ongoing),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actors::call::{Actor, Fire, Fired, Invoke, Reply};
    use actors::placement::Settings;
    use async_trait::async_trait;
    use security::Security;
    use service::Tasks;

    use super::*;

    struct Silent;

    #[async_trait]
    impl App for Silent {
        async fn invoke(&self, _: &Invoke) -> Result<Reply, actors::Error> {
            Ok(Reply::default())
        }
        async fn reminder(&self, _: &Fire) -> Result<Fired, actors::Error> {
            Ok(Fired::Done)
        }
        async fn timer(&self, _: &Fire) -> Result<Fired, actors::Error> {
            Ok(Fired::Done)
        }
        async fn deactivate(&self, _: &Actor) -> Result<(), actors::Error> {
            Ok(())
        }
    }

    struct Bench {
        host: Host,
        hosting: Hosting,
        app: Arc<dyn App>,
    }

    impl Bench {
        fn new() -> Self {
            let tasks = Tasks::new();
            let host = Host::start(Arc::new(()), &tasks);
            let settings = Settings {
                addresses: Vec::new(),
                kubernetes: false,
                app_id: "shop".into(),
                namespace: "default".into(),
                host: "127.0.0.1:1".into(),
                disseminate_timeout: Duration::from_secs(30),
            };
            let residents = Arc::new(host.clone());
            let placement = Placement::start(settings, &Security::disabled(), residents, &tasks);
            Self {
                hosting: Hosting::new(host.clone(), placement),
                host,
                app: Arc::new(Silent),
            }
        }

        async fn register(&self, source: Source, kinds: &[&str]) {
            let types = kinds.iter();
            let types = types.map(|kind| (Arc::from(*kind), TypeSettings::default()));
            let registration = Registration {
                types: types.collect(),
                drain: None,
            };
            self.hosting.register(source, registration, &self.app).await;
        }

        async fn check(&self, expected: &[&str]) {
            let types = self.hosting.types().await;
            let types: Vec<&str> = types.iter().map(|kind| &**kind).collect();
            assert_eq!(types, expected);
            for kind in ["Cart", "Till", "Shelf"] {
                assert_eq!(self.host.hosts(kind), expected.contains(&kind), "{kind}");
            }
        }
    }

    #[tokio::test]
    async fn types_are_hosted_while_there_is_a_store_for_their_state() {
        let bench = Bench::new();
        bench.register(Source::Http, &["Cart"]).await;
        bench.check(&[]).await;
        bench.hosting.store(Some("one")).await;
        bench.check(&["Cart"]).await;
        bench.hosting.store(None).await;
        bench.check(&[]).await;
        bench.hosting.store(Some("two")).await;
        bench.check(&["Cart"]).await;
    }

    #[tokio::test]
    async fn what_one_stream_named_goes_with_it_unless_another_named_it_too() {
        let bench = Bench::new();
        bench.hosting.store(Some("one")).await;
        bench.register(Source::Stream(1), &["Cart", "Till"]).await;
        bench.register(Source::Stream(2), &["Cart", "Shelf"]).await;
        bench.check(&["Cart", "Shelf", "Till"]).await;
        bench.hosting.withdraw(Source::Stream(1)).await;
        bench.check(&["Cart", "Shelf"]).await;
        bench.hosting.withdraw(Source::Stream(2)).await;
        bench.check(&[]).await;
        assert!(bench.hosting.is_registered());
    }

    #[tokio::test]
    async fn calls_wait_until_the_app_has_said_what_it_hosts_and_again_after_it_was_unwell() {
        let bench = Bench::new();
        bench.hosting.store(Some("one")).await;
        assert!(!bench.hosting.is_registered());
        bench.register(Source::Http, &[]).await;
        assert!(bench.hosting.is_registered());
        bench.hosting.withdraw(Source::Http).await;
        assert!(bench.hosting.is_registered(), "nothing was withdrawn");
        bench.register(Source::Http, &["Cart"]).await;
        bench.hosting.withdraw(Source::Http).await;
        assert!(!bench.hosting.is_registered());
        bench.check(&[]).await;
    }
}
