//! What Sentry signs with: root, issuer and key, the token key, and their store.

mod files;
mod jwt;
mod objects;
mod open;
pub(crate) mod rotate;
mod store;
#[cfg(test)]
mod tests;
mod x509;

pub(crate) use files::{Files, Paths};
pub(crate) use jwt::{JwtBundle, JwtOptions};
pub(crate) use objects::Objects;
pub(crate) use open::{Bundles, Occasion, open, replace, save_certificates, validity};
pub(crate) use store::{Saved, Store, Stored};
pub(crate) use x509::X509Bundle;

/// Whose certificate authority this is.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) trust_domain: String,
    /// Sentry's own SPIFFE id.
    pub(crate) id: String,
}
