//! Input and output bindings.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

pub type Metadata = BTreeMap<String, String>;

/// A source of events.
#[async_trait]
pub trait InputBinding: Send + Sync + 'static {
    /// Returns when events can arrive. Each one is handed to the handler, and
    /// acknowledged by its answer, until `stop` is cancelled.
    async fn read(&self, handler: Arc<dyn Handler>, stop: CancellationToken) -> Result<()>;

    /// Whether the source answers now.
    async fn ping(&self) -> Result<()> {
        Err(Error::unsupported("a ping"))
    }

    /// Ends connections and tasks.
    async fn close(&self) {}
}

/// Takes the events of an input binding.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// What the app answered. An error means "not processed": the effect is the
    /// binding's rule.
    async fn deliver(&self, event: Event) -> Result<Option<Bytes>>;
}

/// What an input binding read.
#[derive(Clone, Debug, Default)]
pub struct Event {
    pub data: Bytes,
    pub content_type: Option<String>,
    pub metadata: Metadata,
}

/// A resource that operations are invoked on.
#[async_trait]
pub trait OutputBinding: Send + Sync + 'static {
    /// For example `create`, `get`.
    fn operations(&self) -> Vec<String>;

    async fn invoke(&self, req: InvokeRequest) -> Result<InvokeResponse, InvokeError>;

    /// Whether the resource answers now.
    async fn ping(&self) -> Result<()> {
        Err(Error::unsupported("a ping"))
    }

    /// Ends connections and tasks.
    async fn close(&self) {}
}

/// Request metadata names are compared as written, unless the binding says otherwise.
#[derive(Clone, Debug, Default)]
pub struct InvokeRequest {
    pub operation: String,
    pub data: Bytes,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvokeResponse {
    pub data: Option<Bytes>,
    pub content_type: Option<String>,
    pub metadata: Metadata,
}

/// A failed invocation. Some bindings answer beside the error: HTTP gives the
/// body and the headers of an error status.
#[derive(Debug)]
pub struct InvokeError {
    pub error: Error,
    pub response: Option<InvokeResponse>,
}

impl From<Error> for InvokeError {
    fn from(error: Error) -> Self {
        Self {
            error,
            response: None,
        }
    }
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for InvokeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
