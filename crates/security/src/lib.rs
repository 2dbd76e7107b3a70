//! Identities: who this process is, and who its peers are.

pub mod spiffe;
