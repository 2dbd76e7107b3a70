//! HTTPEndpoint v1alpha1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::meta::{Auth, object};
use crate::{NameValue, TlsDocument};

object!(
    /// A server outside Dapr that can be invoked by name.
    HttpEndpoint, "HTTPEndpoint", "v1alpha1", HttpEndpointSpec, scopes: true, auth: Auth
);

/// Where the server is and what is sent with each request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["baseUrl"]))]
pub struct HttpEndpointSpec {
    pub base_url: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<NameValue>,
    #[serde(rename = "clientTLS", skip_serializing_if = "Option::is_none")]
    pub client_tls: Option<ClientTls>,
}

/// TLS client settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ClientTls {
    #[serde(rename = "rootCA", skip_serializing_if = "Option::is_none")]
    pub root_ca: Option<TlsDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<TlsDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<TlsDocument>,
    /// `Never`, `OnceAsClient` or `FreelyAsClient`; empty means `Never`.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["Never", "OnceAsClient", "FreelyAsClient"], "default" = "Never"))]
    pub renegotiation: String,
}

impl HttpEndpoint {
    /// The name of the secret store that the endpoint refers to, if it says one.
    pub fn secret_store(&self) -> Option<&str> {
        self.auth
            .as_ref()
            .map(|a| a.secret_store.as_str())
            .filter(|s| !s.is_empty())
    }
}
