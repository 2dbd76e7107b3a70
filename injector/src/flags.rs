//! The command line of `injector`.

use service::flags::{Dashes, Flag, FlagSet, common, defaults};

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
        defaults::kubeconfig(),
        "access to the cluster from outside of it",
    ))
    .group("Diagnostics")
    .flags(common())
    .versioned()
}
