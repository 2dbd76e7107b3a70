//! The wiring: listeners, the authority, and what makes a new one.

use std::sync::Arc;
use std::time::Duration;

use service::flags::process_env;
use service::health::{self, Health};
use service::log::Handle;
use service::metrics::{self, Registry};
use service::signals::{Signal, Signals};
use service::{Tasks, net};
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

use crate::bundle::rotate::{self, Plan, Policy};
use crate::bundle::{self, Bundles, Files, Objects, Occasion, Owner, Store, X509Bundle};
use crate::clock;
use crate::config::Config;
use crate::connections::DRAIN;
use crate::generation::{Generation, Parts};
use crate::kubernetes;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::validate::jwks::JwksValidator;
use crate::validate::kubernetes::KubernetesValidator;
use crate::validate::{Validator, Validators};
use crate::watch::Watch;

const SCOPE: &str = "dapr.sentry";
/// How often it is looked at whether root and issuer are due.
const LOOK: Duration = Duration::from_secs(60);
/// A user's authority that ends soon is warned about this often, in seconds.
const WARN_EVERY: i64 = 24 * 3600;

/// Serves until a signal ends it.
pub(crate) async fn until_stopped(options: &Options, log: &Handle) -> Result<(), String> {
    let mut signals = Signals::install().map_err(|e| format!("failed to take signals: {e}"))?;
    let cluster = match &options.kubeconfig {
        Some(kubeconfig) => Some(kubernetes::enter(kubeconfig, &process_env).await?),
        None => None,
    };
    let config = match &cluster {
        Some(client) => {
            let (namespace, name) = (&options.namespace, &options.config);
            Config::of(name, kubernetes::mtls(client, namespace, name).await?)?
        }
        None => Config::standalone(&options.config, &process_env)?,
    };
    let tasks = Tasks::new();
    let health = Health::new();
    let registry = Registry::new(&[]);
    let metrics = Metrics::new(&registry);
    // The readiness of the whole begins with this target.
    let server = health.target("sentry-server");
    diagnostics(options, &health, &registry, &tasks).await?;
    let listener = bind(&options.host, options.port).await?;
    let oidc = match &options.oidc {
        Some(oidc) => Some(bind(&oidc.host, oidc.port).await?),
        None => None,
    };
    let store = match &cluster {
        Some(client) => {
            let namespace = options.namespace.clone();
            let objects = Objects::new(client.clone(), namespace, &options.paths);
            Store::Objects(Box::new(objects))
        }
        None => Store::Files(Files::new(options.paths.clone())),
    };
    tracing::info!(target: "dapr.sentry.ca", "{}", store.describe());
    let parts = Parts {
        options: options.clone(),
        validators: validators(options, &config, cluster.as_ref(), &health, &tasks),
        // Outside of a cluster it is the trust domain.
        cluster_domain: match &cluster {
            Some(_) => kubernetes::domain(&options.trust_domain).await,
            None => options.trust_domain.clone(),
        },
        leaf_ttl: seconds(config.leaf_ttl),
        clock_skew: seconds(config.clock_skew),
        metrics,
        listener,
        server,
        identity: health.target("security-provider"),
        oidc: oidc.map(|listener| (listener, health.target("oidc-server"))),
    };
    let mut watch = Watch::folders_of(options.watched())?;
    let mut keeper = Keeper {
        store,
        owner: options.owner(),
        policy: Policy {
            leaf_ttl: parts.leaf_ttl,
            clock_skew: parts.clock_skew,
        },
        warned: None,
    };
    let mut bundles = keeper.open(&parts, Occasion::Start).await?;
    // What could not be used: the rest of a change may come without another event.
    let mut again = false;
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let generation = Generation::start(&parts, bundles, &tasks)?;
        bundles = loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Verbose => {
                        let level = log.toggle_debug();
                        tracing::info!(target: SCOPE, "Log level set to: {level}");
                        continue;
                    }
                    Signal::Shutdown => {
                        generation.stop().await;
                        tasks.shutdown(DRAIN).await;
                        return Ok(());
                    }
                    Signal::Reload => {}
                },
                () = watch.changed() => {}
                _ = look.tick() => {
                    if !again && !keeper.keep(generation.bundle()).await {
                        continue;
                    }
                }
            }
            let opened = keeper.open(&parts, Occasion::Change).await;
            again = opened.is_err();
            match opened {
                Ok(new) if generation.serves(&new) => generation.reload_tls(),
                Ok(new) => break new,
                Err(e) => tracing::error!(
                    target: SCOPE,
                    "Issuer credentials changed but cannot be used, those before stay: {e}"
                ),
            }
        };
        tracing::warn!(target: SCOPE, "Issuer credentials changed; reloading");
        generation.stop().await;
    }
}

/// Keeps the authority in its store good.
struct Keeper {
    store: Store,
    owner: Owner,
    policy: Policy,
    /// When it was last warned about a user's authority.
    warned: Option<i64>,
}

impl Keeper {
    async fn open(&self, parts: &Parts, occasion: Occasion) -> Result<Bundles, String> {
        let jwt = parts.options.jwt.as_ref();
        let skew = parts.clock_skew;
        bundle::open(&self.store, &self.owner, skew, jwt, occasion, clock::now()).await
    }

    /// Does what is due; whether the store has something new.
    async fn keep(&mut self, current: &X509Bundle) -> bool {
        let now = clock::now();
        let done = match rotate::plan(current, &self.owner, self.policy, now) {
            Plan::Keep => return false,
            Plan::Warn(end) => {
                if self.warned.is_none_or(|last| now - last >= WARN_EVERY) {
                    self.warned = Some(now);
                    let left = service::duration::format(Duration::from_secs(
                        u64::try_from(end - now).unwrap_or_default(),
                    ));
                    tracing::warn!(
                        target: SCOPE,
                        "The provided root or issuer certificate ends in {left}; replace the files"
                    );
                }
                return false;
            }
            Plan::Renew => {
                let validity = bundle::validity(self.policy.clock_skew, now);
                match rotate::renewed(current, &self.owner, validity, now) {
                    Ok(new) => {
                        tracing::info!(
                            target: SCOPE,
                            "Root and issuer certificates end soon: made new ones beside them"
                        );
                        bundle::replace(&self.store, &new).await
                    }
                    Err(e) => Err(e),
                }
            }
            Plan::Prune => {
                let (anchors, chain) = rotate::pruned(current, &self.owner, now);
                bundle::save_certificates(&self.store, &anchors, &chain).await
            }
        };
        if let Err(e) = &done {
            tracing::error!(target: SCOPE, "Failed to renew root and issuer: {e}");
        }
        done.is_ok()
    }
}

/// The health and the metrics servers.
async fn diagnostics(
    options: &Options,
    health: &Health,
    registry: &Registry,
    tasks: &Tasks,
) -> Result<(), String> {
    let listening = health.target("healthz-server");
    // The addresses of the flags have no effect, as in upstream's Sentry.
    let listener = net::bind("", options.health_port).await.map_err(text)?;
    let address = listener.local_addr().map_err(text)?;
    tracing::info!(target: SCOPE, "Healthz server is listening on {address}");
    health::serve(listener, health, tasks);
    listening.ready();
    if let Some(port) = options.metrics_port {
        let listening = health.target("metrics-exporter");
        let listener = net::bind("", port).await.map_err(text)?;
        tracing::info!(target: SCOPE, "metrics server started on :{port}/");
        metrics::serve(listener, registry, tasks);
        listening.ready();
    }
    Ok(())
}

fn validators(
    options: &Options,
    config: &Config,
    cluster: Option<&k8s::Client>,
    health: &Health,
    tasks: &Tasks,
) -> Validators {
    let id = options.id();
    let own = cluster.map(|client| {
        tracing::info!(target: SCOPE, "Adding validator 'kubernetes' with Sentry ID: {id}");
        let ready = health.target("sentry-kubernetes-validator");
        let validator = Arc::new(KubernetesValidator::new(client.clone(), id.clone(), ready));
        validator.start(tasks);
        validator
    });
    let mut configured = Vec::new();
    for jwks in &config.jwks {
        tracing::info!(target: SCOPE, "Adding validator 'jwks' with Sentry ID: {id}");
        let validator = Arc::new(JwksValidator::new(id.to_string()));
        validator.start(jwks.clone(), health.target("sentry-jwks-validator"), tasks);
        configured.push(Validator::Jwks(validator));
    }
    let validators = match own {
        Some(own) => Validators::kubernetes(own, configured),
        None => {
            if configured.is_empty() {
                tracing::info!(target: SCOPE, "Adding validator 'insecure'");
            }
            Validators::standalone(configured)
        }
    };
    for validator in validators.iter() {
        tracing::info!(target: SCOPE, "Using validator '{}'", validator.name());
    }
    validators
}

async fn bind(host: &str, port: u16) -> Result<Arc<TcpListener>, String> {
    net::bind(host, port).await.map(Arc::new).map_err(text)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn text(error: std::io::Error) -> String {
    error.to_string()
}
