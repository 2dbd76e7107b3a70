//! The keys of a template file.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use crate::run::spec::Destination;

/// The document, of whose applications one kind of keys is read at a time.
#[derive(Deserialize)]
pub(super) struct Document<App> {
    #[serde(default)]
    pub(super) version: i64,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) common: Option<Shared>,
    #[serde(default = "Vec::new")]
    pub(super) apps: Vec<App>,
}

/// Keys that `common` and every application may have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Shared {
    pub(super) config_file_path: Option<PathBuf>,
    pub(super) resources_paths: Vec<PathBuf>,
    /// The old name, for a single folder.
    pub(super) resources_path: Option<PathBuf>,
    pub(super) app_protocol: Option<String>,
    pub(super) api_listen_addresses: Option<String>,
    pub(super) enable_profiling: Option<bool>,
    pub(super) log_level: Option<String>,
    pub(super) app_max_concurrency: Option<i64>,
    pub(super) placement_host_address: Option<String>,
    pub(super) scheduler_host_address: Option<String>,
    #[serde(rename = "appSSL")]
    pub(super) app_ssl: Option<bool>,
    pub(super) max_body_size: Option<String>,
    pub(super) read_buffer_size: Option<String>,
    pub(super) enable_app_health_check: Option<bool>,
    pub(super) app_health_check_path: Option<String>,
    pub(super) app_health_probe_interval: Option<i64>,
    pub(super) app_health_probe_timeout: Option<i64>,
    pub(super) app_health_threshold: Option<i64>,
    pub(super) enable_api_logging: Option<bool>,
    /// Not a key of upstream's tool, which passes over it.
    pub(super) mtls: Option<bool>,
    pub(super) runtime_path: Option<PathBuf>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) daprd_log_destination: Option<Destination>,
    pub(super) app_log_destination: Option<Destination>,
}

/// Keys that only an application has.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Own {
    pub(super) app_dir_path: Option<PathBuf>,
    #[serde(rename = "appID")]
    pub(super) app_id: String,
    pub(super) app_channel_address: Option<String>,
    pub(super) app_port: Option<i64>,
    #[serde(rename = "daprHTTPPort")]
    pub(super) http_port: Option<i64>,
    #[serde(rename = "daprGRPCPort")]
    pub(super) grpc_port: Option<i64>,
    #[serde(rename = "daprInternalGRPCPort")]
    pub(super) internal_grpc_port: Option<i64>,
    pub(super) metrics_port: Option<i64>,
    pub(super) profile_port: Option<i64>,
    pub(super) unix_domain_socket: Option<String>,
    pub(super) command: Vec<String>,
}

/// All keys of an application; those for Kubernetes are known and without effect here.
pub(super) const KEYS: [&str; 38] = [
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
    "mtls",
    "placementHostAddress",
    "profilePort",
    "readBufferSize",
    "resourcesPath",
    "resourcesPaths",
    "runtimePath",
    "schedulerHostAddress",
    "unixDomainSocket",
];
