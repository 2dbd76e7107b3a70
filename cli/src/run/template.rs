//! Template files: several applications, what they share, and what each overrides.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    default_spec,
    spec::{Destination, Origin, Spec},
};

/// A template file, read and merged.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) path: PathBuf,
    pub(crate) apps: Vec<Spec>,
    /// Keys that mean nothing here, most likely misspelt.
    pub(crate) unknown_keys: BTreeSet<String>,
}

/// The document, of whose applications one kind of keys is read at a time.
#[derive(Deserialize)]
struct Document<App> {
    #[serde(default)]
    version: i64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    common: Option<Shared>,
    #[serde(default = "Vec::new")]
    apps: Vec<App>,
}

/// Keys that `common` and every application may have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Shared {
    config_file_path: Option<PathBuf>,
    resources_paths: Vec<PathBuf>,
    /// The old name, for a single folder.
    resources_path: Option<PathBuf>,
    app_protocol: Option<String>,
    api_listen_addresses: Option<String>,
    enable_profiling: Option<bool>,
    log_level: Option<String>,
    app_max_concurrency: Option<i64>,
    placement_host_address: Option<String>,
    scheduler_host_address: Option<String>,
    #[serde(rename = "appSSL")]
    app_ssl: Option<bool>,
    max_body_size: Option<String>,
    read_buffer_size: Option<String>,
    enable_app_health_check: Option<bool>,
    app_health_check_path: Option<String>,
    app_health_probe_interval: Option<i64>,
    app_health_probe_timeout: Option<i64>,
    app_health_threshold: Option<i64>,
    enable_api_logging: Option<bool>,
    runtime_path: Option<PathBuf>,
    env: BTreeMap<String, String>,
    daprd_log_destination: Option<Destination>,
    app_log_destination: Option<Destination>,
}

/// Keys that only an application has.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Own {
    app_dir_path: Option<PathBuf>,
    #[serde(rename = "appID")]
    app_id: String,
    app_channel_address: Option<String>,
    app_port: Option<i64>,
    #[serde(rename = "daprHTTPPort")]
    http_port: Option<i64>,
    #[serde(rename = "daprGRPCPort")]
    grpc_port: Option<i64>,
    #[serde(rename = "daprInternalGRPCPort")]
    internal_grpc_port: Option<i64>,
    metrics_port: Option<i64>,
    profile_port: Option<i64>,
    unix_domain_socket: Option<String>,
    command: Vec<String>,
}

/// All keys of an application; those for Kubernetes are known and without effect here.
const KEYS: [&str; 37] = [
    "apiListenAddresses",
    "appChannelAddress",
    "appDirPath",
    "appHealthCheckPath",
    "appHealthProbeInterval",
    "appHealthProbeTimeout",
    "appHealthThreshold",
    "appID",
    "appLogDestination",
    "appMaxConcurrency",
    "appPort",
    "appProtocol",
    "appSSL",
    "command",
    "configFilePath",
    "containerImage",
    "containerImagePullPolicy",
    "createService",
    "daprGRPCPort",
    "daprHTTPPort",
    "daprInternalGRPCPort",
    "daprdLogDestination",
    "enableApiLogging",
    "enableAppHealthCheck",
    "enableProfiling",
    "env",
    "logLevel",
    "maxBodySize",
    "metricsPort",
    "placementHostAddress",
    "profilePort",
    "readBufferSize",
    "resourcesPath",
    "resourcesPaths",
    "runtimePath",
    "schedulerHostAddress",
    "unixDomainSocket",
];

/// The absolute path of a template file, which is also how running applications name theirs.
pub(crate) fn locate(file: &Path) -> Result<PathBuf> {
    let path = if file.is_dir() {
        file.join("dapr.yaml")
    } else {
        file.to_owned()
    };
    fs::canonicalize(&path).with_context(|| {
        format!(
            "run file {} does not exist; give a file or a folder with dapr.yaml",
            path.display()
        )
    })
}

/// Reads a template file, or stdin for `-`.
pub(crate) fn load(file: &Path) -> Result<Template> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read the template from stdin")?;
        let folder = std::env::current_dir().context("the current folder is gone")?;
        return parse(&text, &folder.join("-"));
    }
    let path = locate(file)?;
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read run file {}", path.display()))?;
    parse(&text, &path)
}

fn parse(text: &str, path: &Path) -> Result<Template> {
    let invalid = || format!("run file {} is not valid", path.display());
    let own: Document<Own> = serde_saphyr::from_str(text).with_context(invalid)?;
    let shared: Document<Shared> = serde_saphyr::from_str(text).with_context(invalid)?;
    let keys: Document<BTreeMap<String, IgnoredAny>> =
        serde_saphyr::from_str(text).with_context(invalid)?;
    if own.version == 0 {
        bail!(
            "required field 'version' not found in the provided run template file; write version: 1"
        );
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut common = shared.common.unwrap_or_default();
    common.resolve(folder)?;
    let mut apps = Vec::new();
    for (own, mut shared) in own.apps.into_iter().zip(shared.apps) {
        let app_dir = own
            .app_dir_path
            .as_ref()
            .context("required field 'appDirPath' not found in the provided app config file")?;
        let app_dir = existing(folder, app_dir)?;
        // What an application names lies beside it; what is common lies beside the template.
        shared.resolve(&app_dir)?;
        let origin = Origin {
            path: path.to_owned(),
            name: keys.name.clone(),
            app_log: either(shared.app_log_destination, common.app_log_destination)
                .unwrap_or(Destination::FileAndConsole),
            daprd_log: either(shared.daprd_log_destination, common.daprd_log_destination)
                .unwrap_or(Destination::File),
        };
        apps.push(merge(own, shared, &common, app_dir, origin));
    }
    let unknown_keys = keys
        .apps
        .into_iter()
        .flat_map(BTreeMap::into_keys)
        .filter(|key| !KEYS.contains(&key.as_str()))
        .collect();
    Ok(Template {
        path: path.to_owned(),
        apps,
        unknown_keys,
    })
}

impl Shared {
    /// Makes every path absolute; the resource folders become one list.
    fn resolve(&mut self, base: &Path) -> Result<()> {
        self.resources_paths.extend(self.resources_path.take());
        for path in self
            .resources_paths
            .iter_mut()
            .chain(self.config_file_path.as_mut())
        {
            *path = existing(base, path)?;
        }
        if let Some(path) = &mut self.runtime_path {
            *path = existing(base, path)?;
        }
        Ok(())
    }
}

fn existing(base: &Path, path: &Path) -> Result<PathBuf> {
    let path = base.join(path);
    fs::canonicalize(&path).with_context(|| format!("error in finding path {}", path.display()))
}

/// The application's value, else the common one.
fn either<T>(own: Option<T>, common: Option<T>) -> Option<T> {
    own.or(common)
}

fn merge(own: Own, shared: Shared, common: &Shared, app_dir: PathBuf, origin: Origin) -> Spec {
    let common = common.clone();
    let base = default_spec();
    let beside = |name: &str| Some(app_dir.join(".dapr").join(name));
    let resources_path = if !shared.resources_paths.is_empty() {
        shared.resources_paths
    } else if let Some(folder) = beside("resources").filter(|folder| folder.is_dir()) {
        vec![folder]
    } else {
        common.resources_paths
    };
    let mut env = common.env;
    env.extend(shared.env);
    Spec {
        app_id: if own.app_id.is_empty() {
            app_dir
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default()
        } else {
            own.app_id
        },
        app_port: own.app_port.unwrap_or(base.app_port),
        config: shared
            .config_file_path
            .or_else(|| beside("config.yaml").filter(|file| file.is_file()))
            .or(common.config_file_path),
        dapr_http_port: own.http_port.unwrap_or(base.dapr_http_port),
        dapr_grpc_port: own.grpc_port.unwrap_or(base.dapr_grpc_port),
        dapr_internal_grpc_port: own
            .internal_grpc_port
            .unwrap_or(base.dapr_internal_grpc_port),
        metrics_port: own.metrics_port.unwrap_or(base.metrics_port),
        enable_profiling: either(shared.enable_profiling, common.enable_profiling)
            .unwrap_or(base.enable_profiling),
        profile_port: own.profile_port.unwrap_or(base.profile_port),
        log_level: either(shared.log_level, common.log_level).unwrap_or_default(),
        app_max_concurrency: either(shared.app_max_concurrency, common.app_max_concurrency)
            .unwrap_or(base.app_max_concurrency),
        app_protocol: either(shared.app_protocol, common.app_protocol).unwrap_or(base.app_protocol),
        components_path: None,
        resources_path,
        placement_host_address: either(
            shared.placement_host_address,
            common.placement_host_address,
        )
        .unwrap_or(base.placement_host_address),
        // In a template an empty scheduler address means the default one.
        scheduler_host_address: either(
            shared.scheduler_host_address,
            common.scheduler_host_address,
        )
        .filter(|address| !address.is_empty())
        .unwrap_or(base.scheduler_host_address),
        app_ssl: either(shared.app_ssl, common.app_ssl).unwrap_or(base.app_ssl),
        max_body_size: either(shared.max_body_size, common.max_body_size)
            .unwrap_or(base.max_body_size),
        read_buffer_size: either(shared.read_buffer_size, common.read_buffer_size)
            .unwrap_or(base.read_buffer_size),
        unix_domain_socket: own.unix_domain_socket.unwrap_or_default(),
        enable_app_health_check: either(
            shared.enable_app_health_check,
            common.enable_app_health_check,
        )
        .unwrap_or(base.enable_app_health_check),
        app_health_check_path: either(shared.app_health_check_path, common.app_health_check_path)
            .unwrap_or_default(),
        app_health_probe_interval: either(
            shared.app_health_probe_interval,
            common.app_health_probe_interval,
        )
        .unwrap_or_default(),
        app_health_probe_timeout: either(
            shared.app_health_probe_timeout,
            common.app_health_probe_timeout,
        )
        .unwrap_or_default(),
        app_health_threshold: either(shared.app_health_threshold, common.app_health_threshold)
            .unwrap_or_default(),
        enable_api_logging: either(shared.enable_api_logging, common.enable_api_logging)
            .unwrap_or(base.enable_api_logging),
        dapr_listen_addresses: either(shared.api_listen_addresses, common.api_listen_addresses)
            .unwrap_or_default(),
        app_channel_address: own.app_channel_address.unwrap_or(base.app_channel_address),
        command: own.command,
        env,
        app_dir: Some(app_dir),
        runtime_path: either(shared.runtime_path, common.runtime_path),
        template: Some(origin),
    }
}

#[cfg(test)]
mod tests;
