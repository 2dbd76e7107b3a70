//! What the flags mean, checked.

use std::path::PathBuf;
use std::time::Duration;

use service::flags::Parsed;
use service::quote::quoted;

/// Everything that the flags and the environment decide.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of this member.
    pub id: String,
    /// The names of all members, this one's among them.
    pub members: Vec<String>,
    /// Whether the process runs in a cluster of Kubernetes.
    pub kubernetes: bool,
    /// The namespace of the control plane.
    pub namespace: String,
    /// Of the gRPC API and of the metrics; empty means all interfaces.
    pub host: String,
    pub port: u16,
    pub health_port: u16,
    /// `None` without metrics.
    pub metrics_port: Option<u16>,
    /// Whether `/placement/state` is shown.
    pub metadata: bool,
    /// Virtual nodes of each host.
    pub replication: i64,
    pub keepalive_time: Duration,
    pub keepalive_timeout: Duration,
    /// The longest time of one round.
    pub timeout: Duration,
    /// How long changes are gathered after a round.
    pub window: Duration,
    /// The identity to get; `None` without TLS.
    pub tls: Option<Tls>,
    /// Access to the cluster's API from outside; empty inside.
    pub kubeconfig: String,
}

/// Where the identity comes from.
#[derive(Clone, Debug)]
pub struct Tls {
    pub trust_domain: String,
    pub anchors: PathBuf,
    pub sentry_address: String,
}

impl Config {
    /// Reads the flags; the error is that of the fatal line.
    pub fn read(flags: &Parsed, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        for name in ["keepalive-time", "keepalive-timeout"] {
            let nanos = flags.nanos(name);
            if !(1_000_000_000..=10_000_000_000).contains(&nanos) {
                let shown = service::duration::format_nanos(nanos);
                return Err(format!(
                    "invalid value for {name}: value should be between 1s and 10s, got {shown}"
                ));
            }
        }
        if flags.nanos("disseminate-timeout") <= 0 {
            let shown = service::duration::format_nanos(flags.nanos("disseminate-timeout"));
            return Err(format!(
                "invalid value for disseminate-timeout: value should be positive, got {shown}"
            ));
        }
        let mode = flags.string("mode");
        if !["standalone", "kubernetes"].contains(&mode) {
            return Err(format!("invalid mode: {mode}"));
        }
        let kubernetes = mode == "kubernetes";
        let id = flags.string("id").to_owned();
        let filled = |name| env(name).filter(|value: &String| !value.is_empty());
        Ok(Self {
            members: members(&id, flags.strings("initial-cluster"), kubernetes)?,
            id,
            kubernetes,
            namespace: filled("NAMESPACE").unwrap_or_else(|| "default".into()),
            host: flags.string("listen-address").to_owned(),
            port: port(flags, "port")?,
            health_port: port(flags, "healthz-port")?,
            metrics_port: metrics_port(flags)?,
            metadata: flags.boolean("metadata-enabled"),
            replication: flags.int("replicationFactor"),
            keepalive_time: flags.duration("keepalive-time"),
            keepalive_timeout: flags.duration("keepalive-timeout"),
            timeout: flags.duration("disseminate-timeout"),
            window: flags.duration("disseminate-coalesce-window"),
            tls: flags.boolean("tls-enabled").then(|| Tls {
                trust_domain: flags.string("trust-domain").to_owned(),
                anchors: flags.string("trust-anchors-file").into(),
                sentry_address: flags.string("sentry-address").to_owned(),
            }),
            kubeconfig: filled("KUBECONFIG").unwrap_or_default(),
        })
    }

    /// Whether members have to elect their leader. A single one has nobody to
    /// lose against: its StatefulSet never runs it twice.
    pub fn elects(&self) -> bool {
        self.members.len() > 1
    }
}

/// The names in `id=host:port`. The addresses are not used: members do not talk
/// to each other.
fn members(id: &str, cluster: &[String], kubernetes: bool) -> Result<Vec<String>, String> {
    let mut members = Vec::new();
    for member in cluster {
        match member.split_once('=') {
            Some((name, address)) if !name.is_empty() && !address.is_empty() => {
                members.push(name.to_owned());
            }
            _ => {
                return Err(format!(
                    "initial-cluster has {}; write each member as id=host:port",
                    quoted(member)
                ));
            }
        }
    }
    if !members.iter().any(|member| member == id) {
        let all = cluster.join(",");
        return Err(format!(
            "address for node {id} not found in raft peers {all}"
        ));
    }
    members.sort_unstable();
    members.dedup();
    if members.len() > 1 && !kubernetes {
        return Err(format!(
            "initial-cluster has {} members, which elect their leader in Kubernetes only; outside \
             of it run one placement service, with itself as the only member",
            members.len()
        ));
    }
    Ok(members)
}

fn metrics_port(flags: &Parsed) -> Result<Option<u16>, String> {
    if !flags.boolean("enable-metrics") {
        return Ok(None);
    }
    let port = flags.string("metrics-port").parse();
    port.map(Some)
        .map_err(|_| "failed to parse metrics port: it is no port".to_owned())
}

fn port(flags: &Parsed, name: &str) -> Result<u16, String> {
    let port = flags.int(name);
    u16::try_from(port).map_err(|_| format!("{name} is {port}, which is no port"))
}
