//! `Debug` of the messages that carry secrets: it names the harmless fields only.
//!
//! The same messages are listed in build.rs, where their derived `Debug` is
//! turned off.

use std::fmt;

use prost::Name;

use crate::dapr::{common, components, internals, operator, runtime, sentry};

macro_rules! redact {
    ($($message:path { $($shown:ident),* })*) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(<$message as Name>::NAME)
                    $(.field(stringify!($shown).trim_start_matches("r#"), &self.$shown))*
                    .finish_non_exhaustive()
            }
        }
    )*};
}

redact! {
    // Chunks of bodies and of what is to be encrypted.
    common::v1::StreamPayload { seq }

    components::v1::GetSecretResponse {}
    components::v1::SecretResponse {}
    // Properties of a component, with secret references resolved.
    components::v1::MetadataRequest {}

    // Values of HTTP headers, among them tokens.
    internals::v1::ListStringValue {}

    // Resources as JSON, with secret references resolved.
    operator::v1::ComponentUpdateEvent { r#type }
    operator::v1::ConfigurationUpdateEvent { r#type }
    operator::v1::GetConfigurationResponse {}
    operator::v1::GetHttpEndpointResponse {}
    operator::v1::HttpEndpointUpdateEvent { r#type }
    operator::v1::ListComponentResponse {}
    operator::v1::ListHttpEndpointsResponse {}
    operator::v1::ListMcpServersResponse {}
    operator::v1::McpServerUpdateEvent { r#type }

    runtime::v1::GetSecretResponse {}
    runtime::v1::SecretResponse {}
    runtime::v1::SubtleDecryptResponse {}
    runtime::v1::SubtleEncryptRequest { component_name, algorithm, key_name }
    runtime::v1::SubtleUnwrapKeyResponse {}
    runtime::v1::SubtleWrapKeyRequest { component_name, algorithm, key_name }

    sentry::v1::SignCertificateRequest { id, trust_domain, namespace, token_validator, jwt_audiences }
    sentry::v1::SignCertificateResponse { valid_until }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(message: &impl fmt::Debug, expected: &str) {
        assert_eq!(format!("{message:?}"), expected);
    }

    #[test]
    fn debug_hides_secrets_and_keeps_the_rest() {
        let secret = || BTreeMap::from([("password".to_owned(), "hunter2".to_owned())]);
        check(
            &runtime::v1::GetBulkSecretResponse {
                data: BTreeMap::from([(
                    "db".to_owned(),
                    runtime::v1::SecretResponse { secrets: secret() },
                )]),
            },
            r#"GetBulkSecretResponse { data: {"db": SecretResponse { .. }} }"#,
        );
        check(
            &components::v1::InitRequest {
                metadata: Some(components::v1::MetadataRequest {
                    properties: secret(),
                }),
            },
            "InitRequest { metadata: Some(MetadataRequest { .. }) }",
        );
        check(
            &operator::v1::ComponentUpdateEvent {
                component: "hunter2".into(),
                r#type: 1,
            },
            "ComponentUpdateEvent { type: 1, .. }",
        );
        check(
            &sentry::v1::SignCertificateRequest {
                id: "app".to_owned(),
                token: "hunter2".to_owned(),
                namespace: "default".to_owned(),
                ..Default::default()
            },
            r#"SignCertificateRequest { id: "app", trust_domain: "", namespace: "default", token_validator: 0, jwt_audiences: [], .. }"#,
        );
    }
}
