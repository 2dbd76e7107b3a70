//! `dapr mtls`: the certificates of this machine's authority or of a cluster's, and who uses them.

mod cluster;
mod local;
mod renew;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use jiff::{Timestamp, Unit};

use crate::{
    authority::{Authority, Certificate, FILES, Store, date, write_file},
    home::Home,
    output::Report,
};

use self::cluster::Cluster;

const EXAMPLES: &str = "\
Examples:
  dapr mtls                                    which sidecars use mutual TLS
  dapr mtls expiry                             until when root and issuer are valid
  dapr mtls export -o ./certs                  copy ca.crt, issuer.crt and issuer.key
  dapr mtls renew-certificate                  a new root and issuer, valid for a year
  dapr mtls renew-certificate --valid-until 30 valid for 30 days
  dapr mtls expiry -k                          the same of a cluster

The certificates are in ~/.dapr/certs; the first `dapr run --mtls` makes them. With -k they are
those of the cluster that the kubeconfig names (KUBECONFIG, or ~/.kube/config).";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Work on a Kubernetes cluster instead of this machine
    #[arg(short, long, global = true)]
    kubernetes: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Copy root, issuer and the issuer's key
    Export {
        /// The folder to copy them to
        #[arg(short, long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
    /// Show until when root and issuer are valid
    Expiry,
    /// Make a new root and issuer, or take given ones
    #[command(visible_aliases = ["renew-cert", "rnc"])]
    RenewCertificate(renew::Args),
}

pub(crate) async fn execute(args: &Args, home: &Home, report: Report) -> Result<u8> {
    if args.kubernetes {
        let cluster = Cluster::find().await?;
        match &args.command {
            None => cluster.status(report),
            Some(Command::Export { out }) => {
                export(&cluster.authority_texts().await?, out, report)?
            }
            Some(Command::Expiry) => expiry(&cluster.authority().await?, report),
            Some(Command::RenewCertificate(args)) => cluster.renew(args, report).await?,
        }
        return Ok(0);
    }
    let store = Store::new(home.certs());
    match &args.command {
        None => local::status(&store, report).await?,
        Some(Command::Export { out }) => export(&local::texts(&store)?, out, report)?,
        Some(Command::Expiry) => expiry(&local::present(&store)?, report),
        Some(Command::RenewCertificate(args)) => local::renew(args, &store, report).await?,
    }
    Ok(0)
}

/// Writes root, issuer and the issuer's key to the folder.
fn export(texts: &[Vec<u8>; 3], out: &Path, report: Report) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot create folder {}", out.display()))?;
    for (name, text) in FILES.iter().zip(texts) {
        let to = out.join(name);
        write_file(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    report.success(format_args!(
        "Trust certs successfully exported to {}",
        fs::canonicalize(out)
            .unwrap_or_else(|_| out.to_owned())
            .display()
    ));
    Ok(())
}

fn expiry(authority: &Authority, report: Report) {
    let now = Timestamp::now();
    let root = authority.root();
    for (name, certificate) in [("Root", root), ("Issuer", Some(authority.issuer()))] {
        if let Some(certificate) = certificate {
            report.info(ends(name, certificate, now));
        }
    }
    for anchor in &authority.anchors {
        if Some(anchor) != root {
            report.info(ends("Earlier root", anchor, now));
        }
    }
}

fn ends(name: &str, certificate: &Certificate, now: Timestamp) -> String {
    let end = certificate.not_after;
    if end < now {
        return format!("{name} certificate has expired. Expiry date: {}", date(end));
    }
    let left = end
        .since((Unit::Hour, now))
        .map_or(0, |span| span.get_hours());
    format!(
        "{name} certificate expires in {left} hours. Expiry date: {}",
        date(end)
    )
}
