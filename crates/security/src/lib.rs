//! Identities: who this process is, and who its peers are.

pub mod bundle;
mod clock;
pub mod leaf;
pub mod pem;
pub mod spiffe;

pub use bundle::TrustBundle;
pub use clock::Clock;
pub use leaf::Leaf;
pub use spiffe::SpiffeId;
