//! Certificates: read, written, and the requests for them.
//!
//! They are encoded here and not by a library, because a leaf must carry its
//! issuer's name byte for byte, whatever a user's issuer is called.

pub(crate) mod certificate;
pub(crate) mod csr;
mod der;
pub(crate) mod pem;
pub(crate) mod profile;

pub(crate) use certificate::Certificate;
pub(crate) use der::{Der, NULL};
