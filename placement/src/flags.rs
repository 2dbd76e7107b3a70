//! The command line of `placement`.

use service::flags::{Dashes, Flag, FlagSet, common, defaults};

/// Every flag, with upstream's names and defaults.
pub fn flags() -> FlagSet {
    FlagSet::new(
        "placement",
        "The Dapr placement service: tells sidecars which of them hosts which actors.",
    )
    .dashes(Dashes::Doubling)
    .group("Servers")
    .flag(Flag::int("port", 50005, "port of the gRPC API"))
    .flag(Flag::string(
        "listen-address",
        "",
        "address of the gRPC API and of the metrics; empty means all",
    ))
    .flag(Flag::int("healthz-port", 8080, "port of the health server"))
    .flag(
        Flag::string(
            "healthz-listen-address",
            "",
            "address of the health server; it listens on all whatever is set",
        )
        .ignored(),
    )
    .flag(Flag::bool(
        "metadata-enabled",
        metadata_enabled(),
        "show the tables at /placement/state of the health server",
    ))
    .group("Tables")
    .flag(Flag::int(
        "replicationFactor",
        100,
        "virtual nodes of each host on the ring",
    ))
    .flag(Flag::duration(
        "keepalive-time",
        "2s",
        "time between pings of a sidecar, 1s to 10s",
    ))
    .flag(Flag::duration(
        "keepalive-timeout",
        "3s",
        "time a ping may take, 1s to 10s",
    ))
    .flag(Flag::duration(
        "disseminate-timeout",
        "8s",
        "longest time of one round",
    ))
    .flag(Flag::duration(
        "disseminate-coalesce-window",
        "0s",
        "time in which changes are gathered into one round",
    ))
    .group("Peers")
    .flag(Flag::string(
        "id",
        "dapr-placement-0",
        "name of this member",
    ))
    .flag(Flag::strings(
        "initial-cluster",
        "dapr-placement-0=127.0.0.1:8201",
        "members as id=host:port",
    ))
    .flag(
        Flag::bool(
            "inmem-store-enabled",
            true,
            "keep the log of the members in memory",
        )
        .ignored(),
    )
    .flag(Flag::string("raft-logstore-path", "", "file of the log of the members").ignored())
    .group("Identity")
    .flag(Flag::bool("tls-enabled", false, "use mutual TLS"))
    .flag(Flag::string(
        "trust-domain",
        "localhost",
        "trust domain of the control plane",
    ))
    .flag(Flag::string(
        "trust-anchors-file",
        "/var/run/secrets/dapr.io/tls/ca.crt",
        "file of the trust anchors",
    ))
    .flag(Flag::string(
        "sentry-address",
        defaults::sentry_address(),
        "address of the certificate authority",
    ))
    .flag(Flag::string(
        "mode",
        "standalone",
        "standalone or kubernetes",
    ))
    .flag(
        Flag::int("max-api-level", 10, "highest API level")
            .hidden()
            .deprecated("it has no effect")
            .ignored(),
    )
    .flag(
        Flag::int("min-api-level", 0, "lowest API level")
            .hidden()
            .deprecated("it has no effect")
            .ignored(),
    )
    .group("Diagnostics")
    .flags(common())
    .versioned()
}

fn metadata_enabled() -> bool {
    let set = service::flags::process_env("DAPR_PLACEMENT_METADATA_ENABLED");
    set.is_some_and(|v| service::flags::truthy(&v))
}
