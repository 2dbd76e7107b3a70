//! What is asked of one application and its sidecar, by flags or by a template file.

use std::{collections::BTreeMap, path::PathBuf};

/// Everything `dapr run` can be told about one application.
///
/// Numbers of -1 mean that a free port is chosen, or no limit; 0 in a health setting means
/// daprd's own default.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Spec {
    /// The id by which others call the application [default: a name made of two words]
    #[arg(
        short,
        long,
        value_name = "ID",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) app_id: String,

    /// The port the application listens on
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = -1, allow_negative_numbers = true, hide_default_value = true)]
    pub(crate) app_port: i64,

    /// Configuration file [default: ~/.dapr/config.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Port of the HTTP API [default: a free one]
    #[arg(short = 'H', long, value_name = "PORT", default_value_t = -1, allow_negative_numbers = true, hide_default_value = true)]
    pub(crate) dapr_http_port: i64,

    /// Port of the gRPC API [default: a free one]
    #[arg(short = 'G', long, value_name = "PORT", default_value_t = -1, allow_negative_numbers = true, hide_default_value = true)]
    pub(crate) dapr_grpc_port: i64,

    /// Port for other sidecars [default: a free one]
    #[arg(short = 'I', long, value_name = "PORT", default_value_t = -1, allow_negative_numbers = true, hide_default_value = true)]
    pub(crate) dapr_internal_grpc_port: i64,

    /// Port of the metrics [default: a free one]
    #[arg(short = 'M', long, value_name = "PORT", default_value_t = -1, allow_negative_numbers = true, hide_default_value = true)]
    pub(crate) metrics_port: i64,

    /// Serve profiles
    #[arg(long)]
    pub(crate) enable_profiling: bool,

    /// Port of the profiles [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = -1, allow_negative_numbers = true, hide_default_value = true)]
    pub(crate) profile_port: i64,

    /// How much the sidecar logs: debug, info, warn, error, fatal
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: String,

    /// How many calls the application takes at a time; -1 is no limit
    #[arg(long, value_name = "COUNT", default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) app_max_concurrency: i64,

    /// How the application is spoken to: http, https, grpc, grpcs, h2c
    #[arg(short = 'P', long, value_name = "PROTOCOL", default_value = "http")]
    pub(crate) app_protocol: String,

    /// Folder of resource files; the old name of --resources-path
    #[arg(short = 'd', long, value_name = "DIR", hide = true)]
    pub(crate) components_path: Option<PathBuf>,

    /// Folder of resource files, may be repeated [default: ~/.dapr/components]
    #[arg(long, value_name = "DIR", value_delimiter = ',')]
    pub(crate) resources_path: Vec<PathBuf>,

    /// Address of the placement service; empty switches actors off
    #[arg(long, value_name = "ADDRESS", default_value = "localhost")]
    pub(crate) placement_host_address: String,

    /// Address of the scheduler; empty switches it off
    #[arg(long, value_name = "ADDRESS", default_value = "localhost")]
    pub(crate) scheduler_host_address: String,

    /// The old name of --app-protocol https or grpcs
    #[arg(long, hide = true)]
    pub(crate) app_ssl: bool,

    /// Largest body of a request
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "4Mi",
        allow_hyphen_values = true
    )]
    pub(crate) max_body_size: String,

    /// Largest header of a request
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "4Ki",
        allow_hyphen_values = true
    )]
    pub(crate) read_buffer_size: String,

    /// Folder for unix sockets, which replace the ports of the APIs
    #[arg(
        short,
        long,
        value_name = "DIR",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) unix_domain_socket: String,

    /// Look whether the application is healthy, and call it only then
    #[arg(long)]
    pub(crate) enable_app_health_check: bool,

    /// Path of the health check
    #[arg(
        long,
        value_name = "PATH",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) app_health_check_path: String,

    /// Seconds between health checks
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(crate) app_health_probe_interval: i64,

    /// Milliseconds a health check may take
    #[arg(
        long,
        value_name = "MILLISECONDS",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(crate) app_health_probe_timeout: i64,

    /// Failed checks that make the application unhealthy
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub(crate) app_health_threshold: i64,

    /// Log every call of the API
    #[arg(long)]
    pub(crate) enable_api_logging: bool,

    /// Speak mutual TLS to other sidecars, placement and scheduler; starts a Sentry beside this
    /// one and, when they do not run yet, services in the background
    #[arg(long)]
    pub(crate) mtls: bool,

    /// Addresses the APIs listen on, separated by commas
    #[arg(
        long,
        value_name = "ADDRESSES",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) dapr_listen_addresses: String,

    /// Address the application listens on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) app_channel_address: String,

    /// The application and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub(crate) command: Vec<String>,

    /// More variables for the application.
    #[arg(skip)]
    pub(crate) env: BTreeMap<String, String>,

    /// The folder the application runs in; of the tool itself when there is none.
    #[arg(skip)]
    pub(crate) app_dir: Option<PathBuf>,

    /// The folder above a `.dapr` of its own.
    #[arg(skip)]
    pub(crate) runtime_path: Option<PathBuf>,

    /// Present when a template file describes the application.
    #[arg(skip)]
    pub(crate) template: Option<Origin>,
}

/// Where a template came from, and where the output of its application goes.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) app_log: Destination,
    pub(crate) daprd_log: Destination,
}

/// Where output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Destination {
    Console,
    File,
    FileAndConsole,
}

impl Destination {
    pub(crate) fn has_file(self) -> bool {
        matches!(self, Self::File | Self::FileAndConsole)
    }

    pub(crate) fn has_console(self) -> bool {
        matches!(self, Self::Console | Self::FileAndConsole)
    }
}
