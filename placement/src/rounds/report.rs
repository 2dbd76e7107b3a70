//! What a sidecar reports about itself.

use proto::dapr::placement::v1::Host;

/// A report as it came, with its actor types sorted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report(Host);

impl Report {
    pub(crate) fn new(mut host: Host) -> Self {
        host.entities.sort_unstable();
        Self(host)
    }

    pub(crate) fn host(&self) -> &Host {
        &self.0
    }

    /// Whether it hosts no actors.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.entities.is_empty()
    }

    /// Whether it asks for the same place in the table; a new address does not
    /// count, as in upstream's service.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        a.entities == b.entities && a.id == b.id && a.namespace == b.namespace
    }
}
