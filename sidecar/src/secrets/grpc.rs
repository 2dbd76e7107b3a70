//! Secrets over gRPC.

use proto::dapr::runtime::v1 as rt;
use tonic::Status;

use super::Secrets;

pub(crate) async fn get(
    secrets: &Secrets,
    req: rt::GetSecretRequest,
) -> Result<rt::GetSecretResponse, Status> {
    let secret = secrets
        .get(&req.store_name, &req.key, &req.metadata)
        .await?;
    Ok(rt::GetSecretResponse { data: secret.0 })
}

pub(crate) async fn bulk(
    secrets: &Secrets,
    req: rt::GetBulkSecretRequest,
) -> Result<rt::GetBulkSecretResponse, Status> {
    let all = secrets.bulk_get(&req.store_name, &req.metadata).await?;
    let data = all
        .into_iter()
        .map(|(name, secret)| (name, rt::SecretResponse { secrets: secret.0 }))
        .collect();
    Ok(rt::GetBulkSecretResponse { data })
}
