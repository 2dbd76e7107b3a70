//! The command line of `scheduler`.

use service::flags::{Dashes, Flag, FlagSet, common, defaults};

/// Every flag, with upstream's names and defaults.
pub fn flags() -> FlagSet {
    FlagSet::new(
        "scheduler",
        "The Dapr scheduler: keeps jobs and reminders and fires them when they are due.",
    )
    .dashes(Dashes::Strict)
    .group("Servers")
    .flag(Flag::string(
        "id",
        "dapr-scheduler-server-0",
        "name of this member",
    ))
    .flag(Flag::int("port", 50006, "port of the gRPC API"))
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
    .flag(Flag::string(
        "override-broadcast-host-port",
        "",
        "address that sidecars are told",
    ))
    .flag(Flag::string(
        "mode",
        "standalone",
        "standalone or kubernetes",
    ))
    .flag(Flag::uint32(
        "workers",
        2048,
        "jobs that may be under way at once",
    ))
    .group("Identity")
    .flag(Flag::bool(
        "tls-enabled",
        false,
        "use mutual TLS; always on in kubernetes mode",
    ))
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
    .flag(Flag::string("kubeconfig", "", "access to the cluster from outside of it").hidden())
    .flag(
        Flag::string(
            "identity-directory-write",
            identity_folder(),
            "folder to which key and certificate are written",
        )
        .hidden(),
    )
    .group("Store")
    .flag(Flag::bool(
        "etcd-embed",
        true,
        "keep jobs in this process; off needs --etcd-client-endpoints",
    ))
    .flag(Flag::strings(
        "etcd-initial-cluster",
        "dapr-scheduler-server-0=http://localhost:2380",
        "members as name=address",
    ))
    .flag(Flag::string(
        "etcd-data-dir",
        "./data",
        "folder of the jobs",
    ))
    .flag(Flag::uint(
        "etcd-client-port",
        2379,
        "port on which the store can be read",
    ))
    .flag(Flag::string(
        "etcd-client-listen-address",
        "localhost",
        "address on which the store can be read",
    ))
    .flag(Flag::string(
        "etcd-space-quota",
        "9.2E",
        "largest size of the store, as a quantity",
    ))
    .flag(Flag::string(
        "etcd-compaction-mode",
        "revision",
        "periodic or revision",
    ))
    .flag(Flag::string(
        "etcd-compaction-retention",
        "1000000",
        "what a compaction keeps",
    ))
    .flag(Flag::uint(
        "etcd-snapshot-count",
        100000,
        "changes between snapshots",
    ))
    .flag(Flag::uint(
        "etcd-max-snapshots",
        10,
        "most snapshots that are kept; 0 means any number",
    ))
    .flag(Flag::uint(
        "etcd-max-wals",
        10,
        "most logs that are kept; 0 means any number",
    ))
    .flag(Flag::int(
        "etcd-backend-batch-limit",
        10000,
        "most changes of one commit",
    ))
    .flag(Flag::string(
        "etcd-backend-batch-interval",
        "100ms",
        "longest time between commits",
    ))
    .flag(Flag::uint(
        "etcd-max-txn-ops",
        10000,
        "most operations of one transaction",
    ))
    .flag(Flag::uint(
        "etcd-experimental-bootstrap-defrag-threshold-megabytes",
        100,
        "free space from which the store is compacted at start",
    ))
    .flag(Flag::bool(
        "etcd-initial-election-tick-advance",
        false,
        "elect the first leader sooner",
    ))
    .flag(Flag::string("etcd-metrics", "basic", "basic or extensive"))
    .flag(Flag::strings(
        "etcd-client-endpoints",
        "",
        "addresses of an etcd elsewhere; only with --etcd-embed=false",
    ))
    .flag(Flag::string(
        "etcd-client-username",
        "",
        "user of that etcd",
    ))
    .flag(Flag::string(
        "etcd-client-password",
        "",
        "password of that etcd",
    ))
    .group("Diagnostics")
    .flags(common())
    .versioned()
}

fn identity_folder() -> String {
    std::env::temp_dir()
        .join("secrets/dapr.io/tls")
        .display()
        .to_string()
}
