//! `dapr version`: of this tool and of the installed runtime.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result};
use clap::ValueEnum;
use tokio::process::Command;

use crate::{home::Home, output};

/// The version of upstream's tool whose commands, flags and files this one has.
pub(crate) const CLI: &str = "1.18.0";

/// A daprd that does not even tell its version in this time is broken.
const DEADLINE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  dapr version\n  dapr version -o json")]
pub(crate) struct Args {
    /// Print as JSON
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
}

pub(crate) async fn execute(args: &Args, home: &Home) -> Result<u8> {
    if args.output.is_none() {
        return print(home).await;
    }
    let versions = serde_json::json!({
        "Cli version": CLI,
        "Runtime version": runtime(home).await,
    });
    let text = serde_json::to_string_pretty(&versions).context("cannot write JSON")?;
    output::print(&format!("{text}\n"));
    Ok(0)
}

pub(crate) async fn print(home: &Home) -> Result<u8> {
    let runtime = runtime(home).await;
    output::print(&format!(
        "CLI version: {CLI} \nRuntime version: {runtime}\n"
    ));
    Ok(0)
}

/// What the installed daprd says its version is, or nothing when there is none.
pub(crate) async fn runtime(home: &Home) -> String {
    ask_daprd(home, "--version").await.unwrap_or_default()
}

/// The output of daprd with one flag that makes it print something and end.
pub(crate) async fn ask_daprd(home: &Home, flag: &str) -> Result<String> {
    let daprd = home.program("daprd")?;
    let output = Command::new(&daprd)
        .arg(flag)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, output)
        .await
        .with_context(|| format!("{} {flag} does not end", daprd.display()))?
        .with_context(|| format!("cannot start {}", daprd.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
