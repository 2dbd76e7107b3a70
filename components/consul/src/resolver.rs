//! `nameresolution.hashicorp.consul`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use component::resolution::{Instance, NameResolver, ResolveRequest, Resolver};
use component::{Env, Error, ErrorKind, Result};
use parking_lot::Mutex;
use rand::seq::IndexedRandom;
use reqwest::Method;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Client, Request};
use crate::config::{Config, QueryOptions};
use crate::query::{Found, healthy};
use crate::registration::{Registration, join};
use crate::settings::complete;
use crate::watch::{Kept, Watch};

/// Names that wait to be watched.
const WAITING: usize = 100;
const LOOKUP: Duration = Duration::from_secs(10);

/// A view of one agent.
pub struct Consul {
    client: Arc<Client>,
    options: QueryOptions,
    port_key: String,
    /// To be taken back at the end.
    registered: Option<String>,
    kept: Kept,
    watch: Option<mpsc::Sender<String>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Resolver for Consul {
    type Config = Config;

    async fn open(config: Config, env: Env, instance: Instance) -> Result<Self> {
        let registration = Registration::new(&config, &instance)?;
        let settings = complete(config.client, &|name| std::env::var(name).ok())?;
        let client = Arc::new(Client::new(settings).await?);
        let registered = match registration {
            Some(registration) => {
                register(&client, &registration).await?;
                Some(registration.id).filter(|_| config.self_deregister)
            }
            None => {
                greet(&client).await?;
                None
            }
        };
        let options = config.query_options.unwrap_or_else(QueryOptions::cached);
        let (kept, mut tasks) = (Kept::default(), JoinSet::new());
        let watch = config.use_cache.then(|| {
            let (watch, asked) = mpsc::channel(WAITING);
            let task = Watch {
                client: client.clone(),
                options: options.clone(),
                kept: kept.clone(),
            };
            tasks.spawn(async move {
                env.shutdown.run_until_cancelled(task.run(asked)).await;
            });
            watch
        });
        Ok(Self {
            client,
            options,
            port_key: config.dapr_port_meta_key,
            registered,
            kept,
            watch,
            tasks: Mutex::new(tasks),
        })
    }
}

#[async_trait]
impl NameResolver for Consul {
    async fn resolve(&self, req: ResolveRequest) -> Result<Vec<String>> {
        let id = &req.id;
        let found = match self.kept.get(id) {
            Some(found) => found,
            None => {
                if let Some(watch) = &self.watch {
                    // With a full queue the agent is asked again the next time.
                    let _ = watch.try_send(id.clone());
                }
                healthy(&self.client, &self.options, id)
                    .await
                    .map_err(|e| {
                        let message = format!("failed to query healthy consul services: {e}");
                        Error::new(e.kind, message).with_source(e)
                    })?
            }
        };
        let Some(Found { host, meta }) = found.choose(&mut rand::rng()) else {
            let message = format!("no healthy services found with AppID '{id}'");
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        let key = &self.port_key;
        let port = meta
            .get(key)
            .filter(|port| !port.is_empty())
            .ok_or_else(|| {
                let message =
                    format!("target service AppID '{id}' found but {key} missing from meta");
                Error::new(ErrorKind::NotFound, message)
            })?;
        checked(host).await?;
        Ok(vec![join(host, port)])
    }

    async fn close(&self) {
        drop(std::mem::take(&mut *self.tasks.lock()));
        if let Some(id) = &self.registered {
            let request = Request {
                path: vec![
                    "agent".into(),
                    "service".into(),
                    "deregister".into(),
                    id.clone(),
                ],
                ..Request::default()
            };
            if let Err(e) = self.client.send(Method::PUT, request).await {
                tracing::warn!(target: "dapr.contrib", "failed to deregister {id} from consul: {e}");
            }
        }
    }
}

async fn register(client: &Client, registration: &Registration) -> Result<()> {
    let request = Request {
        path: vec!["agent".into(), "service".into(), "register".into()],
        body: Some(registration.body.to_string()),
        ..Request::default()
    };
    client.send(Method::PUT, request).await.map_err(|e| {
        let message = format!("failed to register consul service: {e}");
        Error::new(e.kind, message).with_source(e)
    })?;
    tracing::info!(target: "dapr.contrib", "service:{} registered on consul agent", registration.id);
    Ok(())
}

/// Shows now whether the agent can be reached.
async fn greet(client: &Client) -> Result<()> {
    let request = Request {
        path: vec!["agent".into(), "self".into()],
        ..Request::default()
    };
    let answered = client.send(Method::GET, request).await;
    answered.map(drop).map_err(|e| {
        let message = format!("failed check on consul agent: {e}");
        Error::new(e.kind, message).with_source(e)
    })
}

/// An address, or the name of a host that can be found.
async fn checked(host: &str) -> Result<()> {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    let found = timeout(LOOKUP, tokio::net::lookup_host((host, 0))).await;
    let resolves = found.is_ok_and(|found| found.is_ok_and(|addresses| addresses.count() > 0));
    if host.is_empty() || !resolves {
        let message = format!("invalid ip address or unreachable hostname: {host}");
        return Err(Error::unavailable(message));
    }
    Ok(())
}
