//! Identities: who this process is, and who its peers are.
//!
//! [`Security::start`] gets a certificate from Sentry and keeps it fresh;
//! [`Identity`] makes TLS of it. A peer is who its certificate says and nobody
//! else: no header and no field of a message is proof.

mod anchors;
pub mod bundle;
mod clock;
mod identity;
pub mod jwt;
pub mod leaf;
mod metrics;
mod options;
pub mod pem;
mod renewal;
mod security;
pub mod sentry;
pub mod spiffe;
pub mod tls;
pub mod token;
mod verify;

pub use anchors::Anchors;
pub use bundle::TrustBundle;
pub use clock::Clock;
pub use identity::{Identity, Svid, Unusable};
pub use leaf::Leaf;
pub use options::{AnchorSource, ControlPlane, KeyKind, Mode, Options, Service};
pub use security::{Error, Security};
pub use spiffe::SpiffeId;
pub use tls::{Acceptor, Connector};
pub use verify::{PeerRule, Refused, verify_chain};
