//! The command line of `operator`.

use service::flags::{Dashes, Flag, FlagSet, common};

/// Every flag, with upstream's names and defaults.
pub fn flags() -> FlagSet {
    FlagSet::new("operator", "The Dapr operator: serves resources to sidecars and keeps the cluster in step with them.")
        .dashes(Dashes::Go)
        .group("Servers")
        .flag(Flag::string("config", "daprsystem", "Configuration that is read from the own namespace at start"))
        .flag(Flag::int("port", 6500, "port of the gRPC API"))
        .flag(Flag::string("listen-address", "", "address of the gRPC API; empty means all"))
        .flag(Flag::int("healthz-port", 8080, "port of the health server"))
        .flag(Flag::string("healthz-listen-address", "", "address of the health server; it listens on all whatever is set").ignored())
        .flag(Flag::int("webhook-server-port", 19443, "port of the conversion webhook"))
        .flag(Flag::string("webhook-server-listen-address", "", "address of the conversion webhook; empty means all"))
        .group("Watchdog")
        .flag(Flag::string("watch-interval", "0", "time between looks for pods without a sidecar: 0 is never, once, or a duration of at least 1s"))
        .flag(Flag::int("max-pod-restarts-per-minute", 20, "most pods that the watchdog restarts in a minute"))
        .flag(Flag::bool("watchdog-can-patch-pod-labels", false, "let the watchdog mark pods that are in order"))
        .group("Cluster")
        .flag(Flag::string("watch-namespace", "", "watch this namespace only; empty means all"))
        .flag(Flag::bool("disable-leader-election", false, "run without electing a leader"))
        .flag(Flag::bool("disable-service-reconciler", false, "make no services for apps"))
        .flag(Flag::bool("enable-argo-rollout-service-reconciler", false, "make services for Argo rollouts too"))
        .flag(Flag::string("trust-anchors-file", "/var/run/secrets/dapr.io/tls/ca.crt", "file of the trust anchors"))
        .flag(Flag::duration("cache-sync-period", "0s", "time between full reads of the watched objects; 0 means 10h"))
        .group("Diagnostics")
        .flags(common())
        .versioned()
}
