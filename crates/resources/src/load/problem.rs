//! What can be wrong with a file, said with its place and the remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::Kind;

/// Why a file or a document was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// As far as the document could be read.
    pub kind: Option<Kind>,
    /// The resource's name, empty when it is not known.
    pub name: String,
    pub cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Neither `.yaml` nor `.yml`.
    NotYaml,
    /// The file cannot be opened or read.
    Unreadable(String),
    /// A document is no YAML, or does not fit its kind.
    Malformed(String),
    /// A document is well-formed but breaks a rule.
    Invalid(String),
}

impl Problem {
    pub(super) fn of_file(file: &Path, cause: Cause) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            kind: None,
            name: String::new(),
            cause,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYaml => {
                f.write_str("it is not a YAML file; name it .yaml or .yml to have it loaded")
            }
            Self::Unreadable(text) | Self::Malformed(text) | Self::Invalid(text) => {
                f.write_str(text)
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if let Some(kind) = self.kind {
            write!(f, ": {kind}")?;
            if !self.name.is_empty() {
                write!(f, " {:?}", self.name)?;
            }
        }
        write!(f, ": {}", self.cause)
    }
}

/// A folder cannot be read, which ends the start. The text is upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("open {}: {reason}", path.display())]
pub struct FolderError {
    pub path: PathBuf,
    pub reason: String,
}

impl FolderError {
    pub(super) fn new(path: &Path, error: &io::Error) -> Self {
        Self {
            path: path.to_owned(),
            reason: go_io_text(error),
        }
    }
}

/// The operating system's text as Go prints it: lower case, without the number.
pub(super) fn go_io_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters
        .next()
        .map(|c| c.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}
