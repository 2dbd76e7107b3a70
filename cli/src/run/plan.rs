//! What is started for one application: every argument, variable, port and file, decided
//! before anything runs.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use resources::load::Cause;

use crate::{
    api::{self, Sidecar},
    home::Home,
    services,
};

use super::{
    mtls::Mtls,
    names,
    ports::{self, Ports},
    quantity,
    spec::{Origin, Spec},
};

/// Where upstream's tool expects the Sentry of a user who has switched mTLS on.
const SENTRY: &str = "localhost:50001";

/// One application and its sidecar, ready to be started.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) app_id: String,
    /// Whether the application listens; if not, it is started once the sidecar answers.
    pub(crate) has_app_port: bool,
    pub(crate) http_port: u16,
    pub(crate) grpc_port: u16,
    /// The sidecar's HTTP API.
    pub(crate) http: Sidecar,
    /// The sidecar's gRPC API, to see whether it listens.
    pub(crate) grpc: Sidecar,
    pub(crate) daprd: PathBuf,
    pub(crate) daprd_args: Vec<OsString>,
    pub(crate) daprd_env: Vec<(&'static str, String)>,
    /// Empty when only a sidecar is wanted.
    pub(crate) command: Vec<String>,
    pub(crate) app_env: Vec<(String, String)>,
    pub(crate) app_dir: Option<PathBuf>,
    pub(crate) template: Option<Origin>,
    pub(crate) log_json: bool,
    /// What the sidecar will find wrong in the resource files.
    pub(crate) problems: Vec<String>,
}

impl Plan {
    /// Decides all that the specification leaves open, and refuses what cannot work. `mtls` is
    /// for those who want it.
    pub(crate) fn new(
        mut spec: Spec,
        home: &Home,
        ports: &mut Ports,
        mtls: Option<&Mtls>,
        log_json: bool,
    ) -> Result<Self> {
        if spec.app_id.is_empty() {
            spec.app_id = names::generate();
        }
        let daprd = home.program("daprd")?;
        let config = choose(spec.config.as_deref(), &home.config(), Path::is_file)
            .context("configuration file")?;
        let mut resources = spec.resources_path.clone();
        for path in &resources {
            choose(Some(path), path, Path::is_dir).context("resources path")?;
        }
        if resources.is_empty() && spec.components_path.is_none() {
            resources.extend(choose(None, &home.components(), Path::is_dir)?);
        }
        let app_port = if spec.app_port > 0 {
            ports::number("AppPort", spec.app_port)?
        } else {
            0
        };
        let http_port = ports.take("HTTPPort", spec.dapr_http_port)?;
        let grpc_port = ports.take("GRPCPort", spec.dapr_grpc_port)?;
        let metrics_port = ports.take("MetricsPort", spec.metrics_port)?;
        let internal_port = ports.take("InternalGRPCPort", spec.dapr_internal_grpc_port)?;
        // Without profiling the port means nothing; upstream's tool writes -1 then.
        let profile_port = if spec.enable_profiling {
            Some(ports.take("ProfilePort", spec.profile_port)?)
        } else {
            None
        };

        let mtls = mtls.filter(|_| spec.mtls);
        let mut placement = spec.placement_host_address.as_str();
        let mut scheduler = spec.scheduler_host_address.as_str();
        if let Some(mtls) = mtls {
            (placement, scheduler) = (mtls.placement(placement), mtls.scheduler(scheduler));
        }

        let mut args = Arguments::default();
        args.path("config", config.as_deref());
        args.text("app-protocol", &spec.app_protocol);
        args.text("dapr-listen-addresses", &spec.dapr_listen_addresses);
        args.switch("enable-profiling", spec.enable_profiling);
        args.text("log-level", &spec.log_level);
        args.number("app-max-concurrency", spec.app_max_concurrency);
        args.text(
            "placement-host-address",
            &with_port(placement, home, "placement"),
        );
        args.path("components-path", spec.components_path.as_deref());
        for path in &resources {
            args.path("resources-path", Some(path));
        }
        args.switch("app-ssl", spec.app_ssl);
        args.text(
            "max-body-size",
            &size("max-body-size", &spec.max_body_size)?,
        );
        args.text(
            "read-buffer-size",
            &size("read-buffer-size", &spec.read_buffer_size)?,
        );
        args.switch("enable-app-health-check", spec.enable_app_health_check);
        args.text("app-health-check-path", &spec.app_health_check_path);
        args.health("app-health-probe-interval", spec.app_health_probe_interval);
        args.health("app-health-probe-timeout", spec.app_health_probe_timeout);
        args.health("app-health-threshold", spec.app_health_threshold);
        args.switch("enable-api-logging", spec.enable_api_logging);
        args.text(
            "scheduler-host-address",
            &with_port(scheduler, home, "scheduler"),
        );
        args.text("app-id", &spec.app_id);
        if spec.app_channel_address != "127.0.0.1" {
            args.text("app-channel-address", &spec.app_channel_address);
        }
        args.number("app-port", app_port.into());
        args.number("dapr-http-port", http_port.into());
        args.number("dapr-grpc-port", grpc_port.into());
        if let Some(port) = profile_port {
            args.number("profile-port", port.into());
        }
        args.number("metrics-port", metrics_port.into());
        args.text("unix-domain-socket", &spec.unix_domain_socket);
        args.number("dapr-internal-grpc-port", internal_port.into());
        let sentry_address = match (mtls, &config) {
            (Some(mtls), _) => Some(mtls.sentry.address()),
            (None, Some(path)) if wants_mtls(path)? => Some(SENTRY.to_owned()),
            _ => None,
        };
        if let Some(address) = sentry_address {
            args.switch("enable-mtls", true);
            args.text("sentry-address", &address);
        }
        args.switch("log-as-json", log_json);

        let mut app_env = vec![
            ("APP_ID".to_owned(), spec.app_id.clone()),
            (
                "APP_CHANNEL_ADDRESS".to_owned(),
                spec.app_channel_address.clone(),
            ),
            ("DAPR_HTTP_PORT".to_owned(), http_port.to_string()),
            ("DAPR_GRPC_PORT".to_owned(), grpc_port.to_string()),
            ("DAPR_METRICS_PORT".to_owned(), metrics_port.to_string()),
            ("APP_PROTOCOL".to_owned(), spec.app_protocol.clone()),
        ];
        if app_port != 0 {
            app_env.push(("APP_PORT".to_owned(), app_port.to_string()));
        }
        app_env.extend(spec.env);

        let reach = |port| {
            Sidecar::new(
                &spec.app_id,
                port,
                &spec.dapr_listen_addresses,
                &spec.unix_domain_socket,
            )
        };
        let grpc = match spec.unix_domain_socket.as_str() {
            "" => reach(grpc_port),
            dir => Sidecar::Unix(api::socket(dir, &spec.app_id, "grpc")),
        };
        Ok(Self {
            has_app_port: app_port != 0,
            http_port,
            grpc_port,
            http: reach(http_port),
            grpc,
            daprd,
            daprd_args: args.0,
            daprd_env: mtls.map(|mtls| mtls.sentry.daprd_env()).unwrap_or_default(),
            command: spec.command,
            app_env,
            app_dir: spec.app_dir,
            template: spec.template,
            log_json,
            problems: problems(&resources)?,
            app_id: spec.app_id,
        })
    }
}

/// The arguments of daprd: each flag and its value are two items.
#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn push(&mut self, flag: &str, value: impl Into<OsString>) {
        self.0
            .extend([OsString::from(format!("--{flag}")), value.into()]);
    }

    fn text(&mut self, flag: &str, value: &str) {
        if !value.is_empty() {
            self.push(flag, value);
        }
    }

    fn path(&mut self, flag: &str, value: Option<&Path>) {
        if let Some(value) = value {
            self.push(flag, value);
        }
    }

    fn number(&mut self, flag: &str, value: i64) {
        self.push(flag, value.to_string());
    }

    /// Of the numbers, only the health settings are left to daprd when they are 0.
    fn health(&mut self, flag: &str, value: i64) {
        if value != 0 {
            self.number(flag, value);
        }
    }

    fn switch(&mut self, flag: &str, on: bool) {
        if on {
            self.0.push(format!("--{flag}").into());
        }
    }
}

/// The path that was given, which must be there, else the default one if it is.
fn choose(
    given: Option<&Path>,
    default: &Path,
    there: impl Fn(&Path) -> bool,
) -> Result<Option<PathBuf>> {
    match given {
        Some(path) if there(path) => Ok(Some(path.to_owned())),
        Some(path) => bail!("{} does not exist", path.display()),
        None => Ok(Some(default).filter(|path| there(path)).map(Path::to_owned)),
    }
}

/// Reads the resource files as the sidecar will, to say here what would otherwise only be in
/// its log.
fn problems(folders: &[PathBuf]) -> Result<Vec<String>> {
    let loaded = resources::load::read_folders(folders)?;
    let faults = loaded
        .problems
        .iter()
        .filter(|problem| problem.cause != Cause::NotYaml);
    Ok(faults.map(ToString::to_string).collect())
}

/// An address with a port where it has none: the one that `dapr init` gave the service, else the
/// usual one. An empty one stays empty.
fn with_port(address: &str, home: &Home, service: &str) -> String {
    if address.is_empty() || address.contains(':') {
        address.to_owned()
    } else {
        format!("{address}:{}", services::port(home, service))
    }
}

fn size(flag: &str, text: &str) -> Result<String> {
    match quantity::parse(text) {
        Some(..0) => Ok("-1".to_owned()),
        Some(_) => Ok(text.to_owned()),
        None if text.is_empty() => Ok(String::new()),
        None => bail!("--{flag} {text:?} is not a size; write 4Mi, 512Ki or a number of bytes"),
    }
}

/// Whether the configuration switches mTLS on, for which daprd must be told where Sentry is.
fn wants_mtls(config: &Path) -> Result<bool> {
    let variable = |name: &str| std::env::var(name).ok();
    let configuration = resources::load::read_configurations(&[config], &variable)
        .map_err(|error| anyhow::anyhow!("error loading configuration: {error}"))?;
    Ok(configuration.spec.mtls.is_some_and(|mtls| mtls.enabled))
}

#[cfg(test)]
mod tests;
