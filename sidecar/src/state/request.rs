//! Items as the API sends them, before they are checked.

use component::state::{Concurrency, Consistency, Metadata, Value};

/// One item to write.
pub(crate) struct Save {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) etag: Option<String>,
    pub(crate) concurrency: String,
    pub(crate) consistency: String,
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Save {
    pub(super) fn options(&self) -> Result<(Concurrency, Consistency), String> {
        Ok((
            concurrency(&self.concurrency)?,
            consistency(&self.consistency)?,
        ))
    }
}

/// One key to delete.
#[derive(Default)]
pub(crate) struct Delete {
    pub(crate) key: String,
    pub(crate) etag: Option<String>,
    pub(crate) concurrency: String,
    pub(crate) consistency: String,
    pub(crate) metadata: Metadata,
}

/// One operation of a transaction.
pub(crate) enum Change {
    Upsert(Save),
    Delete(Delete),
}

pub(super) fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text {
        "" => Ok(Concurrency::Unset),
        "first-write" => Ok(Concurrency::FirstWrite),
        "last-write" => Ok(Concurrency::LastWrite),
        other => Err(format!("unrecognized concurrency model '{other}'")),
    }
}

pub(super) fn consistency(text: &str) -> Result<Consistency, String> {
    match text {
        "" => Ok(Consistency::Unset),
        "strong" => Ok(Consistency::Strong),
        "eventual" => Ok(Consistency::Eventual),
        other => Err(format!("unrecognized consistency model '{other}'")),
    }
}
