//! `dapr uninstall`: ends the services and takes the binaries away, or the whole folder.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};

use crate::{command, home::Home, lock::Lock, output::Report, services};

const EXAMPLES: &str = "\
Examples:
  dapr uninstall          stop what `dapr status` shows and remove the binaries; resources,
                          certificates, data and logs stay
  dapr uninstall --all    remove the whole .dapr folder, all these included

Applications and their sidecars are left alone; `dapr stop` ends them.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Remove everything: resources, configuration, certificates and data too
    #[arg(long)]
    all: bool,

    #[arg(short, long, hide = true)]
    kubernetes: bool,

    // Upstream's flags for its containers; accepted, without effect.
    #[arg(long, hide = true, value_name = "NAME")]
    network: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    container_runtime: Option<String>,
}

pub(crate) async fn execute(args: &Args, home: &Home, report: Report) -> Result<u8> {
    if args.kubernetes {
        return Err(command::no_kubernetes("uninstall"));
    }
    for (flag, value) in [
        ("network", &args.network),
        ("container-runtime", &args.container_runtime),
    ] {
        if value.is_some() {
            report.warning(format_args!(
                "--{flag} has no effect: there are no containers"
            ));
        }
    }
    report.info("Removing Dapr from your machine...");
    if !home.root().exists() {
        report.warning(format_args!("{} does not exist", home.root().display()));
        return Ok(0);
    }
    let _lock = Lock::take(home.root(), report).await?;
    services::stop(home, report).await?;
    let folder = if args.all {
        home.root().to_owned()
    } else {
        home.bin()
    };
    remove(&folder, report)?;
    report.success("Dapr has been removed successfully");
    Ok(0)
}

fn remove(folder: &Path, report: Report) -> Result<()> {
    report.info(format_args!("Removing directory: {}", folder.display()));
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            report.warning(format_args!("{} does not exist", folder.display()));
            Ok(())
        }
        other => other.with_context(|| format!("cannot remove {}", folder.display())),
    }
}
