//! `dapr uninstall`: takes the binaries away, or the whole folder.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};

use crate::{command, home::Home, output::Report};

const EXAMPLES: &str = "\
Examples:
  dapr uninstall          remove the binaries, keep resources, certificates and data
  dapr uninstall --all    remove the whole .dapr folder, all these included";

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

pub(crate) fn execute(args: &Args, home: &Home, report: Report) -> Result<u8> {
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
