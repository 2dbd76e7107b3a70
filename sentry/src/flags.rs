//! The command line of `sentry`.

use service::flags::{Dashes, Flag, FlagSet, common, defaults};

/// Every flag, with upstream's names and defaults.
pub fn flags() -> FlagSet {
    FlagSet::new(
        "sentry",
        "The Dapr certificate authority: gives every sidecar and service its identity.",
    )
    .dashes(Dashes::Doubling)
    .group("Servers")
    .flag(Flag::string(
        "config",
        "daprsystem",
        "Configuration, by name or as a file",
    ))
    .flag(Flag::string(
        "mode",
        "standalone",
        "standalone or kubernetes",
    ))
    .flag(Flag::int("port", 50001, "port of the gRPC API"))
    .flag(Flag::string(
        "listen-address",
        "",
        "address of the gRPC API; empty means all",
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
    .group("Issuer")
    .flag(Flag::string(
        "trust-domain",
        "localhost",
        "trust domain; beats the Configuration",
    ))
    .flag(Flag::string(
        "issuer-credentials",
        "/var/run/secrets/dapr.io/credentials",
        "folder of root, issuer and key",
    ))
    .flag(Flag::string(
        "issuer-ca-filename",
        "ca.crt",
        "file of the root in that folder",
    ))
    .flag(Flag::string(
        "issuer-certificate-filename",
        "issuer.crt",
        "file of the issuer in that folder",
    ))
    .flag(Flag::string(
        "issuer-key-filename",
        "issuer.key",
        "file of the issuer's key in that folder",
    ))
    .group("JSON Web Tokens")
    .flag(Flag::bool("jwt-enabled", false, "issue tokens too"))
    .flag(Flag::string(
        "jwt-key-filename",
        "jwt.key",
        "file of the signing key",
    ))
    .flag(Flag::string(
        "jwks-filename",
        "jwks.json",
        "file of the public keys",
    ))
    .flag(Flag::string(
        "jwt-issuer",
        "",
        "issuer of the tokens; needs --jwt-enabled",
    ))
    .flag(Flag::string(
        "jwt-signing-algorithm",
        "RS256",
        "RS or PS with 256, 384 or 512, ES256, ES384, ES512 or EdDSA",
    ))
    .flag(Flag::string(
        "jwt-key-id",
        "",
        "name of the key; empty means its thumbprint",
    ))
    .flag(Flag::duration("jwt-ttl", "24h", "life of a token"))
    .group("OpenID Connect")
    .flag(Flag::bool(
        "oidc-enabled",
        false,
        "serve discovery and keys; runs with --jwt-enabled only",
    ))
    .flag(Flag::int(
        "oidc-server-listen-port",
        9080,
        "port of that server",
    ))
    .flag(Flag::string(
        "oidc-server-listen-address",
        "localhost",
        "address of that server",
    ))
    .flag(Flag::bool(
        "oidc-server-tls-enabled",
        true,
        "serve it over TLS",
    ))
    .flag(Flag::string(
        "oidc-server-tls-cert-file",
        "",
        "certificate of that server",
    ))
    .flag(Flag::string(
        "oidc-server-tls-key-file",
        "",
        "key of that server",
    ))
    .flag(Flag::string(
        "oidc-jwks-uri",
        "",
        "address of the keys in the discovery document",
    ))
    .flag(Flag::string("oidc-path-prefix", "", "prefix of its paths"))
    .flag(Flag::strings(
        "oidc-allowed-hosts",
        "",
        "hosts that it answers for",
    ))
    .group("Cluster")
    .flag(Flag::string(
        "kubeconfig",
        defaults::kubeconfig(),
        "access to the cluster from outside of it",
    ))
    .group("Diagnostics")
    .flags(common())
    .versioned()
}
