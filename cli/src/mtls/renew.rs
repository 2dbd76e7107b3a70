//! `dapr mtls renew-certificate`: a new root and issuer in place of those that are there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;

use crate::{
    authority::{self, Authority, Owner, Validity, date, new_root_key, read_file, read_key},
    output::Report,
};

const EXAMPLES: &str = "\
Examples:
  dapr mtls renew-certificate
  dapr mtls renew-certificate --valid-until 30
  dapr mtls renew-certificate --private-key root.key
  dapr mtls renew-certificate --ca-root-certificate ca.crt \\
    --issuer-public-certificate issuer.crt --issuer-private-key issuer.key
  dapr mtls renew-certificate -k --restart

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

    /// Restart the control plane afterwards; with -k
    #[arg(long)]
    pub(super) restart: bool,

    /// Seconds that the whole may take; with -k
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) timeout: u32,

    // Upstream's flag for the chart that it upgrades; accepted, without effect.
    #[arg(long, hide = true, value_name = "NAME")]
    image_variant: Option<String>,
}

/// What takes the earlier authority's place.
pub(super) struct New {
    pub(super) authority: Authority,
    /// Whether those who know only the earlier roots accept its certificates.
    pub(super) bridged: bool,
}

/// The given authority or a fresh one, which trusts what was signed before it as well.
pub(super) fn make(
    args: &Args,
    owner: Owner<'_>,
    earlier: Option<&Authority>,
    now: Timestamp,
    report: Report,
) -> Result<New> {
    let given = args.given()?;
    let fresh = given.is_none();
    let mut authority = match given {
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
            let validity = Validity::days(now, args.valid_until);
            authority::make(owner, Some(key), validity, earlier)?
        }
    };
    let bridged = fresh && authority.chain.len() > 1;
    if let Some(earlier) = earlier {
        authority.keep_trusting(earlier, now);
    }
    Ok(New { authority, bridged })
}

pub(super) fn tell(new: &Authority, report: Report) {
    report.success(format_args!(
        "Certificate rotation is successful! Your new certificate is valid through {}",
        date(new.ends())
    ));
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
