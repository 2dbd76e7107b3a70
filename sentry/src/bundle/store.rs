//! Where the bundle is kept.

use super::Files;

/// What a store holds; what is missing is `None`.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) root: Option<Vec<u8>>,
    pub(crate) issuer: Option<Vec<u8>>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) jwt_key: Option<Vec<u8>>,
    pub(crate) jwks: Option<Vec<u8>>,
}

/// A place of the bundle: a folder, or the objects of a cluster.
pub(crate) enum Store {
    Files(Files),
}

impl Store {
    /// The line that says which one it is.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Files(_) => "Using local file system for trust bundle storage",
        }
    }

    /// Reads everything. It finishes a replacement that a crash cut short.
    pub(crate) async fn load(&self) -> Result<Stored, String> {
        match self {
            // Five small local files: no reason for a thread of their own.
            Self::Files(files) => files.load(),
        }
    }

    /// Replaces what is not `None`, all of it or nothing.
    pub(crate) async fn save(&self, new: &Stored) -> Result<(), String> {
        match self {
            Self::Files(files) => files.save(new),
        }
    }
}
