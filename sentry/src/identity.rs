//! Sentry's own certificate: issued by itself in memory, and renewed there.

use std::sync::Arc;
use std::time::Duration;

use security::SpiffeId;
use service::Tasks;

use crate::authority::Authority;
use crate::clock;
use crate::keys::SigningKey;
use crate::metrics::Metrics;
use crate::tls::Certificate;

/// The longest time until it is looked at again whether a new one is due: a clock
/// may be set forward.
const LOOK: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(10);

/// A certificate and the second from which a new one is due.
struct Issued {
    chain: Vec<rustls::pki_types::CertificateDer<'static>>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
    renew: i64,
}

fn issue(authority: &Authority, id: &SpiffeId, metrics: &Metrics) -> Result<Issued, String> {
    let now = clock::now();
    let failed = || {
        metrics.own_failed.inc();
        "failed to issue Sentry's own certificate".to_owned()
    };
    let key = SigningKey::generate_ed25519().map_err(|_| failed())?;
    let leaf = authority.sign(key.public(), id, now).ok_or_else(failed)?;
    Ok(Issued {
        chain: authority.tls_chain(&leaf),
        key: key.der(),
        renew: now + (leaf.not_after - now) / 2,
    })
}

/// Issues the certificate, and a new one each time half of its life is over.
pub(crate) fn start(
    authority: Arc<Authority>,
    id: SpiffeId,
    metrics: Metrics,
    tasks: &Tasks,
) -> Result<Certificate, String> {
    let first = issue(&authority, &id, &metrics)?;
    let certificate = Certificate::new(first.chain, &first.key).map_err(|e| e.to_string())?;
    let current = certificate.clone();
    let end = tasks.token();
    tasks.spawn("own certificate", async move {
        let mut renew = first.renew;
        let mut wait = until(renew);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = until(renew);
            if clock::now() < renew {
                continue;
            }
            let replaced = issue(&authority, &id, &metrics).and_then(|new| {
                let done = current.replace(new.chain, &new.key);
                done.map(|()| new.renew).map_err(|e| e.to_string())
            });
            match replaced {
                Ok(next) => {
                    renew = next;
                    wait = until(renew);
                }
                Err(e) => {
                    tracing::error!(target: "dapr.sentry", "Failed to renew own certificate: {e}");
                    wait = RETRY;
                }
            }
        }
    });
    Ok(certificate)
}

/// How long to wait for a moment, given in Unix seconds.
fn until(moment: i64) -> Duration {
    let seconds = u64::try_from(moment - clock::now()).unwrap_or(0);
    LOOK.min(Duration::from_secs(seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_life_is_looked_at_more_often() {
        let now = clock::now();
        assert_eq!(until(now - 100), Duration::from_secs(1));
        assert!(until(now + 5) <= Duration::from_secs(5));
        assert_eq!(until(now + 100_000), LOOK);
    }
}
