//! Keys: Ed25519, ECDSA and RSA, public and private, for certificates and tokens.

mod jwk;
mod jws;
mod private;
mod public;
#[cfg(test)]
mod tests;

pub(crate) use jwk::{Jwk, JwkSet, MAX_LEN as MAX_JWKS, thumbprint};
pub(crate) use jws::{Algorithm, Untrusted, sign_token};
pub(crate) use private::SigningKey;
pub(crate) use public::{Kind, PublicKey, x509_scheme};
