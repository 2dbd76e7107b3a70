//! The wiring of the sidecar, top to bottom, and its life from start to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use component::Registry;
use component::resolution::Instance;
use proto::dapr::runtime::v1 as rt;
use resiliency::{ComponentKind, Observer, Policies};
use resources::configuration::{
    ApiRule, ConfigurationSpec, Handler, Metrics, Pipeline as Handlers,
};
use resources::load::read_configurations;
use security::{Security, Service};
use service::Tasks;
use service::flags::process_env;
use service::health::Health;
use service::log::Handle;
use service::metrics::Registry as MetricsRegistry;
use service::signals::{Signal, Signals};
use telemetry::Tracer;
use tokio::net::TcpListener;

use crate::actors::{self, Actors};
use crate::api::absent::Absent;
use crate::api::access::{Access, Rule};
use crate::api::grpc::dapr::Api;
use crate::api::pipeline::Pipeline;
use crate::app::{App, AppHealth};
use crate::flags::Config;
use crate::health::Healthz;
use crate::invoke::external::External;
use crate::invoke::resolve::{self, Entry, Registry as Neighbours, Resolver};
use crate::invoke::{self, Invoker, Parts};
use crate::jobs::{self, Jobs};
use crate::load::{self, Loader};
use crate::metadata::{Facts, Metadata};
use crate::meters::Meters;
use crate::peer::access::AccessList;
use crate::peer::{self, Dialer, Pool};
use crate::pubsub::{Brokers, Subscriptions};
use crate::scheduler::{self, Client as Scheduler, Triggers};
use crate::secrets::{self, Scopes, Secrets};
use crate::servers::{self, Listeners};
use crate::shutdown::{Asked, Shutdown};
use crate::state::{self, State};
use crate::{SCOPE, host};

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Stopped,
    /// By the shutdown API with force; nothing is waited for.
    Forced,
    TimedOut,
}

/// Runs the sidecar until it is told to stop; a SIGHUP, or a change of what is
/// read only at start, builds it again. The error follows
/// `Fatal error from runtime: `.
pub(crate) async fn until_stopped(config: &Config, log: &Handle) -> Result<End, String> {
    let mut signals =
        Signals::install().map_err(|e| format!("failed to listen for signals: {e}"))?;
    let mut kept = Kept::default();
    loop {
        let tasks = Tasks::new();
        let sidecar = Sidecar::start(config, &mut kept, &tasks).await?;
        let next = sidecar.wait(config, &mut signals, log).await;
        if next == Ok(Next::Stop(true)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Ok(End::Forced);
        }
        let in_time = sidecar.stop(config, tasks).await;
        match next? {
            _ if !in_time => return Ok(End::TimedOut),
            Next::Stop(_) => return Ok(End::Stopped),
            Next::Restart => {}
        }
    }
}

/// What outlives a restart inside the process: an identity needs no new answer of
/// Sentry's, who may be away, and counts go on.
#[derive(Default)]
struct Kept {
    /// With the settings that it was made for.
    registry: Option<(Metrics, MetricsRegistry)>,
    security: Option<Security>,
    /// Those of the identity.
    tasks: Tasks,
}

/// What follows a running sidecar.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// With force or not.
    Stop(bool),
    Restart,
}

struct Sidecar {
    app: App,
    actors: Actors,
    loader: Loader,
    asked: tokio::sync::watch::Receiver<Asked>,
    /// Kept so that the file is there as long as the sidecar is.
    _registration: Option<resolve::Registration>,
    resolver: Resolver,
    /// Of spans; it ends after everything that makes them.
    exporting: Tasks,
}

impl Sidecar {
    async fn start(config: &Config, kept: &mut Kept, tasks: &Tasks) -> Result<Self, String> {
        let start = Instant::now();
        let settings = settings(config)?;
        let listeners = Listeners::bind(config).await?;
        tracing::info!(target: SCOPE, "standalone mode configured");
        tracing::info!(target: SCOPE, "app id: {}", config.app_id);
        if config.graceful.is_none() {
            tracing::warn!(
                target: SCOPE,
                "Graceful shutdown timeout is infinite, will wait indefinitely to shutdown"
            );
        }
        let health = Health::new();
        let (runtime, http_ready, grpc_ready, internal_ready) = (
            health.target("runtime"),
            health.target("http-api-server"),
            health.target("grpc-api-server"),
            health.target("grpc-internal-server"),
        );
        let outbound = Health::new().target("outbound");
        let meters = kept.meters(config, &settings)?;
        if let Some((address, port)) = config.metrics.as_ref().filter(|_| meters.enabled) {
            let ready = health.target("metrics-exporter");
            let listener = service::net::bind(address, *port).await;
            let listener =
                listener.map_err(|e| format!("failed to listen on {address}:{port}: {e}"))?;
            service::metrics::serve(listener, &meters.registry, tasks);
            tracing::info!(target: SCOPE, "metrics server started on {address}:{port}/");
            ready.ready();
        }

        let exporting = Tasks::new();
        let tracer = tracer(config, &settings, &meters, &exporting)?;
        let identified = health.target("security-provider");
        let security = kept.security(config, &meters).await?;
        identified.ready();
        let (server_pipeline, app_pipeline) = (Pipeline::default(), Pipeline::default());
        let counts = meters.load();
        let pipelines = (&server_pipeline, &app_pipeline);
        let types = Arc::new(types());
        let loader = loader(config, &settings, types.clone(), pipelines, counts, tasks)?;
        let policies = policies(&loader, &meters);
        let app = App::new(
            &config.app,
            config.read_buffer,
            app_pipeline.clone(),
            meters.app(),
            meters.calls(),
        )?;
        let address = host::address(&process_env);
        let internal = internal_listener(config).await?;
        let http_app = !config.app.protocol.starts_with("grpc");
        let access_list = AccessList::compile(
            &settings.access_control.clone().unwrap_or_default(),
            http_app,
            meters.enabled.then_some(&meters.registry),
        )?;
        let neighbours = Neighbours::new(&process_env);
        let instance = instance(config, address.clone(), &internal);
        let here = reached_at(&instance);
        let registration = register(&neighbours, &instance, &here);
        let resolution = settings.name_resolution.clone().unwrap_or_default();
        let env = resolver_env(config, tasks);
        let resolver = resolve::open(&resolution, &types, neighbours, env, instance).await;
        let max_message = config.max_body.unwrap_or(usize::MAX);
        let pool = Pool::new(Dialer::new(security.clone()), meters.calls(), tasks);
        let invoker = Invoker::new(Parts {
            app_id: config.app_id.clone(),
            namespace: namespace(config).into(),
            app: app.clone(),
            pool: pool.clone(),
            resolver: resolver.clone(),
            external: External::new(
                loader.endpoints.clone(),
                app_pipeline,
                config.app.protocol == "h2c",
                app.token().cloned(),
                config.app.max_concurrency,
            ),
            address,
            max_message,
            metrics: meters.invocation(),
            policies: policies.clone(),
            tracer: tracer.clone(),
        });
        let state = State::new(
            loader.state.clone(),
            meters.block(
                &policies,
                ("state", ComponentKind::Statestore),
                state::OPERATIONS,
            ),
        );
        let scopes = scopes(&settings)?;
        let secret_metrics = meters.block(
            &policies,
            ("secret", ComponentKind::Secretstore),
            secrets::OPERATIONS,
        );
        let secrets = Secrets::new(loader.secrets.clone(), scopes, secret_metrics);
        let pubsub = Brokers::new(loader.pubsub.clone(), &config.app_id);
        let scheduler = scheduler(config, &security, &meters);
        let jobs = Jobs::new(scheduler.clone(), &config.app_id, namespace(config));
        let parts = actors::Parts {
            app_id: config.app_id.clone(),
            namespace: namespace(config).to_owned(),
            host: here,
            addresses: config.placement.addresses.clone(),
            disseminate_timeout: config.placement.timeout,
            app: app.clone(),
            state: state.clone(),
            state_ttl: settings.has_feature("ActorStateTTL"),
            import_reminders: settings.has_feature("ImportActorReminders"),
            scheduler: scheduler.clone(),
            policies: policies.clone(),
            pool,
            max_message: max_message.max(invoke::LEAST_MESSAGE),
            observer: meters.actors(),
        };
        let placed = health.target("internal-placement-service");
        let actors = Actors::new(parts, &security, placed);
        let metadata = Metadata::new(
            facts(config, &settings),
            loader.inventory.clone(),
            actors.clone(),
            scheduler.clone(),
        );
        let (shutdown, asked) = Shutdown::new();
        let healthz = Healthz {
            app_id: config.app_id.clone(),
            all: health.clone(),
            outbound: outbound.clone(),
        };
        let absent = Absent;

        let routes = state::http::routes(state.clone(), &config.app_id)
            .and(secrets::http::routes(secrets.clone()))
            .and(crate::pubsub::http::routes(&pubsub))
            .and(actors::http::routes(&actors))
            .and(jobs::http::routes(&jobs))
            .and(crate::metadata::http::routes(metadata.clone()))
            .and(healthz.routes())
            .and(shutdown.routes())
            .and(absent.routes());
        let public = crate::metadata::http::routes(metadata.clone()).and(healthz.routes());
        let api = Api {
            actors: actors.clone(),
            absent,
            invoker: invoker.clone(),
            jobs,
            metadata,
            pubsub,
            secrets,
            shutdown,
            state,
        };
        let logging = settings
            .logging
            .clone()
            .and_then(|l| l.api_logging)
            .unwrap_or_default();
        let servers = servers::Servers {
            config,
            access: access(&settings),
            tracer: tracer.clone(),
            http_metrics: meters.http(),
            grpc_metrics: meters.grpc(),
            pipeline: server_pipeline,
            logging: config
                .api_logging
                .unwrap_or(logging.enabled)
                .then_some(logging),
        };
        servers.http(listeners.http, routes, &invoker, tasks);
        http_ready.ready();
        servers.grpc(listeners.grpc, api, invoker.clone(), tasks);
        grpc_ready.ready();
        servers.public(listeners.public, public, tasks);
        let tracing = tracer.clone().map(|tracer| peer::Tracing {
            tracer,
            app_id: config.app_id.clone(),
        });
        let access_of_calls = access_list.clone();
        let peers = peer::Server::new(
            app.clone(),
            actors.clone(),
            access_of_calls,
            meters.invocation(),
            tracing,
        );
        let acceptor = security.peer_acceptor();
        servers.internal(internal, peers, access_list, invoker, acceptor, tasks);
        internal_ready.ready();
        if let Some(bytes) = config.max_body {
            tracing::info!(target: SCOPE, "The request body size parameter is: {bytes} bytes");
        }

        let events = jobs::Events {
            app: app.clone(),
            tracer: tracer.clone(),
            metrics: meters.jobs(),
        };
        let triggers = Triggers {
            jobs: Arc::new(events),
            reminders: Some(Arc::new(actors.clone())),
        };
        let known = health.target("scheduler-watch-hosts");
        scheduler.start(triggers, &app, known, tasks);

        let sidecar = Self {
            app: app.clone(),
            actors: actors.clone(),
            loader: loader.clone(),
            asked,
            _registration: registration,
            resolver,
            exporting,
        };
        let (app_id, background) = (config.app_id.clone(), tasks.clone());
        let token = tasks.token();
        tasks.spawn("start", async move {
            let ready = async {
                if loader.loaded().await.is_err() {
                    return;
                }
                actors.components_open().await;
                outbound.ready();
                app.wait_for_port().await;
                runtime.ready();
                tracing::info!(
                    target: SCOPE,
                    "dapr initialized. Status: Running. Init Elapsed {}ms", start.elapsed().as_millis()
                );
                let subscriptions = Subscriptions {
                    brokers: loader.pubsub.clone(),
                    app: app.clone(),
                    app_id,
                    tracer,
                };
                introduce(app, actors, subscriptions, &background).await;
            };
            tokio::select! {
                () = ready => {}
                () = token.cancelled() => {}
            }
        });
        Ok(sidecar)
    }

    /// Until somebody or something asks for another state of affairs.
    async fn wait(
        &self,
        config: &Config,
        signals: &mut Signals,
        log: &Handle,
    ) -> Result<Next, String> {
        let mut asked = self.asked.clone();
        loop {
            let signal = tokio::select! {
                ended = self.loader.ended() => return ended.map(|()| Next::Restart),
                lost = self.resolver.lost() => return Err(lost),
                asked = asked.wait_for(|a| *a != Asked::Nothing) => {
                    return Ok(Next::Stop(asked.is_ok_and(|a| *a == Asked::Forced)));
                }
                signal = signals.next() => signal,
            };
            match signal {
                Signal::Reload => return Ok(Next::Restart),
                Signal::Shutdown => {
                    self.block(config).await;
                    return Ok(Next::Stop(false));
                }
                Signal::Verbose => {
                    let level = log.toggle_debug();
                    tracing::info!(target: SCOPE, "Log level set to: {}", level.word());
                }
            }
        }
    }

    /// Holds a shutdown back until the time is over or the app is unhealthy.
    async fn block(&self, config: &Config) {
        let Some(time) = config.block else { return };
        let shown = service::duration::format(time);
        tracing::info!(target: SCOPE, "Blocking graceful shutdown for {shown} or until app reports unhealthy...");
        let unhealthy = async {
            match (self.app.health(), &config.app.health) {
                (Some(mut health), Some(_)) => {
                    let _ = health.wait_for(|h| *h == AppHealth::Unhealthy).await;
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(time) => {
                tracing::info!(target: SCOPE, "Block shutdown period expired, entering shutdown...");
            }
            () = unhealthy => tracing::info!(target: SCOPE, "App reported unhealthy, entering shutdown..."),
        }
    }

    /// Ends the servers, then the components; whether that was done in time.
    async fn stop(self, config: &Config, tasks: Tasks) -> bool {
        tracing::info!(target: SCOPE, "Dapr is shutting down");
        let end = async {
            self.actors.stop().await;
            tasks
                .shutdown(config.graceful.unwrap_or(Duration::MAX))
                .await;
            self.loader.close().await;
            self.resolver.close().await;
            self.exporting.shutdown(EXPORT).await;
        };
        let in_time = match config.graceful {
            Some(limit) => {
                tokio::time::timeout(limit, end).await.is_ok() && tasks.running().is_empty()
            }
            None => {
                end.await;
                true
            }
        };
        if in_time {
            tracing::info!(target: SCOPE, "Dapr runtime stopped");
        }
        in_time
    }
}

/// How long the last spans may take to be delivered.
const EXPORT: Duration = Duration::from_secs(4);

/// How long an app that has just come up may take to answer the first questions
/// before calls are let through to it all the same.
const INTRODUCTION: Duration = Duration::from_secs(1);

/// Asks the app what it wants. Without probes this comes before the first call,
/// so that whoever reaches the app finds it subscribed.
async fn introduce(app: App, actors: Actors, subscriptions: Subscriptions, tasks: &Tasks) {
    let probed = app.probed(tasks).await;
    let app_id = subscriptions.app_id.clone();
    let questions = async {
        let config = app.configuration(&app_id).await;
        subscriptions.start(tasks.token()).await;
        actors.app_is_up(config).await;
    };
    if probed {
        questions.await;
        return actors.follow(&app, &app_id).await;
    }
    let mut questions = std::pin::pin!(questions);
    let answered = tokio::time::timeout(INTRODUCTION, questions.as_mut()).await;
    app.accept();
    if answered.is_err() {
        questions.await;
    }
}

/// Names of other apps are looked up in this namespace.
pub(crate) fn namespace(config: &Config) -> &str {
    if config.namespace.is_empty() {
        "default"
    } else {
        &config.namespace
    }
}

fn settings(config: &Config) -> Result<ConfigurationSpec, String> {
    if config.configurations.is_empty() {
        tracing::info!(target: SCOPE, "loading default configuration");
    }
    let configuration = read_configurations(&config.configurations, &process_env)
        .map_err(|e| format!("error loading configuration: {e}"))?;
    let features = configuration.spec.enabled_features();
    if !features.is_empty() {
        tracing::info!(target: SCOPE, "Enabled features: {}", features.join(" "));
    }
    Ok(configuration.spec)
}

/// Every component type of this build.
fn types() -> Registry {
    let mut registry = Registry::default();
    components_all::register(&mut registry);
    registry
}

fn loader(
    config: &Config,
    settings: &ConfigurationSpec,
    registry: Arc<Registry>,
    (server, app): (&Pipeline, &Pipeline),
    counts: Option<load::Counts>,
    tasks: &Tasks,
) -> Result<Loader, String> {
    let handlers = |pipeline: &Option<Handlers>| -> Vec<Handler> {
        pipeline
            .as_ref()
            .map(|p| p.handlers.clone())
            .unwrap_or_default()
    };
    let options = load::Options {
        folders: config.resources.iter().map(PathBuf::from).collect(),
        configurations: config.configurations.iter().map(PathBuf::from).collect(),
        app_id: config.app_id.clone(),
        namespace: config.namespace.clone(),
        denied: settings.denied_components().to_vec(),
        registry,
        pipelines: vec![
            (server.clone(), "server", handlers(&settings.http_pipeline)),
            (app.clone(), "app", handlers(&settings.app_http_pipeline)),
        ],
        reconcile: config.reconcile,
        hot_reload: settings.has_feature("HotReload"),
        app_concurrency: config.app.max_concurrency,
        env: Arc::new(process_env),
        counts,
    };
    load::start(options, tasks)
}

/// `None` when tracing is off.
fn tracer(
    config: &Config,
    settings: &ConfigurationSpec,
    meters: &Meters,
    exporting: &Tasks,
) -> Result<Option<Tracer>, String> {
    let spec = settings.tracing.clone().unwrap_or_default();
    let Some(settings) = telemetry::Settings::read(&spec, process_env, &config.app_id)? else {
        return Ok(None);
    };
    let tracer = Tracer::start_exporters(settings, &meters.registry, exporting);
    let sampler = tracer.sampler();
    tracing::info!(target: SCOPE, "Dapr trace sampler initialized: {sampler}");
    Ok(Some(tracer))
}

impl Kept {
    fn meters(&mut self, config: &Config, settings: &ConfigurationSpec) -> Result<Meters, String> {
        let metrics = settings.effective_metrics();
        let same = self.registry.take().filter(|(of, _)| *of == metrics);
        let registry = same.map(|(_, registry)| registry);
        let meters = Meters::new(config, &metrics, registry)?;
        self.registry = Some((metrics, meters.registry.clone()));
        Ok(meters)
    }

    /// The identity, from Sentry; the text of the error follows the fatal line's head.
    async fn security(&mut self, config: &Config, meters: &Meters) -> Result<Security, String> {
        if let Some(security) = &self.security {
            return Ok(security.clone());
        }
        let identity = &config.identity;
        let options = security::Options::from_env(&config.app_id, namespace(config), process_env)?;
        let options = security::Options {
            control_plane: security::ControlPlane {
                trust_domain: identity.trust_domain.clone(),
                namespace: identity.namespace.clone(),
            },
            sentry_address: identity.sentry_address.clone(),
            mtls: identity.mtls,
            jwt_audiences: identity.jwt_audiences.clone(),
            metrics: meters.on().cloned(),
            ..options
        };
        let started = Security::start(options, &self.tasks).await;
        let security = started.map_err(|e| e.to_string())?;
        self.security = Some(security.clone());
        Ok(security)
    }
}

fn scheduler(config: &Config, security: &Security, meters: &Meters) -> Scheduler {
    Scheduler::new(scheduler::Options {
        addresses: config.scheduler.addresses.clone(),
        streams: config.scheduler.streams,
        app_id: config.app_id.as_str().into(),
        namespace: namespace(config).into(),
        connector: security.control_plane_connector(Service::Scheduler),
        metrics: meters.calls(),
    })
}

fn policies(loader: &Loader, meters: &Meters) -> Policies {
    let metrics = meters.policies();
    let observer = metrics.clone().map(|m| m as Arc<dyn Observer>);
    let fault = &mut |text: String| tracing::error!(target: SCOPE, "{text}");
    let policies = Policies::compile(&loader.resiliencies, observer, fault);
    if let Some(metrics) = metrics {
        metrics.loaded(&policies);
    }
    policies
}

fn scopes(settings: &ConfigurationSpec) -> Result<Scopes, String> {
    let scopes = settings
        .secrets
        .as_ref()
        .map(|s| s.scopes.as_slice())
        .unwrap_or_default();
    Scopes::new(scopes.iter().map(|s| secrets::ScopeEntry {
        store: &s.store_name,
        default_access: &s.default_access,
        allowed: &s.allowed_secrets,
        denied: &s.denied_secrets,
    }))
}

fn access(settings: &ConfigurationSpec) -> Access {
    let Some(api) = &settings.api else {
        return Access::default();
    };
    Access::new(api.allowed.iter().map(rule), api.denied.iter().map(rule))
}

fn rule(rule: &ApiRule) -> Rule<'_> {
    Rule {
        name: &rule.name,
        version: &rule.version,
        protocol: &rule.protocol,
    }
}

fn facts(config: &Config, settings: &ConfigurationSpec) -> Facts {
    let app = &config.app;
    let health = app.health.as_ref().filter(|_| app.port.is_some()).map(|h| {
        rt::AppConnectionHealthProperties {
            health_check_path: if app.protocol.starts_with("grpc") {
                String::new()
            } else {
                h.path.clone()
            },
            health_probe_interval: service::duration::format(h.interval),
            health_probe_timeout: service::duration::format(h.timeout),
            health_threshold: i32::try_from(h.threshold).unwrap_or(i32::MAX),
        }
    });
    Facts {
        app_id: config.app_id.clone(),
        features: settings.enabled_features(),
        app: rt::AppConnectionProperties {
            port: app.port.map_or(0, i32::from),
            protocol: app.protocol.clone(),
            channel_address: app.address.clone(),
            max_concurrency: app
                .max_concurrency
                .map_or(0, |n| i32::try_from(n).unwrap_or(i32::MAX)),
            health,
        },
    }
}

/// The port that was asked for, else a stable one of this app, else any.
async fn internal_listener(config: &Config) -> Result<TcpListener, String> {
    let host = &config.internal_address;
    if let Some(port) = config.internal_port {
        let bound = service::net::bind(host, port).await;
        return bound.map_err(|e| {
            format!("failed to start internal gRPC server: could not listen on any endpoint: {e}")
        });
    }
    if let Ok(listener) = service::net::listen(host, host::stable_port(&config.app_id)).await {
        return Ok(listener);
    }
    let any = service::net::listen(host, 0).await;
    any.map_err(|e| format!("failed to get free port for internal grpc server: {e}"))
}

/// What this sidecar tells of itself to those who look for its app.
fn instance(config: &Config, address: String, internal: &TcpListener) -> Instance {
    let local = matches!(
        config.internal_address.as_str(),
        "127.0.0.1" | "localhost" | "[::1]" | "::1"
    );
    Instance {
        app_id: config.app_id.clone(),
        namespace: namespace(config).to_owned(),
        address: match local {
            true => config.internal_address.clone(),
            false => address,
        },
        internal_port: internal.local_addr().map_or(0, |a| a.port()),
        http_port: config.http_port,
        app_port: config.app.port.unwrap_or(0),
    }
}

fn resolver_env(config: &Config, tasks: &Tasks) -> component::Env {
    component::Env {
        name: String::new(),
        namespace: namespace(config).to_owned(),
        app_id: config.app_id.clone(),
        shutdown: tasks.token(),
        span: tracing::Span::none(),
    }
}

/// `host:port` of the internal API, as others know it.
fn reached_at(instance: &Instance) -> String {
    let port = instance.internal_port;
    match instance.address.as_str() {
        v6 if v6.contains(':') && !v6.starts_with('[') => format!("[{v6}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// A sidecar that cannot register itself can still call others and serve its app.
fn register(
    neighbours: &Neighbours,
    instance: &Instance,
    here: &str,
) -> Option<resolve::Registration> {
    let entry = Entry {
        app_id: instance.app_id.clone(),
        address: here.to_owned(),
        pid: std::process::id(),
    };
    match neighbours.register(&entry) {
        Ok(registration) => Some(registration),
        Err(e) => {
            tracing::warn!(target: SCOPE, "other sidecars of this machine will not find this one: {e}");
            None
        }
    }
}
