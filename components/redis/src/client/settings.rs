//! Checked settings: what the connection properties of a component mean.

use std::fmt;
use std::time::Duration;

use component::metadata::{Millis, Sensitive, StrictBool};
use component::{Error, Result};

use super::Config;

const DEFAULT_PORT: u16 = 6379;
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
const REPLY_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_RETRY_INTERVAL: Duration = Duration::from_millis(512);
const MAX_RETRIES: u32 = 3;

/// Everything the client needs to connect.
pub(crate) struct Settings {
    pub(super) hosts: Vec<Host>,
    pub(super) topology: Topology,
    pub(super) login: Login,
    pub(super) db: i64,
    pub(super) tls: Option<Tls>,
    pub(super) dial_timeout: Duration,
    /// `None` when the user has switched it off.
    pub(super) reply_timeout: Option<Duration>,
    pub(super) retry: Retry,
}

/// What differs between components when the properties do not say.
pub(crate) struct Defaults {
    pub(crate) min_retry_interval: Duration,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

pub(super) enum Topology {
    Node,
    Cluster,
    Sentinel { master: String, login: Login },
}

/// Without a password nothing is sent, whatever the user name.
#[derive(Clone, Default)]
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password: Option<Sensitive>,
}

pub(super) struct Tls {
    pub(super) insecure: bool,
    /// Certificate and key, PEM.
    pub(super) client: Option<(String, Sensitive)>,
}

/// New tries while there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) count: u32,
    pub(super) min: Duration,
    pub(super) max: Duration,
}

impl Settings {
    pub(crate) fn new(config: &Config, defaults: &Defaults) -> Result<Self> {
        if on(config.use_entra_id) {
            return Err(Error::config(
                "useEntraID is not supported by this build; set redisUsername and redisPassword",
            ));
        }
        let hosts = hosts(&config.redis_host, config.redis_port.as_deref())?;
        let topology = topology(config)?;
        if matches!(topology, Topology::Node) && hosts.len() > 1 {
            return Err(Error::config(
                "redisHost lists several hosts; set redisType to cluster, or failover to true",
            ));
        }
        Ok(Self {
            hosts,
            topology,
            login: login(&config.redis_username, &config.redis_password),
            db: config.redis_db.unwrap_or(0),
            tls: tls(config),
            dial_timeout: given(config.dial_timeout).flatten().unwrap_or(DIAL_TIMEOUT),
            reply_timeout: reply_timeout(config),
            retry: retry(config, defaults)?,
        })
    }

    /// The addresses, for messages.
    pub(crate) fn address(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(Host::to_string).collect();
        hosts.join(",")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

fn hosts(list: &str, port: Option<&str>) -> Result<Vec<Host>> {
    let default = match port {
        None => DEFAULT_PORT,
        Some(text) => number(text)
            .ok_or_else(|| Error::config(format!("redisPort is not a port number: {text}")))?,
    };
    let mut hosts = Vec::new();
    for entry in list.split(',').map(str::trim).filter(|h| !h.is_empty()) {
        let (name, own) = split(entry).ok_or_else(|| {
            Error::config(format!(
                "redis host {entry:?} is not an address; set redisHost to host:port"
            ))
        })?;
        if let (Some(own), Some(set)) = (own, port)
            && own != default
        {
            return Err(Error::config(format!(
                "redis host \"{entry}\" already contains port {own}, but redisPort is set to {set}; \
                 remove redisPort or make both the same"
            )));
        }
        hosts.push(Host {
            name: name.into(),
            port: own.unwrap_or(default),
        });
    }
    if hosts.is_empty() {
        return Err(Error::config("redisHost is empty; set metadata redisHost"));
    }
    Ok(hosts)
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
fn split(entry: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = entry.strip_prefix('[') {
        let (name, tail) = rest.split_once(']')?;
        let port = match tail.strip_prefix(':') {
            Some(port) => Some(number(port)?),
            None if tail.is_empty() => None,
            None => return None,
        };
        return (!name.is_empty()).then_some((name, port));
    }
    match entry.split_once(':') {
        None => Some((entry, None)),
        Some((_, tail)) if tail.contains(':') => Some((entry, None)),
        Some((name, port)) if !name.is_empty() => Some((name, Some(number(port)?))),
        Some(_) => None,
    }
}

fn number(port: &str) -> Option<u16> {
    port.parse().ok().filter(|p| *p != 0)
}

fn topology(config: &Config) -> Result<Topology> {
    // With sentinels a "cluster" is one master and its replicas, so it is no other case.
    if on(config.failover) {
        let master = config.sentinel_master_name.clone().ok_or_else(|| {
            Error::config("sentinelMasterName is empty; failover needs the name of the master")
        })?;
        let login = login(&config.sentinel_username, &config.sentinel_password);
        return Ok(Topology::Sentinel { master, login });
    }
    Ok(match config.redis_type.as_deref() {
        Some("cluster") => Topology::Cluster,
        _ => Topology::Node,
    })
}

fn login(username: &Option<String>, password: &Option<Sensitive>) -> Login {
    Login {
        username: username.clone(),
        password: password.clone(),
    }
}

fn tls(config: &Config) -> Option<Tls> {
    if !on(config.enable_tls) {
        return None;
    }
    let client = match (&config.client_cert, &config.client_key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        _ => {
            tracing::warn!(
                "redis client certificate is not used: clientCert and clientKey must both be set"
            );
            None
        }
    };
    Some(Tls {
        insecure: on(config.insecure_skip_tls_verify),
        client,
    })
}

/// Sending and answering overlap on a shared connection, so the longer limit holds for both.
fn reply_timeout(config: &Config) -> Option<Duration> {
    let limit = |value| given(value).unwrap_or(Some(REPLY_TIMEOUT));
    Some(limit(config.read_timeout)?.max(limit(config.write_timeout)?))
}

fn retry(config: &Config, defaults: &Defaults) -> Result<Retry> {
    let count = match (config.redis_max_retries, &config.max_retries) {
        (Some(count), _) => count,
        (None, Some(text)) => text
            .parse()
            .map_err(|e| parse_error("maxRetries", text, &e))?,
        (None, None) => 0,
    };
    let min = match (config.redis_min_retry_interval, &config.max_retry_backoff) {
        (Some(value), _) => given(Some(value)),
        (None, Some(text)) => {
            let nanos: i64 = text
                .parse()
                .map_err(|e| parse_error("maxRetryBackoff", text, &e))?;
            Some(u64::try_from(nanos).ok().map(Duration::from_nanos))
        }
        (None, None) => None,
    };
    Ok(Retry {
        // 0 means the default, as in upstream's client; negative is off.
        count: match count {
            0 => MAX_RETRIES,
            n => u32::try_from(n).unwrap_or(0),
        },
        min: min
            .unwrap_or(Some(defaults.min_retry_interval))
            .unwrap_or_default(),
        max: given(config.redis_max_retry_interval)
            .unwrap_or(Some(MAX_RETRY_INTERVAL))
            .unwrap_or_default(),
    })
}

fn parse_error(field: &str, text: &str, cause: &std::num::ParseIntError) -> Error {
    Error::config(format!(
        "redis store error: can't parse {field} field: {text:?}: {cause}"
    ))
}

/// Absent and zero both mean the default; the inner `None` means off.
fn given(value: Option<Millis>) -> Option<Option<Duration>> {
    value
        .map(|Millis(limit)| limit)
        .filter(|limit| *limit != Some(Duration::ZERO))
}

fn on(value: Option<StrictBool>) -> bool {
    value.is_some_and(|StrictBool(on)| on)
}

impl Retry {
    /// The wait before new try number `n`, counted from 0.
    pub(super) fn wait(&self, n: u32) -> Duration {
        self.min
            .saturating_mul(1_u32.checked_shl(n).unwrap_or(u32::MAX))
            .min(self.max)
    }
}

#[cfg(test)]
mod tests;
