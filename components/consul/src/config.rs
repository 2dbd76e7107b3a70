//! The configuration, with the names of Consul's own client library.

use std::collections::BTreeMap;
use std::time::Duration;

use component::JsonSchema;
use component::metadata::{Seconds, Sensitive};
use serde::de::value::StringDeserializer;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// How the agent is called; what is not given comes from the environment
    /// variables `CONSUL_*`.
    pub client: ClientConfig,
    /// Health checks of the registration, in the form of the agent's API.
    pub checks: Option<Vec<Map<String, Value>>>,
    /// Tags of the registration.
    pub tags: Vec<String>,
    /// Metadata of the registration.
    pub meta: BTreeMap<String, String>,
    /// How instances are asked for; when not given, `useCache` alone is true.
    pub query_options: Option<QueryOptions>,
    /// The whole registration, in the form of the agent's API.
    pub advanced_registration: Option<Map<String, Value>>,
    /// The metadata key of an instance that holds the internal port.
    pub dapr_port_meta_key: String,
    /// Whether this sidecar registers its app with the agent.
    pub self_register: bool,
    /// Whether it takes the registration back when it ends.
    pub self_deregister: bool,
    /// Whether answers are kept and watched for changes.
    pub use_cache: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            client: ClientConfig::default(),
            checks: None,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            query_options: None,
            advanced_registration: None,
            dapr_port_meta_key: "DAPR_PORT".into(),
            self_register: false,
            self_deregister: false,
            use_cache: false,
        }
    }
}

#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClientConfig {
    /// `host:port`, with `http://` or `https://` in front if wanted.
    #[serde(rename = "Address")]
    pub address: String,
    /// `http` or `https`.
    #[serde(rename = "Scheme")]
    pub scheme: String,
    #[serde(rename = "Datacenter")]
    pub datacenter: String,
    #[serde(rename = "HTTPAuth")]
    pub http_auth: Option<HttpAuth>,
    /// How long a blocking query may wait, in nanoseconds.
    #[serde(rename = "WaitTime")]
    pub wait_time: Nanos,
    #[serde(rename = "Token")]
    pub token: Sensitive,
    /// A file that holds the token.
    #[serde(rename = "TokenFile")]
    pub token_file: String,
    #[serde(rename = "TLSConfig")]
    pub tls: TlsConfig,
}

#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpAuth {
    #[serde(rename = "Username")]
    pub username: String,
    #[serde(rename = "Password")]
    pub password: Sensitive,
}

#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TlsConfig {
    /// The name that the agent's certificate must have.
    #[serde(rename = "Address")]
    pub address: String,
    #[serde(rename = "CAFile")]
    pub ca_file: String,
    #[serde(rename = "CAPath")]
    pub ca_path: String,
    #[serde(rename = "CertFile")]
    pub cert_file: String,
    #[serde(rename = "KeyFile")]
    pub key_file: String,
    #[serde(rename = "InsecureSkipVerify")]
    pub insecure_skip_verify: bool,
}

/// Without the namespace and the partition, which upstream leaves out too.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct QueryOptions {
    pub datacenter: String,
    pub allow_stale: bool,
    pub require_consistent: bool,
    pub use_cache: bool,
    /// In nanoseconds, as are the other times.
    pub max_age: Nanos,
    pub stale_if_error: Nanos,
    pub wait_index: u64,
    pub wait_hash: String,
    pub wait_time: Nanos,
    pub token: Sensitive,
    pub near: String,
    pub node_meta: BTreeMap<String, String>,
    pub relay_factor: u8,
    pub local_only: bool,
    pub connect: bool,
    pub filter: String,
    pub merge_central_config: bool,
}

/// Whole nanoseconds, as Go writes a duration to JSON, or a text such as `10s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct Nanos(#[schemars(with = "u64")] pub Duration);

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Ok(nanos) = text.parse() {
            return Ok(Self(Duration::from_nanos(nanos)));
        }
        let text = StringDeserializer::<D::Error>::new(text);
        Seconds::deserialize(text).map(|seconds| Self(seconds.0))
    }
}
