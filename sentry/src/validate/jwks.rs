//! The jwks validator: a token whose subject is the identity asked for.

mod source;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use proto::dapr::sentry::v1::SignCertificateRequest;
use security::SpiffeId;
use serde::Deserialize;
use service::Tasks;
use service::health::Target;

use super::request::{Denied, identity, is_well_formed};
use crate::keys::{JwkSet, Untrusted};

pub(crate) use source::JwksOptions;

/// What clocks may differ, in seconds.
const SKEW: i64 = 5 * 60;
/// How long a source that failed is left alone before it is asked first again.
const RETRY: Duration = Duration::from_secs(5);

/// Checks tokens against a set of keys that it keeps fresh.
#[derive(Debug)]
pub(crate) struct JwksValidator {
    /// Sentry's own id, which must be among the audiences.
    audience: String,
    keys: ArcSwapOption<JwkSet>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    aud: Audiences,
    #[serde(default)]
    sub: String,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl JwksValidator {
    pub(crate) fn new(audience: String) -> Self {
        Self {
            audience,
            keys: ArcSwapOption::empty(),
        }
    }

    /// One that checks against these keys and fetches none.
    pub(crate) fn with_keys(audience: &str, set: JwkSet) -> Self {
        let validator = Self::new(audience.to_owned());
        validator.keys.store(Some(Arc::new(set)));
        validator
    }

    /// Fetches the keys now and again until the tasks end; `ready` tells when
    /// there are some.
    pub(crate) fn start(self: &Arc<Self>, options: JwksOptions, ready: Target, tasks: &Tasks) {
        let end = tasks.token();
        let validator = self.clone();
        tasks.spawn("jwks", async move {
            loop {
                let wait = match options.fetch().await {
                    Ok(set) => {
                        validator.keys.store(Some(Arc::new(set)));
                        ready.ready();
                        options.refresh_every()
                    }
                    Err(e) => {
                        tracing::warn!(
                            target: "dapr.sentry.identity.jwks",
                            "Failed to fetch JWKS: {e}"
                        );
                        RETRY.min(options.refresh_every())
                    }
                };
                tokio::select! {
                    () = end.cancelled() => return,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        });
    }

    /// The identity of the request, when its token proves it.
    pub(super) fn check(
        &self,
        request: &SignCertificateRequest,
        domain: &str,
        now: i64,
    ) -> Result<SpiffeId, Denied> {
        let denied = |text: &str| Denied(text.to_owned());
        if request.token.is_empty() {
            return Err(denied("the request does not contain a token"));
        }
        let keys = self.keys.load();
        let keys = keys.as_deref().ok_or(denied("jwks validator not ready"))?;
        let id = identity(request, domain);
        if !is_well_formed(&id) {
            return Err(denied(
                "failed to construct SPIFFE ID for requestor: namespace or app id have \
                 characters that an identity cannot have",
            ));
        }
        self.token(&request.token, keys, &id.to_string(), now)
            .map_err(|e| Denied(format!("token validation failed: {e}")))?;
        Ok(id)
    }

    fn token(&self, token: &str, keys: &JwkSet, subject: &str, now: i64) -> Result<(), String> {
        let token = Untrusted::parse(token)?;
        let candidates = keys.keys.iter().filter(|key| {
            let named = token.kid.is_none() || key.kid == token.kid;
            let meant = key
                .alg
                .as_deref()
                .is_none_or(|alg| alg == token.algorithm.name());
            named && meant && key.signs()
        });
        let proven = candidates
            .filter_map(|key| key.public_key())
            .find_map(|key| token.verify(&key))
            .ok_or("no key of the JWKS verifies the signature")?;
        let claims: Claims =
            serde_json::from_slice(proven).map_err(|_| "the claims are malformed")?;
        self.claims(&claims, subject, now)
    }

    fn claims(&self, claims: &Claims, subject: &str, now: i64) -> Result<(), String> {
        // Seconds since the epoch are far below what a float counts exactly.
        let after = |moment: Option<f64>, limit: i64| moment.is_some_and(|m| m > limit as f64);
        if claims.exp.is_some_and(|exp| exp <= (now - SKEW) as f64) {
            return Err("the token has expired".into());
        }
        if after(claims.nbf, now + SKEW) || after(claims.iat, now + SKEW) {
            return Err("the token is not valid yet".into());
        }
        let is_audience = match &claims.aud {
            Audiences::One(one) => *one == self.audience,
            Audiences::Many(many) => many.contains(&self.audience),
        };
        if !is_audience {
            return Err(format!("the token's audiences lack {}", self.audience));
        }
        if claims.sub != subject {
            return Err(format!("the token's subject is not {subject}"));
        }
        Ok(())
    }
}
