//! Cryptography with keys that stay in the component.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Result};

/// Algorithm names are those of the JSON Web Algorithms and the API's own.
#[async_trait]
pub trait Crypto: Send + Sync + 'static {
    /// Algorithms of encrypt, decrypt, wrap and unwrap.
    fn encryption_algorithms(&self) -> &[&'static str];

    /// Algorithms of sign and verify.
    fn signature_algorithms(&self) -> &[&'static str];

    /// The public part as a JSON Web Key. A symmetric key is `NotFound`.
    async fn public_key(&self, key: &str) -> Result<Bytes>;

    async fn encrypt(&self, plaintext: &[u8], with: With<'_>) -> Result<Sealed>;

    async fn decrypt(&self, sealed: &Sealed, with: With<'_>) -> Result<Plain>;

    /// `key` is raw bytes, PKCS#8 or PKIX.
    async fn wrap(&self, key: &Plain, with: With<'_>) -> Result<Sealed>;

    async fn unwrap(&self, sealed: &Sealed, with: With<'_>) -> Result<Plain>;

    async fn sign(&self, digest: &[u8], algorithm: &str, key: &str) -> Result<Bytes>;

    async fn verify(
        &self,
        digest: &[u8],
        signature: &[u8],
        algorithm: &str,
        key: &str,
    ) -> Result<bool>;

    /// Whether the backend answers now.
    async fn ping(&self) -> Result<()> {
        Err(Error::unsupported("a ping"))
    }

    /// Ends connections and tasks.
    async fn close(&self) {}
}

/// Which key is used, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct With<'a> {
    pub key: &'a str,
    pub algorithm: &'a str,
    /// Empty where the algorithm has none.
    pub nonce: &'a [u8],
    pub associated_data: &'a [u8],
}

/// A ciphertext; the tag is apart and empty where the algorithm has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    pub ciphertext: Bytes,
    pub tag: Bytes,
}

/// A plaintext or an unwrapped key. `Debug` shows its length only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Plain(pub Bytes);

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plain({} bytes)", self.0.len())
    }
}
