//! Deleting jobs: one, or all that have something in common.

use proto::dapr::scheduler::v1::{
    DeleteByMetadataRequest, DeleteByNamePrefixRequest, DeleteJobRequest,
};
use tonic::{Extensions, Status};

use super::schedule::key;
use super::{SCOPE, Service};
use crate::records::target;
use crate::store::Command;

impl Service {
    pub(super) async fn delete(
        &self,
        extensions: &Extensions,
        request: DeleteJobRequest,
    ) -> Result<(), Status> {
        let metadata = self.authorized(extensions, request.metadata)?;
        let name = &request.name;
        let key = key(&target::prefix(&metadata)?, name);
        let deleted = self.store.apply(Command::Delete { key }).await;
        deleted
            .inspect_err(|e| tracing::error!(target: SCOPE, "error deleting job {name}: {e}"))?;
        let kind = target::label(Some(&metadata));
        self.metrics.deleted.with(&[kind]).inc();
        Ok(())
    }

    pub(super) async fn delete_by_target(
        &self,
        extensions: &Extensions,
        request: DeleteByMetadataRequest,
    ) -> Result<(), Status> {
        let metadata = self.authorized(extensions, request.metadata)?;
        let begins = request.id_prefix_match.unwrap_or_default();
        let prefix = target::prefix_of_all(&metadata, begins)?;
        self.delete_all(prefix).await
    }

    pub(super) async fn delete_by_prefix(
        &self,
        extensions: &Extensions,
        request: DeleteByNamePrefixRequest,
    ) -> Result<(), Status> {
        let metadata = self.authorized(extensions, request.metadata)?;
        let prefix = target::prefix(&metadata)? + &request.name_prefix;
        self.delete_all(prefix).await
    }

    async fn delete_all(&self, prefix: String) -> Result<(), Status> {
        let deleted = self.store.apply(Command::DeletePrefix { prefix }).await;
        deleted.inspect_err(|e| {
            tracing::error!(target: SCOPE, "Failed to delete cron jobs for metadata: {e}");
        })?;
        self.metrics.bulk_deleted.inc();
        Ok(())
    }
}
