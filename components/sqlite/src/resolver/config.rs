//! The configuration of `nameresolution.sqlite`.

use std::time::Duration;

use component::metadata::Seconds;
use component::{Error, JsonSchema, Result};
use serde::Deserialize;

use crate::config::identifier;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// A path or a `file:` URI that all sidecars of the machine share.
    #[serde(alias = "url")]
    pub connection_string: String,
    /// The table that holds the sidecars.
    pub table_name: String,
    /// The table that holds the schema level and the time of the last cleanup.
    pub metadata_table_name: String,
    /// How long a registration holds; it is renewed a little more often.
    pub update_interval: Seconds,
    /// How often old registrations of others are deleted; zero is never.
    #[serde(alias = "cleanupIntervalInSeconds")]
    pub cleanup_interval: Seconds,
    /// The longest time one operation may take.
    #[serde(alias = "timeoutInSeconds")]
    pub timeout: Seconds,
    /// How long a write waits for another process that holds the file's lock.
    pub busy_timeout: Seconds,
    /// Keep a rollback journal instead of a write-ahead log.
    #[serde(rename = "disableWAL")]
    pub disable_wal: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connection_string: String::new(),
            table_name: "hosts".into(),
            metadata_table_name: "metadata".into(),
            update_interval: Seconds(5 * SECOND),
            cleanup_interval: Seconds(3600 * SECOND),
            timeout: Seconds(SECOND),
            busy_timeout: Seconds(Duration::from_millis(800)),
            disable_wal: false,
        }
    }
}

impl Config {
    pub(super) fn validate(&self) -> Result<()> {
        if self.connection_string.trim().is_empty() {
            return Err(Error::config(
                "missing connection string; set connectionString to a path",
            ));
        }
        identifier("tableName", &self.table_name)?;
        identifier("metadataTableName", &self.metadata_table_name)?;
        if self.timeout.0 < SECOND {
            return Err(Error::config(
                "invalid value for 'timeout': must be at least 1s",
            ));
        }
        if self.update_interval.0.subsec_nanos() != 0 {
            return Err(Error::config(
                "update interval must not contain fractions of seconds",
            ));
        }
        if self.update_interval.0 < self.timeout.0 + SECOND {
            return Err(Error::config(
                "update interval must be at least 1s greater than timeout",
            ));
        }
        Ok(())
    }

    /// Renewing may take as long as the timeout and must be in time even then.
    pub(super) fn renewal(&self) -> Duration {
        let margin = self.timeout.0 + Duration::from_nanos(1);
        self.update_interval.0.saturating_sub(margin)
    }
}
