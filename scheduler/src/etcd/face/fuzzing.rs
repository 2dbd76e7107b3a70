//! The face without its listener, for the crate `fuzz`.

use std::path::Path;

use service::Tasks;
use tonic::Status;

use super::Face;
use crate::etcd::wire::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use crate::store::Embedded;

/// A tool on the scheduler's own machine.
pub struct Tool(Face);

impl Tool {
    /// Opens a store in the folder, which works until the tasks are told to end.
    pub async fn open(folder: &Path, tasks: &Tasks) -> Result<Self, String> {
        let store = Embedded::open(folder, tasks).await?;
        Ok(Self(Face::new(store, "one", "one:1", String::new())))
    }

    pub async fn read(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        self.0.read(request).await
    }

    pub async fn transact(&self, request: TxnRequest) -> Result<TxnResponse, Status> {
        self.0.transact(request).await
    }
}
