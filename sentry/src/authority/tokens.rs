//! JWT SVIDs: identities as tokens, beside the certificates.

use security::SpiffeId;
use serde::Serialize;

use crate::bundle::JwtBundle;
use crate::keys::sign_token;

/// What tokens are like; times in seconds.
#[derive(Clone, Debug)]
pub(crate) struct TokenOptions {
    pub(crate) issuer: Option<String>,
    pub(crate) ttl: i64,
}

/// Signs tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    bundle: JwtBundle,
    options: TokenOptions,
    clock_skew: i64,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a [&'a str],
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    jti: String,
    nbf: i64,
    sub: String,
    #[serde(rename = "use")]
    usage: &'static str,
}

impl Tokens {
    pub(super) fn new(bundle: JwtBundle, options: TokenOptions, clock_skew: i64) -> Self {
        Self {
            bundle,
            options,
            clock_skew,
        }
    }

    pub(crate) fn bundle(&self) -> &JwtBundle {
        &self.bundle
    }

    /// A token that says who the id is, to these audiences.
    pub(crate) fn sign(
        &self,
        id: &SpiffeId,
        audiences: &[&str],
        now: i64,
    ) -> Result<String, String> {
        let mut nonce = [0; 16];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| "no random numbers".to_owned())?;
        let claims = Claims {
            aud: audiences,
            exp: now.saturating_add(self.options.ttl),
            iat: now,
            iss: self.options.issuer.as_deref(),
            jti: hex::encode(nonce),
            nbf: now.saturating_sub(self.clock_skew),
            sub: id.to_string(),
            usage: "sig",
        };
        let JwtBundle {
            key,
            algorithm,
            kid,
            ..
        } = &self.bundle;
        sign_token(key, *algorithm, kid, &claims)
    }
}
