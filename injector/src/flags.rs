//! The command line of `injector`.

use service::flags::{Dashes, Flag, FlagSet, common};

/// Every flag, with upstream's names and defaults.
pub fn flags() -> FlagSet {
    FlagSet::new(
        "injector",
        "The Dapr injector: adds the sidecar to pods that ask for it.",
    )
    .dashes(Dashes::Doubling)
    .group("Servers")
    .flag(Flag::int("port", 4000, "port of the webhook"))
    .flag(
        Flag::string(
            "listen-address",
            "",
            "address of the webhook; it listens on all whatever is set",
        )
        .ignored(),
    )
    .flag(Flag::int("healthz-port", 8080, "port of the health server"))
    .flag(
        Flag::string(
            "healthz-listen-address",
            "",
            "address of the health server; it listens on all whatever is set",
        )
        .ignored(),
    )
    .group("Cluster")
    .flag(Flag::bool(
        "scheduler-enabled",
        true,
        "give sidecars the address of the scheduler",
    ))
    .flag(Flag::string(
        "kubeconfig",
        kubeconfig(),
        "access to the cluster from outside of it",
    ))
    .group("Diagnostics")
    .flags(common())
    .versioned()
}

/// Where a user keeps the access to a cluster; nothing without a home.
fn kubeconfig() -> String {
    let home = service::flags::process_env("HOME").filter(|h| !h.is_empty());
    home.map(|h| format!("{h}/.kube/config"))
        .unwrap_or_default()
}
