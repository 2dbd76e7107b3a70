//! Where the bundle is kept.

use super::{Files, Objects};

/// What a store holds; what is missing is `None`.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) root: Option<Vec<u8>>,
    pub(crate) issuer: Option<Vec<u8>>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) jwt_key: Option<Vec<u8>>,
    pub(crate) jwks: Option<Vec<u8>>,
}

/// What became of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    Done,
    /// Another Sentry changed the store since it was read: nothing was saved,
    /// and what is there now is to be read.
    Overtaken,
}

/// A place of the bundle: a folder, or the objects of a cluster.
pub(crate) enum Store {
    Files(Files),
    Objects(Box<Objects>),
}

impl Store {
    /// The line that says which one it is.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Files(_) => "Using local file system for trust bundle storage",
            Self::Objects(_) => "Using kubernetes secret store for trust bundle storage",
        }
    }

    /// Reads everything. It finishes a replacement that a crash cut short.
    pub(crate) async fn load(&self) -> Result<Stored, String> {
        match self {
            // Five small local files: no reason for a thread of their own.
            Self::Files(files) => files.load(),
            Self::Objects(objects) => objects.load().await,
        }
    }

    /// Replaces what is not `None`, all of it or nothing.
    pub(crate) async fn save(&self, new: &Stored) -> Result<Saved, String> {
        match self {
            Self::Files(files) => files.save(new).map(|()| Saved::Done),
            Self::Objects(objects) => objects.save(new).await,
        }
    }
}
