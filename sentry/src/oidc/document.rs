//! The discovery document.

use serde::Serialize;

/// The document; the order of its members is upstream's.
#[derive(Serialize)]
pub(super) struct Discovery<'a> {
    issuer: &'a str,
    jwks_uri: &'a str,
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'a str; 1],
    scopes_supported: [&'static str; 1],
    claims_supported: [&'static str; 7],
}

impl<'a> Discovery<'a> {
    pub(super) fn new(issuer: &'a str, jwks_uri: &'a str, algorithm: &'a str) -> Self {
        Self {
            issuer,
            jwks_uri,
            response_types_supported: ["id_token"],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: [algorithm],
            scopes_supported: ["openid"],
            claims_supported: ["sub", "iss", "aud", "exp", "iat", "nbf", "use"],
        }
    }
}

/// The path of the keys on the issuer's host.
pub(super) fn jwks_uri(issuer: &str, path: &str) -> String {
    let joined = reqwest::Url::parse(issuer).and_then(|url| url.join(path));
    joined.map_or_else(|_| path.to_owned(), Into::into)
}
