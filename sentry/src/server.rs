//! The gRPC service: a request is validated, then signed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prost_types::Timestamp;
use proto::dapr::sentry::v1::ca_server::{Ca, CaServer};
use proto::dapr::sentry::v1::sign_certificate_request::TokenValidator;
use proto::dapr::sentry::v1::{SignCertificateRequest, SignCertificateResponse};
use security::SpiffeId;
use service::Tasks;
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status};

use crate::authority::Authority;
use crate::clock;
use crate::keys::PublicKey;
use crate::metrics::Metrics;
use crate::validate::request::is_well_formed;
use crate::validate::{Unselected, Validators};
use crate::x509::csr;

const SCOPE: &str = "dapr.sentry.server";
/// The longest message: request, token and audiences.
const MOST_BYTES: usize = 256 << 10;
const MOST_AUDIENCES: usize = 64;
const LONGEST_AUDIENCE: usize = 1024;
/// How long a request waits for its turn; clients give up after three seconds.
const TURN: Duration = Duration::from_secs(3);

/// Serves `dapr.proto.sentry.v1.CA`.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) authority: Arc<Authority>,
    pub(crate) validators: Validators,
    pub(crate) metrics: Metrics,
    /// Turns for signatures that are slow: RSA, and tokens.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) tasks: Tasks,
}

impl Service {
    /// The service with its limits.
    pub(crate) fn into_server(self) -> CaServer<Self> {
        CaServer::new(self).max_decoding_message_size(MOST_BYTES)
    }

    async fn sign(
        &self,
        request: SignCertificateRequest,
    ) -> Result<SignCertificateResponse, Status> {
        let now = clock::now();
        let wanted = request.token_validator();
        // A number that no validator has is not "none given".
        let wanted = match (wanted, request.token_validator) {
            (TokenValidator::Unknown, number) if number != 0 => {
                return Err(Status::invalid_argument(Unselected::NotEnabled.to_string()));
            }
            (wanted, _) => wanted,
        };
        let validator = self.validators.select(wanted);
        let validator = validator.map_err(|e| Status::invalid_argument(e.to_string()))?;
        check_audiences(&request.jwt_audiences)?;
        let id = validator.check(&request, now).await.map_err(|e| {
            let (ns, id) = (&request.namespace, &request.id);
            tracing::debug!(target: SCOPE, "Failed to validate request for {ns}/{id}: {e}");
            Status::permission_denied(e.to_string())
        })?;
        let answer = if self.authority.is_slow() {
            self.sign_in_turn(request, id.clone(), now).await
        } else {
            sign(&self.authority, &request, &id, now)
        };
        match &answer {
            Ok(_) => {
                self.metrics.signed.inc();
                let (ns, id) = (&id.namespace, &id.app_id);
                tracing::debug!(target: SCOPE, "Successfully signed certificate for {ns}/{id}");
            }
            Err(e) if e.code() == Code::Internal => {
                self.metrics.failed.inc();
                tracing::error!(target: SCOPE, "Error signing identity: {}", e.message());
            }
            Err(_) => {}
        }
        answer
    }

    /// Slow signatures get threads of their own, as many as there are processors.
    async fn sign_in_turn(
        &self,
        request: SignCertificateRequest,
        id: SpiffeId,
        now: i64,
    ) -> Result<SignCertificateResponse, Status> {
        let turn = tokio::time::timeout(TURN, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Status::unavailable(
                "too many certificates are being signed; try again",
            ));
        };
        let authority = self.authority.clone();
        let signing = self.tasks.spawn_blocking("signature", move || {
            let _turn = turn;
            sign(&authority, &request, &id, now)
        });
        let lost = |_| Status::internal("failed to sign certificate");
        signing.await.map_err(lost)?
    }
}

#[tonic::async_trait]
impl Ca for Service {
    async fn sign_certificate(
        &self,
        request: Request<SignCertificateRequest>,
    ) -> Result<Response<SignCertificateResponse>, Status> {
        self.metrics.received.inc();
        self.sign(request.into_inner()).await.map(Response::new)
    }
}

fn check_audiences(audiences: &[String]) -> Result<(), Status> {
    if audiences.len() > MOST_AUDIENCES || audiences.iter().any(|a| a.len() > LONGEST_AUDIENCE) {
        return Err(Status::invalid_argument(format!(
            "at most {MOST_AUDIENCES} JWT audiences of {LONGEST_AUDIENCE} bytes can be asked for"
        )));
    }
    Ok(())
}

/// Checks the certificate request and answers it; no waiting here.
fn sign(
    authority: &Authority,
    request: &SignCertificateRequest,
    id: &SpiffeId,
    now: i64,
) -> Result<SignCertificateResponse, Status> {
    let key = csr::public_key(&request.certificate_signing_request)
        .map_err(|e| Status::invalid_argument(e.to_string()))?;
    respond(authority, &key, &request.jwt_audiences, id, now)
}

fn respond(
    authority: &Authority,
    key: &PublicKey,
    audiences: &[String],
    id: &SpiffeId,
    now: i64,
) -> Result<SignCertificateResponse, Status> {
    let failed = || Status::internal("failed to sign certificate");
    if !is_well_formed(id) {
        return Err(failed());
    }
    let leaf = authority.sign(key, id, now).ok_or_else(failed)?;
    let mut response = SignCertificateResponse {
        workload_certificate: authority.chain_of(&leaf),
        trust_chain_certificates: vec![authority.anchors()],
        valid_until: Some(Timestamp {
            seconds: leaf.not_after,
            nanos: 0,
        }),
        ..SignCertificateResponse::default()
    };
    if let Some(tokens) = authority.tokens() {
        let mut all = vec![id.trust_domain.as_str()];
        all.extend(audiences.iter().map(String::as_str));
        let token = tokens.sign(id, &all, now);
        response.jwt =
            Some(token.map_err(|e| Status::internal(format!("failed to generate JWT: {e}")))?);
        let mut each = BTreeMap::new();
        for audience in all {
            let token = tokens.sign(id, &[audience], now).map_err(|e| {
                Status::internal(format!(
                    "failed to generate JWT for audience {audience}: {e}"
                ))
            })?;
            each.insert(audience.to_owned(), token);
        }
        response.per_audience_jwts = each;
    }
    Ok(response)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
