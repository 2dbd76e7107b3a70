//! Defaults that depend on where a process runs.

use super::process_env;

/// The file with a user's access to clusters; nothing without a home.
pub fn kubeconfig() -> String {
    let home = process_env("HOME").filter(|home| !home.is_empty());
    home.map(|home| format!("{home}/.kube/config"))
        .unwrap_or_default()
}

/// The certificate authority in the namespace of this process.
pub fn sentry_address() -> String {
    let namespace = process_env("NAMESPACE").filter(|name| !name.is_empty());
    let namespace = namespace.as_deref().unwrap_or("default");
    format!("dapr-sentry.{namespace}.svc:443")
}
