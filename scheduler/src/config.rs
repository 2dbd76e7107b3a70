//! What the flags mean, checked.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use service::flags::Parsed;

/// Everything that the flags and the environment decide.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of this member.
    pub id: String,
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
    /// What sidecars are told instead of the address that is found.
    pub broadcast: Option<String>,
    /// The identity to get; `None` without TLS.
    pub tls: Option<Tls>,
    /// Access to the cluster's API from outside; empty inside.
    pub kubeconfig: String,
    pub store: Place,
}

/// Where the identity comes from.
#[derive(Clone, Debug)]
pub struct Tls {
    pub trust_domain: String,
    pub anchors: Option<PathBuf>,
    pub sentry_address: String,
}

/// Where jobs are kept.
#[derive(Clone)]
pub enum Place {
    /// In a folder of this machine; tools read it there as they read an etcd.
    Embedded {
        folder: PathBuf,
        tools_host: String,
        tools_port: u16,
    },
    /// In an etcd elsewhere.
    Etcd {
        endpoints: Vec<String>,
        username: String,
        password: String,
    },
}

/// The password is not shown.
impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded { folder, .. } => f.debug_tuple("Embedded").field(folder).finish(),
            Self::Etcd { endpoints, .. } => f.debug_tuple("Etcd").field(endpoints).finish(),
        }
    }
}

impl Config {
    /// Reads the flags; the error is that of the fatal line.
    pub fn read(flags: &Parsed, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        check(flags)?;
        let kubernetes = flags.string("mode") == "kubernetes";
        let namespace = env("NAMESPACE").filter(|name| !name.is_empty());
        let namespace = namespace.unwrap_or_else(|| "default".into());
        let id = flags.string("id").to_owned();
        let tls = kubernetes || flags.boolean("tls-enabled");
        let anchors = flags.string("trust-anchors-file");
        Ok(Self {
            kubernetes,
            host: flags.string("listen-address").to_owned(),
            port: port(flags, "port")?,
            health_port: port(flags, "healthz-port")?,
            metrics_port: metrics_port(flags)?,
            broadcast: given(flags.string("override-broadcast-host-port")),
            tls: tls.then(|| Tls {
                trust_domain: flags.string("trust-domain").to_owned(),
                // The default is shown, and only a path that is given counts.
                anchors: flags.given("trust-anchors-file").then(|| anchors.into()),
                sentry_address: flags.string("sentry-address").to_owned(),
            }),
            kubeconfig: flags.string("kubeconfig").to_owned(),
            store: match flags.boolean("etcd-embed") {
                true => Place::Embedded {
                    folder: folder(flags, kubernetes, &namespace, &id),
                    tools_host: flags.string("etcd-client-listen-address").to_owned(),
                    tools_port: tools_port(flags)?,
                },
                false => Place::Etcd {
                    endpoints: flags.strings("etcd-client-endpoints").to_vec(),
                    username: flags.string("etcd-client-username").to_owned(),
                    password: flags.string("etcd-client-password").to_owned(),
                },
            },
            namespace,
            id,
        })
    }

    /// The address that sidecars are told, for a server on this port.
    pub fn broadcast(&self, port: u16, own: IpAddr) -> String {
        if let Some(address) = &self.broadcast {
            return address.clone();
        }
        match self.host.as_str() {
            loopback @ ("localhost" | "127.0.0.1") => format!("{loopback}:{port}"),
            "::1" | "[::1]" => format!("[::1]:{port}"),
            _ => std::net::SocketAddr::new(own, port).to_string(),
        }
    }
}

/// The folder of the jobs, where upstream has those of its etcd.
fn folder(flags: &Parsed, kubernetes: bool, namespace: &str, id: &str) -> PathBuf {
    let root = Path::new(flags.string("etcd-data-dir"));
    match kubernetes {
        true => root.join("dapr-0.1"),
        false => root.join(format!("{namespace}-{id}")).join("dapr-0.1"),
    }
}

/// Values that contradict each other end the start.
fn check(flags: &Parsed) -> Result<(), String> {
    let mode = flags.string("mode");
    if !["standalone", "kubernetes"].contains(&mode) {
        return Err(format!("invalid mode: {mode}"));
    }
    let embed = flags.boolean("etcd-embed");
    let endpoints = flags.strings("etcd-client-endpoints");
    if embed && !endpoints.is_empty() {
        return Err("cannot use --etcd-client-endpoints with --etcd-embed".into());
    }
    if !embed && endpoints.is_empty() {
        let text = "must specify --etcd-client-endpoints when not using embedded etcd";
        return Err(text.into());
    }
    if !flags.string("kubeconfig").is_empty() && mode != "kubernetes" {
        return Err("kubeconfig flag is only valid in --mode=kubernetes".into());
    }
    Ok(())
}

fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn metrics_port(flags: &Parsed) -> Result<Option<u16>, String> {
    if !flags.boolean("enable-metrics") {
        return Ok(None);
    }
    let port = flags.string("metrics-port").parse();
    port.map(Some)
        .map_err(|_| "failed to parse metrics port: it is no port".to_owned())
}

fn tools_port(flags: &Parsed) -> Result<u16, String> {
    let port = flags.uint("etcd-client-port");
    u16::try_from(port).map_err(|_| format!("etcd-client-port is {port}, which is no port"))
}

fn port(flags: &Parsed, name: &str) -> Result<u16, String> {
    let port = flags.int(name);
    u16::try_from(port).map_err(|_| format!("{name} is {port}, which is no port"))
}
