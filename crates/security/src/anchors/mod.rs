//! The trust anchors in use, and the rule by which they change.
//!
//! Anchors given as text cannot change while the process runs, so those that
//! Sentry announces are added to them: it announced them over a connection
//! that an anchor in use vouched for, and whoever controls Sentry can issue
//! every identity already. A newer announcement replaces an older one; the
//! configured anchors always stay. Anchors given as a file are the whole truth
//! at any time: nothing is added, and removing one from the file removes it here.

mod file;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub(crate) use file::{wait, watch};

use crate::bundle::{self, TrustBundle};

/// A handle on the bundle in use; clones are the same.
#[derive(Clone, Debug)]
pub struct Anchors {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    current: ArcSwap<TrustBundle>,
    /// What may not be lost by learning; absent when nothing is learned.
    configured: Option<TrustBundle>,
}

impl Anchors {
    /// Anchors that only [`Anchors::replace`] changes.
    pub fn fixed(bundle: TrustBundle) -> Self {
        Self::new(bundle, None)
    }

    /// Anchors to which Sentry may add.
    pub fn learning(bundle: TrustBundle) -> Self {
        Self::new(bundle.clone(), Some(bundle))
    }

    fn new(bundle: TrustBundle, configured: Option<TrustBundle>) -> Self {
        let inner = Inner {
            current: ArcSwap::from_pointee(bundle),
            configured,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The bundle of this moment.
    pub fn current(&self) -> Arc<TrustBundle> {
        self.inner.current.load_full()
    }

    /// Puts another bundle in its place: handshakes from now on go by it.
    pub fn replace(&self, bundle: TrustBundle) {
        self.inner.current.store(Arc::new(bundle));
    }

    /// The bundle that would be in use with the announced anchors (PEM).
    pub(crate) fn with_announced(&self, pem: &[u8]) -> Result<Arc<TrustBundle>, bundle::Error> {
        match &self.inner.configured {
            Some(configured) if !pem.trim_ascii().is_empty() => {
                let announced = TrustBundle::from_pem(pem)?;
                Ok(Arc::new(configured.merged(&announced)?))
            }
            _ => Ok(self.current()),
        }
    }

    /// Takes what [`Anchors::with_announced`] answered into use.
    pub(crate) fn learn(&self, bundle: Arc<TrustBundle>) {
        if self.inner.configured.is_some() {
            self.inner.current.store(bundle);
        }
    }
}
