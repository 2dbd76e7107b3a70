//! Making connections: to one server, to the master that sentinels name, or to a cluster.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode,
};

use super::settings::{Host, Login, Settings, Tls, Topology};

/// Requests that wait to be written, per connection; further callers wait their turn.
const QUEUE: usize = 1024;

/// Knows how to connect; cheap to clone.
#[derive(Clone)]
pub(super) struct Dialer(Arc<Inner>);

struct Inner {
    target: Target,
    config: AsyncConnectionConfig,
    limit: Duration,
}

enum Target {
    Node(Box<redis::Client>),
    Cluster(Box<ClusterClient>),
    Sentinel(Box<dyn Fn() -> RedisResult<SentinelClient> + Send + Sync>),
}

/// A connection that any number of callers share.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Dialer {
    pub(super) fn new(settings: &Settings) -> RedisResult<Self> {
        if settings.tls.is_some() {
            // The client takes the process's provider; another may be there already, which is as good.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let target = match &settings.topology {
            Topology::Node => Target::Node(Box::new(node(settings)?)),
            Topology::Cluster => Target::Cluster(Box::new(cluster(settings)?)),
            Topology::Sentinel { master, login } => {
                let build = sentinel(settings, master, login);
                build()?;
                Target::Sentinel(Box::new(build))
            }
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.dial_timeout))
            .set_response_timeout(settings.reply_timeout)
            .set_pipeline_buffer_size(QUEUE);
        // Asking sentinels or the cluster for the servers comes before connecting to them.
        let limit = settings.dial_timeout.saturating_mul(match target {
            Target::Node(_) => 1,
            Target::Cluster(_) | Target::Sentinel(_) => 2,
        });
        Ok(Self(Arc::new(Inner {
            target,
            config,
            limit,
        })))
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.0.target, Target::Cluster(_))
    }

    /// The longest time that a dial takes.
    pub(super) fn limit(&self) -> Duration {
        self.0.limit
    }

    pub(super) async fn dial(self) -> RedisResult<Connection> {
        let Inner {
            target,
            config,
            limit,
        } = &*self.0;
        let dial = async {
            match target {
                Target::Node(client) => client
                    .get_multiplexed_async_connection_with_config(config)
                    .await
                    .map(Connection::Single),
                Target::Cluster(client) => {
                    client.get_async_connection().await.map(Connection::Cluster)
                }
                Target::Sentinel(client) => client()?
                    .get_async_connection_with_config(config)
                    .await
                    .map(Connection::Single),
            }
        };
        match tokio::time::timeout(*limit, dial).await {
            Ok(result) => result,
            Err(_) => Err(RedisError::from(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no connection within {limit:?}"),
            ))),
        }
    }
}

fn node(settings: &Settings) -> RedisResult<redis::Client> {
    // Settings have exactly one host when the topology is a single server.
    let info = info(settings, &settings.hosts[0])?;
    match certificates(settings.tls.as_ref()) {
        Some(certificates) => redis::Client::build_with_tls(info, certificates),
        None => redis::Client::open(info),
    }
}

fn cluster(settings: &Settings) -> RedisResult<ClusterClient> {
    let nodes: Vec<_> = settings
        .hosts
        .iter()
        .map(|host| info(settings, host))
        .collect::<RedisResult<_>>()?;
    let retry = settings.retry;
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let mut builder = ClusterClient::builder(nodes)
        .retries(retry.count)
        .min_retry_wait(millis(retry.min.min(retry.max)))
        .max_retry_wait(millis(retry.max).max(1))
        .connection_timeout(settings.dial_timeout)
        .overall_response_timeout(
            settings
                .reply_timeout
                .map(|reply| reply + settings.dial_timeout),
        );
    if let Some(reply) = settings.reply_timeout {
        builder = builder.response_timeout(reply);
    }
    if let Some(tls) = &settings.tls {
        builder = builder.tls(mode(tls));
    }
    if let Some(certificates) = certificates(settings.tls.as_ref()) {
        builder = builder.certs(certificates);
    }
    builder.build()
}

/// A sentinel client is made for each dial: it has no state worth a lock.
fn sentinel(
    settings: &Settings,
    master: &str,
    login: &Login,
) -> impl Fn() -> RedisResult<SentinelClient> + Send + Sync + 'static {
    let addresses: Vec<_> = settings
        .hosts
        .iter()
        .map(|host| address(settings.tls.as_ref(), host))
        .collect();
    let (master, sentinels, servers) = (master.to_owned(), login.clone(), settings.login.clone());
    let (db, mode, certificates) = (
        settings.db,
        settings.tls.as_ref().map(mode),
        certificates(settings.tls.as_ref()),
    );
    move || {
        let addresses = addresses.iter().cloned();
        let mut builder =
            SentinelClientBuilder::new(addresses, &master, SentinelServerType::Master)?
                .set_client_to_redis_db(db);
        if let Some(password) = &servers.password {
            builder = builder.set_client_to_redis_password(&password.0);
            if let Some(username) = &servers.username {
                builder = builder.set_client_to_redis_username(username);
            }
        }
        if let Some(password) = &sentinels.password {
            builder = builder.set_client_to_sentinel_password(&password.0);
            if let Some(username) = &sentinels.username {
                builder = builder.set_client_to_sentinel_username(username);
            }
        }
        if let Some(mode) = mode {
            builder = builder
                .set_client_to_redis_tls_mode(mode)
                .set_client_to_sentinel_tls_mode(mode);
        }
        if let Some(certificates) = &certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        builder.build()
    }
}

fn info(settings: &Settings, host: &Host) -> RedisResult<ConnectionInfo> {
    let mut redis = RedisConnectionInfo::default().set_skip_set_lib_name();
    if !matches!(settings.topology, Topology::Cluster) {
        redis = redis.set_db(settings.db);
    }
    if let Some(password) = &settings.login.password {
        redis = redis.set_password(&password.0);
        if let Some(username) = &settings.login.username {
            redis = redis.set_username(username);
        }
    }
    let info = address(settings.tls.as_ref(), host).into_connection_info()?;
    Ok(info.set_redis_settings(redis))
}

fn address(tls: Option<&Tls>, host: &Host) -> ConnectionAddr {
    match tls {
        None => ConnectionAddr::Tcp(host.name.clone(), host.port),
        Some(tls) => ConnectionAddr::TcpTls {
            host: host.name.clone(),
            port: host.port,
            insecure: tls.insecure,
            tls_params: None,
        },
    }
}

fn mode(tls: &Tls) -> TlsMode {
    if tls.insecure {
        TlsMode::Insecure
    } else {
        TlsMode::Secure
    }
}

fn certificates(tls: Option<&Tls>) -> Option<TlsCertificates> {
    let (cert, key) = tls?.client.as_ref()?;
    Some(TlsCertificates {
        client_tls: Some(ClientTlsConfig {
            client_cert: cert.clone().into_bytes(),
            client_key: key.0.clone().into_bytes(),
        }),
        root_cert: None,
    })
}
