//! The command line of `daprd`.

use std::time::Duration;

use service::flags::{Dashes, Flag, FlagSet, common};

/// Every flag, with upstream's names and defaults.
pub fn flags() -> FlagSet {
    FlagSet::new("daprd", "The Dapr sidecar: gives the application beside it state, secrets and calls to other apps over HTTP and gRPC.")
        .dashes(Dashes::Doubling)
        .group("Identity")
        .flag(Flag::string("app-id", "", "identity of the application; required, without dots"))
        .flag(Flag::string("mode", "standalone", "standalone or kubernetes"))
        .group("Application")
        .flag(Flag::string("app-port", "", "port the application listens on; empty means that there is none"))
        .flag(Flag::string("app-protocol", "http", "how the application is spoken to: http, https, h2c, grpc or grpcs"))
        .flag(Flag::string("app-channel-address", "127.0.0.1", "host of the application"))
        .flag(Flag::int("app-max-concurrency", -1, "most calls into the application at once; -1 means any number"))
        .flag(Flag::bool("app-ssl", false, "speak TLS to the application").deprecated("use --app-protocol=https or --app-protocol=grpcs instead"))
        .flag(Flag::duration("app-binding-options-timeout", "3s", "time the application has to say which input bindings it wants"))
        .flag(Flag::strings("disable-init-endpoints", "", "application endpoints that are not asked at start: config, subscribe"))
        .group("Application health")
        .flag(Flag::bool("enable-app-health-check", false, "probe the application and stop sending it work while it is unhealthy"))
        .flag(Flag::string("app-health-check-path", "/healthz", "path of the probe of an HTTP application"))
        .flag(Flag::int("app-health-probe-interval", 5, "seconds between probes"))
        .flag(Flag::int("app-health-probe-timeout", 500, "milliseconds a probe may take"))
        .flag(Flag::int("app-health-threshold", 3, "failed probes that make the application unhealthy"))
        .group("API servers")
        .flag(Flag::string("dapr-http-port", "3500", "port of the HTTP API"))
        .flag(Flag::string("dapr-grpc-port", "50001", "port of the gRPC API"))
        .flag(Flag::string("dapr-listen-addresses", "", "addresses of both APIs, separated by commas; empty means all"))
        .flag(Flag::string("unix-domain-socket", "", "folder of sockets on which both APIs listen instead of on ports"))
        .flag(Flag::string("dapr-public-port", "", "port of an extra server with health and metadata only"))
        .flag(Flag::string("dapr-public-listen-address", "", "address of the extra server"))
        .flag(Flag::string("dapr-internal-grpc-port", "", "port for other sidecars; empty means a stable one of this app"))
        .flag(Flag::string("dapr-internal-grpc-listen-address", "", "address for other sidecars; empty means all"))
        .flag(Flag::string("max-body-size", "4Mi", "largest request body, as a quantity such as 16Mi"))
        .flag(Flag::int("dapr-http-max-request-size", 4, "largest request body in MB").deprecated("use --max-body-size instead"))
        .flag(Flag::string("read-buffer-size", "4Ki", "largest request header, as a quantity such as 16Ki"))
        .flag(Flag::int("dapr-http-read-buffer-size", 4, "largest request header in KB").deprecated("use --read-buffer-size instead"))
        .flag(Flag::string("allowed-origins", "", "origins that browsers may call from, separated by commas; * means all"))
        .flag(Flag::tristate("enable-api-logging", "log every API call; beats the Configuration"))
        .group("Resources")
        .flag(Flag::strings("resources-path", "", "folders of resource files (components and others)"))
        .flag(Flag::string("components-path", "", "folder of resource files").deprecated("use --resources-path instead"))
        .flag(Flag::strings("config", "", "files of Configuration resources, merged in order"))
        .flag(Flag::duration("hot-reload-reconcile-interval", "0s", "time between full comparisons of resources; 0 means 60s"))
        .group("Control plane")
        .flag(Flag::string("control-plane-address", "", "address of the operator"))
        .flag(Flag::string("control-plane-namespace", "default", "namespace of the control plane").env("DAPR_CONTROLPLANE_NAMESPACE"))
        .flag(Flag::string("control-plane-trust-domain", "localhost", "trust domain of the control plane").env("DAPR_CONTROLPLANE_TRUST_DOMAIN"))
        .flag(Flag::string("sentry-address", "", "address of the certificate authority"))
        .flag(Flag::strings("sentry-request-jwt-audiences", "", "audiences asked for in the certificate request"))
        .flag(Flag::bool("enable-mtls", false, "use mutual TLS between sidecars"))
        .flag(Flag::string("placement-host-address", "", "addresses of the placement service, separated by commas"))
        .flag(Flag::string("actors-service", "", "address of the actors service").hidden().deprecated("use --placement-host-address instead"))
        .flag(Flag::string("reminders-service", "", "address of the reminders service").hidden().deprecated("reminders are kept by the scheduler").ignored())
        .flag(Flag::duration("actors-disseminate-timeout", "30s", "longest time of one placement round"))
        .flag(Flag::strings("scheduler-host-address", "", "addresses of the scheduler service").env("DAPR_SCHEDULER_HOST_ADDRESS_DNS_A"))
        .flag(Flag::uint("scheduler-job-streams", 3, "parallel streams of jobs"))
        .flag(Flag::bool("disable-builtin-k8s-secret-store", false, "do without the Kubernetes secret store that is there by default"))
        .group("Shutdown")
        .flag(Flag::int("dapr-graceful-shutdown-seconds", 5, "longest time of a shutdown; 0 means any time"))
        .flag(Flag::duration("dapr-block-shutdown-duration", "0s", "time a shutdown is held back, or until the application is unhealthy"))
        .group("Diagnostics")
        .flags(common())
        .flag(Flag::bool("enable-profiling", false, "serve profiles"))
        .flag(Flag::string("profile-port", "7777", "port of the profile server"))
        .flag(Flag::bool("wait", false, "wait until a sidecar that runs elsewhere is ready, then exit"))
        .versioned()
        .example("beside an app on port 8080", "daprd --app-id orders --app-port 8080 --resources-path ./resources")
        .example("alone, to try the API", "daprd --app-id try --resources-path ./resources")
}

/// What the process was told, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub app_id: String,
    /// From the environment; empty when not set.
    pub namespace: String,
    pub app: AppConfig,
    pub http_port: u16,
    pub grpc_port: u16,
    pub internal_port: Option<u16>,
    pub public_port: Option<u16>,
    pub listen_addresses: Vec<String>,
    pub internal_address: String,
    pub public_address: String,
    pub unix_folder: Option<String>,
    /// Bytes; `None` means no limit.
    pub max_body: Option<usize>,
    /// Bytes.
    pub read_buffer: usize,
    pub allowed_origins: String,
    pub api_logging: Option<bool>,
    pub resources: Vec<String>,
    pub configurations: Vec<String>,
    pub reconcile: Duration,
    /// `None` waits without a limit.
    pub graceful: Option<Duration>,
    pub block: Option<Duration>,
    pub metrics: Option<(String, u16)>,
    pub profile: Option<u16>,
    pub api_token: String,
    pub identity: IdentityConfig,
    pub scheduler: SchedulerConfig,
    pub placement: PlacementConfig,
}

/// Where jobs and reminders are kept.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// `host:port` each.
    pub addresses: Vec<String>,
    /// Streams of triggers to each scheduler.
    pub streams: usize,
}

/// Where it is known which sidecar hosts which actors.
#[derive(Clone, Debug)]
pub struct PlacementConfig {
    /// `host:port` each; actors are off without any.
    pub addresses: Vec<String>,
    /// Of one round.
    pub timeout: Duration,
}

/// Who this sidecar is, and who says so.
#[derive(Clone, Debug)]
pub struct IdentityConfig {
    pub mtls: bool,
    pub sentry_address: String,
    pub trust_domain: String,
    /// Of the control plane.
    pub namespace: String,
    pub jwt_audiences: Vec<String>,
}

/// The application, as the flags describe it.
#[derive(Clone, Debug)]
pub struct AppConfig {
    pub port: Option<u16>,
    /// http, https, h2c, grpc or grpcs.
    pub protocol: String,
    pub address: String,
    /// `None` means any number.
    pub max_concurrency: Option<usize>,
    pub token: String,
    pub ask_config: bool,
    pub health: Option<HealthConfig>,
}

#[derive(Clone, Debug)]
pub struct HealthConfig {
    pub path: String,
    pub interval: Duration,
    pub timeout: Duration,
    pub threshold: u32,
}

#[cfg(test)]
mod tests {
    use service::flags::facts::{assert_exits, assert_flags};

    #[test]
    fn flags_are_those_of_the_interface() {
        assert_flags(&super::flags(), include_str!("../tests/flags.txt"));
        assert_exits(&super::flags());
    }
}
