//! `dapr mtls`: the certificates of this machine's authority, and who uses them.

mod renew;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use jiff::{Timestamp, Unit};

use crate::{
    authority::{Authority, Certificate, FILES, Store, date, read_file, write_file},
    command,
    home::Home,
    instances,
    output::Report,
};

const EXAMPLES: &str = "\
Examples:
  dapr mtls                                    which sidecars use mutual TLS
  dapr mtls expiry                             until when root and issuer are valid
  dapr mtls export -o ./certs                  copy ca.crt, issuer.crt and issuer.key
  dapr mtls renew-certificate                  a new root and issuer, valid for a year
  dapr mtls renew-certificate --valid-until 30 valid for 30 days

The certificates are in ~/.dapr/certs; the first `dapr run --mtls` makes them.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[arg(short, long, hide = true, global = true)]
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
    let name = match &args.command {
        None => "mtls",
        Some(Command::Export { .. }) => "mtls export",
        Some(Command::Expiry) => "mtls expiry",
        Some(Command::RenewCertificate(_)) => "mtls renew-certificate",
    };
    if args.kubernetes {
        return Err(command::no_kubernetes(name));
    }
    let store = Store::new(home.certs());
    match &args.command {
        None => status(&store, report).await?,
        Some(Command::Export { out }) => export(&store, out, report)?,
        Some(Command::Expiry) => expiry(&present(&store)?, report),
        Some(Command::RenewCertificate(args)) => renew::execute(args, &store, report).await?,
    }
    Ok(0)
}

async fn status(store: &Store, report: Report) -> Result<()> {
    let running = instances::all().await?;
    let (with, without): (Vec<_>, Vec<_>) = running.iter().partition(|sidecar| sidecar.mtls);
    for (sidecars, state) in [(with, "enabled"), (without, "disabled")] {
        if !sidecars.is_empty() {
            let ids: Vec<&str> = sidecars.iter().map(|s| s.app_id.as_str()).collect();
            report.info(format_args!("Mutual TLS is {state} for {}", ids.join(", ")));
        }
    }
    if running.is_empty() {
        report
            .info("No sidecar runs on this machine; `dapr run --mtls` starts one with mutual TLS");
    }
    match store.load()? {
        Some(authority) => report.info(format_args!(
            "The certificates in {} are valid until {}",
            store.folder().display(),
            date(authority.ends())
        )),
        None => report.info(format_args!(
            "There are no certificates in {} yet; the first `dapr run --mtls` makes them",
            store.folder().display()
        )),
    }
    Ok(())
}

fn export(store: &Store, out: &Path, report: Report) -> Result<()> {
    present(store)?;
    fs::create_dir_all(out).with_context(|| format!("cannot create folder {}", out.display()))?;
    for name in FILES {
        let from = store.folder().join(name);
        let content = read_file(&from)?.with_context(|| format!("{} is gone", from.display()))?;
        let to = out.join(name);
        write_file(&to, &content).with_context(|| format!("cannot write {}", to.display()))?;
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

fn present(store: &Store) -> Result<Authority> {
    store.load()?.with_context(|| {
        format!(
            "there are no certificates in {}; the first `dapr run --mtls` makes them",
            store.folder().display()
        )
    })
}
