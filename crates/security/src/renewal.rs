//! Keeping an identity fresh for as long as the process runs.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, until};
use crate::identity::{Identity, Svid};
use crate::metrics::Metrics;
use crate::sentry::Client;

const SCOPE: &str = "dapr.runtime.security";
/// How often the clock is looked at: it jumps when a machine was asleep.
const LOOK: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_secs(1);

/// When to renew an identity that came at `now`.
pub(crate) fn due(svid: &Svid, now: Timestamp) -> Timestamp {
    let mut random = [0; 4];
    // Without randomness there is no jitter; nothing depends on it.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let jitter = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
    due_with(svid, now, jitter)
}

/// When to renew an identity that came at `now`: at half of its validity, or
/// after half of what its tokens have left. Where half is over already, it is
/// half of what is left.
///
/// `jitter`, from 0 to 1, takes up to a twentieth off the wait, so that the
/// apps of a cluster do not all come at once; it is never later.
fn due_with(svid: &Svid, now: Timestamp, jitter: f64) -> Timestamp {
    let half = middle(svid.not_before(), svid.not_after());
    let tokens = svid.jwt_expires().map(|end| middle(now, end));
    let at = tokens.map_or(half, |tokens| tokens.min(half));
    let at = if at > now {
        at
    } else {
        middle(now, svid.not_after())
    };
    // A certificate that is about to end must not make a loop without pause.
    let wait = until(now, at).unwrap_or_default().max(SHORTEST);
    let wait = wait.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 20.0);
    now.checked_add(wait).unwrap_or(at)
}

fn middle(from: Timestamp, to: Timestamp) -> Timestamp {
    let half = to.duration_since(from) / 2;
    from.checked_add(half).unwrap_or(to)
}

/// Renews for ever, first at `at`. A failure changes nothing: the old identity
/// stays in use until its end, and beyond it is shown to peers that then refuse it.
pub(crate) async fn keep(
    mut at: Timestamp,
    identity: &Identity,
    client: &Client,
    clock: &Clock,
    metrics: &Metrics,
) {
    let ends = ends(&identity.current());
    let renewal = go_time(at);
    tracing::info!(
        target: SCOPE,
        "Starting workload identity expiry watcher; {ends}, renewal at: {renewal}"
    );
    loop {
        wait(clock, at).await;
        let svid = renewed(identity, client, clock, metrics).await;
        at = due(&svid, clock.now());
        let (ends, renewal) = (self::ends(&svid), go_time(at));
        metrics.rotated(svid.not_after());
        identity.replace(svid);
        tracing::info!(
            target: SCOPE,
            "Successfully renewed workload identity; {ends}, renewal at: {renewal}"
        );
    }
}

async fn wait(clock: &Clock, at: Timestamp) {
    while until(clock.now(), at).is_some() {
        let look = clock.now().checked_add(LOOK).unwrap_or(at);
        clock.sleep_until(at.min(look)).await;
    }
}

/// Asks until there is an identity, and says once that the old one is still in
/// use, and once that it has ended.
async fn renewed(identity: &Identity, client: &Client, clock: &Clock, metrics: &Metrics) -> Svid {
    let old = identity.current();
    let ends = ends(&old);
    tracing::info!(target: SCOPE, "Renewing workload identity; {ends}");
    let (mut told, mut over) = (false, false);
    loop {
        let error = match client.sign().await {
            Ok(svid) => return svid,
            Err(error) => error,
        };
        metrics.request_failed(error.reason());
        tracing::error!(target: SCOPE, "Error renewing identity, trying again in 10 seconds: {error}");
        if clock.now() > old.not_after() {
            if !over {
                tracing::error!(
                    target: SCOPE,
                    "Workload identity has expired and peers refuse it until sentry renews it; {ends}"
                );
            }
            over = true;
        } else if !told {
            tracing::warn!(target: SCOPE, "Workload identity stays in use until it expires; {ends}");
            told = true;
        }
        clock.sleep(RETRY).await;
    }
}

fn ends(svid: &Svid) -> String {
    let mut text = format!("cert expires on: {}", go_time(svid.not_after()));
    if let Some(expires) = svid.jwt_expires() {
        text.push_str(&format!(", jwt expires on: {}", go_time(expires)));
    }
    text
}

/// A moment as Go prints it by default, in whole seconds.
pub(crate) fn go_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, SanType};
    use x509_parser::time::ASN1Time;

    use super::*;
    use crate::jwt::Jwt;

    /// An identity that is valid between two minutes of the hour `start`.
    fn svid(start: Timestamp, from: i64, to: i64) -> Svid {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        let id = "spiffe://public/ns/default/cart".try_into().unwrap();
        params.subject_alt_names = vec![SanType::URI(id)];
        let time = |minutes| {
            let at = start + SignedDuration::from_mins(minutes);
            ASN1Time::from_timestamp(at.as_second()).unwrap()
        };
        params.not_before = time(from).to_datetime();
        params.not_after = time(to).to_datetime();
        let chain = vec![params.self_signed(&key).unwrap().der().clone()];
        Svid::new(chain, key.into()).unwrap()
    }

    #[test]
    fn the_moment_is_half_of_the_validity() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let check = |from, to, jwt: Option<i64>, jitter, minutes: f64| {
            let mut svid = svid(start, from, to);
            if let Some(minutes) = jwt {
                let exp = start.as_second() + minutes * 60;
                let claims = format!(r#"{{"exp":{exp},"aud":"a"}}"#);
                use base64::Engine;
                let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
                svid.jwt = Some(Jwt::parse(format!("e30.{claims}.s")).unwrap());
            }
            let at = due_with(&svid, start, jitter).duration_since(start);
            assert_eq!(at.as_secs_f64() / 60.0, minutes);
        };
        // The defaults of Sentry: 24 hours, and 15 minutes of skew.
        check(-15, 1440, None, 0.0, 712.5);
        check(-15, 1440, None, 1.0, 712.5 * 0.95);
        // Half of a token's life, if sooner.
        check(-15, 1440, Some(60), 0.0, 30.0);
        check(-15, 1440, Some(2880), 0.0, 712.5);
        // The skew is longer than the rest, so that half is over at once.
        check(-15, 10, None, 0.0, 5.0);
        // About to end.
        check(-15, 0, None, 0.0, 1.0 / 60.0);
    }

    #[test]
    fn times_look_as_go_prints_them() {
        let at: Timestamp = "2026-01-02T15:04:05.678Z".parse().unwrap();
        assert_eq!(go_time(at), "2026-01-02 15:04:05 +0000 UTC");
    }
}
