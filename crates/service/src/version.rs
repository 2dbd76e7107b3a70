//! Two versions: the Dapr release this one is compatible with, and our own.

/// The Dapr release whose interfaces this build speaks; SDKs and the CLI
/// compare it, so it is what every version string and log line reports.
pub const VERSION: &str = "1.18.3";

/// The version of the dapr-rs packages this binary was built from.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");

/// The source revision, when the build was told one.
pub const COMMIT: &str = match option_env!("DAPR_RS_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The text that `--build-info` prints.
pub fn build_info() -> String {
    format!("Version: {VERSION}\nGit Commit: {COMMIT}\nGit Version: dapr-rs {BUILD}\n")
}
