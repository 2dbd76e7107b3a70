//! Reading resources from files. One bad file or document never hides another.

mod configuration;
mod document;
mod folder;
mod problem;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::Resource;

pub use configuration::read_configurations;
pub use document::parse_documents;
pub use folder::read_folders;
pub use problem::{Cause, FolderError, Problem};

/// The largest file that is read.
pub const MAX_FILE: usize = 4 << 20;
/// The largest document, as upstream has it.
pub const MAX_DOCUMENT: usize = 64 << 10;
/// The largest number of documents in one file.
pub const MAX_DOCUMENTS: usize = 1_000;

/// What a set of folders, or one file, holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    pub resources: Vec<Located>,
    pub problems: Vec<Problem>,
}

/// A resource and where it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    pub resource: Resource,
    pub file: PathBuf,
    /// First line of its document, from 1.
    pub line: usize,
    /// Number of its document in the file, from 0, empty ones left out.
    pub document: usize,
}
