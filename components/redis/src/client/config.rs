//! The connection properties that every Redis component has.

use component::metadata::{Millis, Sensitive, StrictBool};
use schemars::JsonSchema;
use serde::Deserialize;

/// Connection properties; a component joins them with its own. Booleans are strict
/// and bare numbers of durations are milliseconds.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// Address `host:port`, or several separated by commas for a cluster or for sentinels.
    pub redis_host: String,
    /// Port of the addresses that name none, 6379 by default.
    pub redis_port: Option<String>,
    /// User name of an access control list; empty for the default user.
    pub redis_username: Option<String>,
    /// Password of the user.
    pub redis_password: Option<Sensitive>,
    /// Number of the database, 0 by default. A cluster has only one.
    #[serde(rename = "redisDB")]
    pub redis_db: Option<i64>,
    /// `node` (the default) or `cluster`.
    pub redis_type: Option<String>,
    /// The addresses are those of sentinels, which name the current master.
    pub failover: Option<StrictBool>,
    /// Name of the master that the sentinels watch.
    pub sentinel_master_name: Option<String>,
    /// User name for the sentinels themselves.
    pub sentinel_username: Option<String>,
    /// Password for the sentinels themselves.
    pub sentinel_password: Option<Sensitive>,
    /// Connect with TLS.
    #[serde(rename = "enableTLS")]
    pub enable_tls: Option<StrictBool>,
    /// Accept any certificate of the server. For tests only.
    #[serde(rename = "insecureSkipTLSVerify")]
    pub insecure_skip_tls_verify: Option<StrictBool>,
    /// Client certificate, PEM text; needs `clientKey`.
    pub client_cert: Option<String>,
    /// Key of the client certificate, PEM text.
    pub client_key: Option<Sensitive>,
    /// Not supported: sign in with Microsoft Entra ID.
    #[serde(rename = "useEntraID", alias = "useAzureAD")]
    pub use_entra_id: Option<StrictBool>,
    /// How often a call is tried again when there is no connection; -1 for never.
    pub redis_max_retries: Option<i64>,
    /// Old name of `redisMaxRetries`.
    pub max_retries: Option<String>,
    /// Wait before the first new try; it doubles with each further one.
    pub redis_min_retry_interval: Option<Millis>,
    /// Longest wait between two tries, 512ms by default.
    pub redis_max_retry_interval: Option<Millis>,
    /// Old form of `redisMinRetryInterval`, a number of nanoseconds.
    pub max_retry_backoff: Option<String>,
    /// Longest time for a new connection, 5s by default.
    pub dial_timeout: Option<Millis>,
    /// Longest time for an answer, 3s by default; -1 for no limit.
    pub read_timeout: Option<Millis>,
    /// Longest time for sending, 3s by default; the longer of this and `readTimeout` counts.
    pub write_timeout: Option<Millis>,
    /// Accepted without effect: all calls share one connection.
    pub pool_size: Option<i64>,
    /// Accepted without effect: all calls share one connection.
    pub min_idle_conns: Option<i64>,
    /// Accepted without effect: all calls share one connection.
    pub pool_timeout: Option<Millis>,
    /// Accepted without effect: the connection stays open.
    pub max_conn_age: Option<Millis>,
    /// Accepted without effect: the connection stays open.
    pub idle_timeout: Option<Millis>,
    /// Accepted without effect: the connection stays open.
    pub idle_check_frequency: Option<Millis>,
    /// Accepted without effect by state, lock and configuration stores.
    pub redeliver_interval: Option<Millis>,
    /// Accepted without effect by state, lock and configuration stores.
    pub processing_timeout: Option<Millis>,
}
