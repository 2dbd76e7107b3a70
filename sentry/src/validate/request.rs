//! The rules that every request is held to.

use proto::dapr::sentry::v1::SignCertificateRequest;
use security::SpiffeId;
use security::spiffe::trust_domain;

/// The trust domain of a request that names none.
pub(crate) const PUBLIC: &str = "public";
const MOST_OF_AN_ID: usize = 64;

/// Why a caller may not have the identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Denied(pub(crate) String);

/// Checks what a request says about itself, and answers its trust domain.
pub(crate) fn check(request: &SignCertificateRequest) -> Result<String, Denied> {
    let mut faults: Vec<String> = Vec::new();
    let mut fault = |wrong: bool, text: &str| {
        if wrong {
            faults.push(text.to_owned());
        }
    };
    let id = &request.id;
    fault(id.is_empty(), "parameter app-id cannot be empty");
    fault(id.contains('.'), "parameter app-id cannot contain dots");
    fault(
        id.len() > MOST_OF_AN_ID,
        "app ID must be 64 characters or less",
    );
    fault(
        request.certificate_signing_request.is_empty(),
        "CSR is required",
    );
    fault(request.namespace.is_empty(), "namespace is required");
    if !faults.is_empty() {
        return Err(Denied(format!("invalid request: {}", faults.join("\n"))));
    }
    match request.trust_domain.as_str() {
        "" => Ok(PUBLIC.to_owned()),
        named => trust_domain_of(named).map(str::to_owned),
    }
    .map_err(|text| Denied(text.to_owned()))
}

/// The trust domain in a text that is one, or a SPIFFE id of one.
pub(crate) fn trust_domain_of(text: &str) -> Result<&str, &'static str> {
    let name = match text.split_once(":/") {
        None => text,
        Some(("spiffe", rest)) if rest.starts_with('/') => {
            rest[1..].split('/').next().unwrap_or_default()
        }
        Some(_) => return Err("scheme is missing or invalid"),
    };
    match name {
        "" => Err("trust domain is missing"),
        name if trust_domain(name) => Ok(name),
        _ => Err(
            "trust domain characters are limited to lowercase letters, numbers, dots, dashes, \
             and underscores",
        ),
    }
}

/// The identity that the request names.
pub(crate) fn identity(request: &SignCertificateRequest, domain: &str) -> SpiffeId {
    SpiffeId::new(domain, &request.namespace, &request.id)
}

/// Whether an id is one: every part of its path a name and no path itself.
pub fn is_well_formed(id: &SpiffeId) -> bool {
    let name = |part: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        (1..=255).contains(&part.len()) && part.chars().all(fits) && part != "." && part != ".."
    };
    trust_domain(&id.trust_domain) && name(&id.namespace) && name(&id.app_id)
}
