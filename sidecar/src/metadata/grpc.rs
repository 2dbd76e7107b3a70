//! Metadata over gRPC.

use proto::dapr::runtime::v1 as rt;

use super::Metadata;

pub(crate) fn get(metadata: &Metadata) -> rt::GetMetadataResponse {
    metadata.get()
}
