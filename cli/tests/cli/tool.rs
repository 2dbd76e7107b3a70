//! Starts the built tool in a home of its own.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use testkit::{Process, free_port};

pub(crate) const DAPR: &str = env!("CARGO_BIN_EXE_dapr");

/// A home in which the sidecar is installed, or nothing when it is not built.
pub(crate) fn home() -> Option<tempfile::TempDir> {
    let Ok(daprd) = testkit::binary("daprd") else {
        testkit::skip("daprd is not built; run `cargo build -p sidecar`");
        return None;
    };
    let home = tempfile::tempdir().expect("folder");
    let bin = home.path().join(".dapr/bin");
    fs::create_dir_all(&bin).expect("folder");
    std::os::unix::fs::symlink(daprd, bin.join("daprd")).expect("linked");
    Some(home)
}

/// The same with Sentry beside the sidecar.
pub(crate) fn home_with_sentry() -> Option<tempfile::TempDir> {
    let Ok(sentry) = testkit::binary("sentry") else {
        testkit::skip("sentry is not built; run `cargo build -p sentry`");
        return None;
    };
    let home = home()?;
    let link = home.path().join(".dapr/bin/sentry");
    std::os::unix::fs::symlink(sentry, link).expect("linked");
    Some(home)
}

/// `dapr` to its end.
pub(crate) fn dapr(home: &Path, args: &[&str]) -> Output {
    command(home, args).output().expect("starts")
}

pub(crate) fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(DAPR);
    command
        .args(args)
        .env("HOME", home)
        .env("DAPR_HOST_IP", "127.0.0.1")
        .env_remove("DAPR_RUNTIME_PATH")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// `dapr run` for the application, going on until the value ends.
pub(crate) fn run(home: &Path, args: &[&str]) -> Process {
    Process::builder(DAPR)
        .arg("run")
        .args([
            "--dapr-listen-addresses",
            "127.0.0.1",
            "--placement-host-address=",
        ])
        .arg("--scheduler-host-address=")
        .args(args)
        .inherit_env()
        .env("HOME", home)
        .env("DAPR_HOST_IP", "127.0.0.1")
        .current_dir(home)
        .start()
        .expect("starts")
}

/// An id that no other test on this machine uses.
pub(crate) fn id(name: &str) -> String {
    format!("{name}-{}-{}", std::process::id(), free_port())
}

pub(crate) fn listed(home: &Path, id: &str) -> Option<Value> {
    let output = dapr(home, &["list", "-o", "json"]);
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    all.into_iter().find(|item| item["appId"] == id)
}

pub(crate) fn text(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}
