//! `dapr mtls renew-certificate`: a new root and issuer in place of those that are there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;

use crate::{
    authority::{Authority, Store, Validity, date, make, new_root_key, read_file, read_key},
    output::Report,
};

const EXAMPLES: &str = "\
Examples:
  dapr mtls renew-certificate
  dapr mtls renew-certificate --valid-until 30
  dapr mtls renew-certificate --private-key root.key
  dapr mtls renew-certificate --ca-root-certificate ca.crt \\
    --issuer-public-certificate issuer.crt --issuer-private-key issuer.key

A root that is still valid stays beside the new one, so that certificates of both are accepted.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The key of the new root [default: a new one that is not kept]
    #[arg(long, value_name = "FILE", conflicts_with = "ca_root_certificate")]
    private_key: Option<PathBuf>,

    /// A root certificate of your own
    #[arg(long, value_name = "FILE", requires_all = ["issuer_private_key", "issuer_public_certificate"])]
    ca_root_certificate: Option<PathBuf>,

    /// The key of an issuer of your own
    #[arg(long, value_name = "FILE", requires = "ca_root_certificate")]
    issuer_private_key: Option<PathBuf>,

    /// The certificate of an issuer of your own
    #[arg(long, value_name = "FILE", requires = "ca_root_certificate")]
    issuer_public_certificate: Option<PathBuf>,

    /// Days for which the new certificates are valid
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    valid_until: u16,

    // Upstream's flags for a cluster; accepted, without effect.
    #[arg(long, hide = true)]
    restart: bool,
    #[arg(long, hide = true, value_name = "SECONDS")]
    timeout: Option<u32>,
    #[arg(long, hide = true, value_name = "NAME")]
    image_variant: Option<String>,
}

pub(super) async fn execute(args: &Args, store: &Store, report: Report) -> Result<()> {
    report.pending("Starting certificate rotation");
    if args.restart {
        report.warning(
            "--restart has no effect on this machine: Sentry takes new certificates by itself",
        );
    }
    let lock = store.lock().await?;
    let now = Timestamp::now();
    let earlier = store.load()?;
    let mut new = match args.given()? {
        Some(given) => {
            report.info("Using the given root and issuer");
            ensure!(
                given
                    .chain
                    .iter()
                    .chain(given.root())
                    .all(|c| c.holds_at(now)),
                "the given certificates are not valid now: {}",
                date(given.ends())
            );
            given
        }
        None => {
            report.info("Generating fresh certificates");
            let key = match &args.private_key {
                Some(path) => read_key(&required(path)?)
                    .with_context(|| format!("private key {}", path.display()))?,
                None => new_root_key()?,
            };
            make(
                Some(key),
                Validity::days(now, args.valid_until),
                earlier.as_ref(),
            )?
        }
    };
    let bridged = new.chain.len() > 1;
    if let Some(earlier) = &earlier {
        new.keep_trusting(earlier, now);
    }
    store.save(&lock, &new)?;
    report.success(format_args!(
        "Certificate rotation is successful! Your new certificate is valid through {}",
        date(new.ends())
    ));
    match earlier {
        None => {}
        Some(_) if bridged && args.ca_root_certificate.is_none() => report.info(
            "Nothing needs a restart: sidecars that run go on, and get new certificates in time",
        ),
        Some(_) => report.warning(
            "Restart what `dapr run --mtls` has started: sidecars that run know the earlier root \
             only and will refuse new certificates",
        ),
    }
    Ok(())
}

impl Args {
    /// The authority in the given files.
    fn given(&self) -> Result<Option<Authority>> {
        let (Some(root), Some(issuer), Some(key)) = (
            &self.ca_root_certificate,
            &self.issuer_public_certificate,
            &self.issuer_private_key,
        ) else {
            return Ok(None);
        };
        Authority::parse(&required(root)?, &required(issuer)?, &required(key)?).map(Some)
    }
}

fn required(path: &Path) -> Result<Vec<u8>> {
    read_file(path)?.with_context(|| format!("{} does not exist", path.display()))
}
