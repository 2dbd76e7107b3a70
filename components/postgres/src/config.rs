//! The metadata of the PostgreSQL components.

use std::time::Duration;

use component::metadata::{Seconds, Sensitive};
use component::{Error, JsonSchema, Result};
use serde::Deserialize;

/// Connection properties that every PostgreSQL component has.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// A URL (`postgres://user:password@host:port/database`) or `key=value` pairs.
    #[serde(alias = "url")]
    #[schemars(extend("aliases" = ["url"]))]
    pub connection_string: Sensitive,
    /// Host name, in place of the connection string's.
    pub host: Option<String>,
    /// Address of the host, in place of looking it up.
    pub hostaddr: Option<String>,
    /// Port, in place of the connection string's.
    pub port: Option<u16>,
    /// Database, in place of the connection string's.
    pub database: Option<String>,
    /// User, in place of the connection string's.
    pub user: Option<String>,
    /// Password, in place of the connection string's.
    pub password: Option<Sensitive>,
    /// File of the authorities to trust (PEM), in place of the connection string's `sslrootcert`.
    pub ssl_root_cert: Option<String>,
    /// Most connections of the pool when above 1; otherwise one per processor, and at least 4.
    pub max_conns: Option<i64>,
    /// How long an unused connection is kept, 30 minutes by default.
    pub connection_max_idle_time: Option<Seconds>,
    /// `cache_statement` (the default) keeps statements prepared in the server;
    /// `cache_describe`, `describe_exec`, `exec` and `simple_protocol` keep nothing
    /// there, which poolers in transaction mode need.
    pub query_exec_mode: Option<String>,
    /// Not supported: sign in with Microsoft Entra ID.
    #[serde(rename = "useAzureAD")]
    pub use_azure_ad: bool,
    /// Not supported: sign in with AWS IAM.
    #[serde(rename = "useAWSIAM")]
    pub use_aws_iam: bool,
}

/// Metadata of `state.postgresql` version 1 besides the connection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigV1 {
    /// The table that holds the state, with its schema if it has one.
    pub table_name: String,
    /// The table that holds the schema level and the time of the last cleanup.
    pub metadata_table_name: String,
    /// The longest time one operation may take, at least one second.
    #[serde(alias = "timeoutInSeconds")]
    #[schemars(extend("aliases" = ["timeoutInSeconds"]))]
    pub timeout: Seconds,
    /// How often expired rows are deleted; zero is never.
    #[serde(alias = "cleanupIntervalInSeconds")]
    #[schemars(extend("aliases" = ["cleanupIntervalInSeconds"]))]
    pub cleanup_interval: Option<Seconds>,
}

/// Metadata of `state.postgresql` version 2 besides the connection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigV2 {
    /// Put in front of the table's name `state`; may hold a schema, such as `app.`.
    pub table_prefix: String,
    /// The table that holds the schema level and the time of the last cleanup.
    pub metadata_table_name: String,
    /// The longest time one operation may take, at least one second.
    #[serde(alias = "timeoutInSeconds")]
    #[schemars(extend("aliases" = ["timeoutInSeconds"]))]
    pub timeout: Seconds,
    /// How often expired rows are deleted; zero is never.
    #[serde(alias = "cleanupIntervalInSeconds")]
    #[schemars(extend("aliases" = ["cleanupIntervalInSeconds"]))]
    pub cleanup_interval: Option<Seconds>,
}

const TIMEOUT: Seconds = Seconds(Duration::from_secs(20));
const CLEANUP: Duration = Duration::from_secs(3600);
const METADATA: &str = "dapr_metadata";

impl Default for ConfigV1 {
    fn default() -> Self {
        Self {
            table_name: "state".into(),
            metadata_table_name: METADATA.into(),
            timeout: TIMEOUT,
            cleanup_interval: None,
        }
    }
}

impl Default for ConfigV2 {
    fn default() -> Self {
        Self {
            table_prefix: String::new(),
            metadata_table_name: METADATA.into(),
            timeout: TIMEOUT,
            cleanup_interval: None,
        }
    }
}

/// What a store needs of either version's metadata.
pub(crate) struct Tables {
    pub(crate) state: String,
    pub(crate) metadata: String,
    /// Distinguishes the rows of the metadata table.
    pub(crate) suffix: String,
    pub(crate) timeout: Duration,
    /// Zero is never.
    pub(crate) cleanup: Duration,
}

impl ConfigV1 {
    pub(crate) fn tables(&self) -> Result<Tables> {
        tables(
            &self.table_name,
            &self.metadata_table_name,
            String::new(),
            self.timeout,
            self.cleanup_interval,
        )
    }
}

impl ConfigV2 {
    pub(crate) fn tables(&self) -> Result<Tables> {
        let (name, suffix) = (
            format!("{}state", self.table_prefix),
            format!("-state-v2-{}", self.table_prefix),
        );
        tables(
            &name,
            &self.metadata_table_name,
            suffix,
            self.timeout,
            self.cleanup_interval,
        )
    }
}

fn tables(
    state: &str,
    metadata: &str,
    suffix: String,
    timeout: Seconds,
    cleanup: Option<Seconds>,
) -> Result<Tables> {
    if timeout.0 < Duration::from_secs(1) {
        return Err(Error::config(
            "invalid value for 'timeout': must be greater than 1s",
        ));
    }
    for name in [state, metadata] {
        // Names become part of statements.
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_alphanumeric() || c == '_' || c == '$')
        };
        if name.split('.').count() > 2 || !name.split('.').all(plain) {
            let text = format!(
                "table name '{name}' is not valid; use letters, digits and '_', with a schema and '.' before them if needed"
            );
            return Err(Error::config(text));
        }
    }
    Ok(Tables {
        state: state.into(),
        metadata: metadata.into(),
        suffix,
        timeout: timeout.0,
        cleanup: cleanup.map_or(CLEANUP, |c| c.0),
    })
}
