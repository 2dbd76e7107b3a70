//! Whether a message may be believed: upstream's checks in upstream's order,
//! then the bounds that are ours.

use proto::dapr::placement::v1::{Host, HostOperation};
use security::SpiffeId;
use tonic::Status;

/// The most actor types that one sidecar reports.
const MOST_TYPES: usize = 4096;
/// The longest actor type, name, id or namespace, in bytes.
const LONGEST: usize = 1024;

/// Checks a message of a client; `caller` is what its certificate says, where
/// certificates are asked for.
pub(crate) fn check(host: &Host, caller: Option<&SpiffeId>) -> Result<(), Status> {
    let Host { id, namespace, .. } = host;
    if host.operation == HostOperation::Unknown as i32 && host.version.is_some() {
        return Err(Status::invalid_argument(
            "both operation and version must be set or both must be unset",
        ));
    }
    if id.is_empty() || namespace.is_empty() {
        return Err(Status::invalid_argument(
            "host ID and namespace must be provided",
        ));
    }
    if let Some(SpiffeId {
        app_id,
        namespace: ns,
        ..
    }) = caller
    {
        if app_id != id {
            return Err(Status::permission_denied(format!(
                "provided app ID {id} doesn't match the one in the SPIFFE ID ({app_id})"
            )));
        }
        if ns != namespace {
            return Err(Status::permission_denied(format!(
                "provided client namespace {namespace} doesn't match the one in the SPIFFE ID ({ns})"
            )));
        }
    }
    if let Some(entity) = host.entities.iter().find(|e| !is_allowed(e, namespace, id)) {
        return Err(Status::permission_denied(format!(
            "entity {entity} is not allowed for app ID {id} in namespace {namespace}"
        )));
    }
    bounded(host)
}

/// The types of the workflow engine, `dapr.internal.NAMESPACE.APP.KIND`, are
/// their own app's. The split is at every dot, also at those of an app id.
fn is_allowed(entity: &str, namespace: &str, id: &str) -> bool {
    let mut parts = entity.split('.');
    if (parts.next(), parts.next()) != (Some("dapr"), Some("internal")) {
        return true;
    }
    (parts.next(), parts.next()) == (Some(namespace), Some(id))
}

// `pod` is deprecated, and yet somebody may fill it.
#[allow(deprecated)]
fn bounded(host: &Host) -> Result<(), Status> {
    let texts = [&host.name, &host.id, &host.namespace, &host.pod];
    let mut texts = texts.into_iter().chain(&host.entities);
    if host.entities.len() > MOST_TYPES || texts.any(|text| text.len() > LONGEST) {
        return Err(Status::resource_exhausted(format!(
            "at most {MOST_TYPES} actor types, and texts of at most {LONGEST} bytes can be reported"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn host() -> Host {
        Host {
            name: "10.0.0.1:50002".into(),
            id: "cart".into(),
            namespace: "shop".into(),
            operation: HostOperation::Report as i32,
            ..Host::default()
        }
    }

    #[test]
    fn refusals_have_upstreams_codes_and_texts() {
        type Change = fn(&mut Host);
        let refused: [(Change, Code, &str); 10] = [
            (
                |h| (h.operation, h.version) = (0, Some(0)),
                Code::InvalidArgument,
                "both operation and version must be set or both must be unset",
            ),
            (
                |h| h.id.clear(),
                Code::InvalidArgument,
                "host ID and namespace must be provided",
            ),
            (
                |h| h.namespace.clear(),
                Code::InvalidArgument,
                "host ID and namespace must be provided",
            ),
            (
                |h| h.id = "other".into(),
                Code::PermissionDenied,
                "provided app ID other doesn't match the one in the SPIFFE ID (cart)",
            ),
            (
                |h| h.namespace = "other".into(),
                Code::PermissionDenied,
                "provided client namespace other doesn't match the one in the SPIFFE ID (shop)",
            ),
            (
                |h| h.entities = vec!["a".into(), "dapr.internal.shop".into()],
                Code::PermissionDenied,
                "entity dapr.internal.shop is not allowed for app ID cart in namespace shop",
            ),
            (
                |h| h.entities = vec!["dapr.internal.bank.cart.workflow".into()],
                Code::PermissionDenied,
                "entity dapr.internal.bank.cart.workflow is not allowed for app ID cart in namespace shop",
            ),
            (
                |h| h.entities = vec!["dapr.internal.shop.till.workflow".into()],
                Code::PermissionDenied,
                "entity dapr.internal.shop.till.workflow is not allowed for app ID cart in namespace shop",
            ),
            (
                |h| h.entities = vec!["a".into(); MOST_TYPES + 1],
                Code::ResourceExhausted,
                "at most 4096 actor types, and texts of at most 1024 bytes can be reported",
            ),
            (
                |h| h.name = "n".repeat(LONGEST + 1),
                Code::ResourceExhausted,
                "at most 4096 actor types, and texts of at most 1024 bytes can be reported",
            ),
        ];
        let caller = SpiffeId::new("public", "shop", "cart");
        for (change, code, text) in refused {
            let mut host = host();
            change(&mut host);
            let status = check(&host, Some(&caller)).unwrap_err();
            assert_eq!((status.code(), status.message()), (code, text));
        }
    }

    #[test]
    fn what_keeps_the_rules_passes() {
        let caller = SpiffeId::new("elsewhere", "shop", "cart");
        for entity in [
            "cart",
            "dapr",
            "dapr.external.x",
            "dapr.internal.shop.cart",
            "dapr.internal.shop.cart.workflow",
            "dapr.internal.shop.cart.a.b.c",
        ] {
            let mut host = host();
            host.entities.push(entity.into());
            assert!(check(&host, Some(&caller)).is_ok(), "{entity}");
            assert!(check(&host, None).is_ok(), "{entity}");
        }
        let mut heartbeat = host();
        heartbeat.operation = HostOperation::Unknown as i32;
        assert!(check(&heartbeat, None).is_ok());
    }

    #[test]
    fn an_app_id_with_a_dot_hosts_no_workflows() {
        let mut host = host();
        host.id = "my.cart".into();
        host.entities = vec!["dapr.internal.shop.my.cart.workflow".into()];
        assert!(check(&host, None).is_err());
    }
}
