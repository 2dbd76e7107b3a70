//! Who may have which identity: the validators, and which of them answers.

pub(crate) mod jwks;
pub(crate) mod kubernetes;
pub(crate) mod request;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use proto::dapr::sentry::v1::SignCertificateRequest;
use proto::dapr::sentry::v1::sign_certificate_request::TokenValidator;
use security::SpiffeId;

use jwks::JwksValidator;
use kubernetes::KubernetesValidator;
use request::Denied;

/// A way to prove who one is.
#[derive(Clone, Debug)]
pub(crate) enum Validator {
    /// Whoever asks is believed.
    Insecure,
    /// A token that a key of a published set signed.
    Jwks(Arc<JwksValidator>),
    /// A token of a pod's service account.
    Kubernetes(Arc<KubernetesValidator>),
}

impl Validator {
    fn kind(&self) -> TokenValidator {
        match self {
            Self::Insecure => TokenValidator::Insecure,
            Self::Jwks(_) => TokenValidator::Jwks,
            Self::Kubernetes(_) => TokenValidator::Kubernetes,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Insecure => "insecure",
            Self::Jwks(_) => "jwks",
            Self::Kubernetes(_) => "kubernetes",
        }
    }

    /// The identity that the request may have.
    pub(crate) async fn check(
        &self,
        request: &SignCertificateRequest,
        now: i64,
    ) -> Result<SpiffeId, Denied> {
        let domain = request::check(request)?;
        match self {
            Self::Insecure => Ok(request::identity(request, &domain)),
            Self::Jwks(validator) => validator.check(request, &domain, now),
            // The pod decides about the trust domain.
            Self::Kubernetes(validator) => validator.check(request).await,
        }
    }
}

/// The validators of this Sentry.
#[derive(Clone)]
pub(crate) struct Validators {
    enabled: Vec<Validator>,
    /// The one for requests that name none.
    default: Option<TokenValidator>,
}

/// Why no validator was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unselected {
    #[error("a validator name must be specified in this environment")]
    Unnamed,
    #[error("the requested validator is not enabled")]
    NotEnabled,
}

impl Validators {
    /// Standalone mode: the configured ones, or else everybody is believed.
    pub(crate) fn standalone(configured: Vec<Validator>) -> Self {
        if configured.is_empty() {
            return Self {
                enabled: vec![Validator::Insecure],
                default: Some(TokenValidator::Insecure),
            };
        }
        Self {
            enabled: configured,
            default: None,
        }
    }

    /// In a cluster: its own validator, and those configured beside it.
    pub(crate) fn kubernetes(own: Arc<KubernetesValidator>, configured: Vec<Validator>) -> Self {
        let mut enabled = vec![Validator::Kubernetes(own)];
        enabled.extend(configured);
        Self {
            enabled,
            default: Some(TokenValidator::Kubernetes),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Validator> {
        self.enabled.iter()
    }

    /// The validator that a request asks for.
    pub(crate) fn select(&self, wanted: TokenValidator) -> Result<&Validator, Unselected> {
        let wanted = match wanted {
            TokenValidator::Unknown => self.default.ok_or(Unselected::Unnamed)?,
            named => named,
        };
        let found = self.enabled.iter().find(|v| v.kind() == wanted);
        found.ok_or(Unselected::NotEnabled)
    }
}
