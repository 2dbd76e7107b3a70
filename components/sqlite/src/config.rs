//! The metadata of `state.sqlite`.

use std::time::Duration;

use component::metadata::Seconds;
use component::{Error, JsonSchema, Result};
use serde::Deserialize;

/// Metadata of `state.sqlite`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// A path, a `file:` URI or `:memory:`.
    #[serde(alias = "url")]
    pub connection_string: String,
    /// The table that holds the state.
    pub table_name: String,
    /// The table that holds the schema level and the time of the last cleanup.
    pub metadata_table_name: String,
    /// The longest time one operation may take, at least one second.
    #[serde(alias = "timeoutInSeconds")]
    pub timeout: Seconds,
    /// How often expired rows are deleted; zero is never.
    #[serde(alias = "cleanupIntervalInSeconds")]
    pub cleanup_interval: Seconds,
    /// How long a write waits for another process that holds the file's lock.
    pub busy_timeout: Seconds,
    /// Keep a rollback journal instead of a write-ahead log, for file systems
    /// without shared memory.
    #[serde(rename = "disableWAL")]
    pub disable_wal: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connection_string: String::new(),
            table_name: "state".into(),
            metadata_table_name: "metadata".into(),
            timeout: Seconds(Duration::from_secs(20)),
            cleanup_interval: Seconds(Duration::ZERO),
            busy_timeout: Seconds(Duration::from_millis(2000)),
            disable_wal: false,
        }
    }
}

impl Config {
    /// A store in a file or in memory with everything else at its default.
    pub fn at(connection_string: impl Into<String>) -> Self {
        Self {
            connection_string: connection_string.into(),
            ..Self::default()
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.connection_string.trim().is_empty() {
            return Err(Error::config(
                "missing connection string; set metadata connectionString to a path or :memory:",
            ));
        }
        identifier("tableName", &self.table_name)?;
        identifier("metadataTableName", &self.metadata_table_name)?;
        if self.timeout.0 < Duration::from_secs(1) {
            return Err(Error::config(
                "invalid value for 'timeout': must be greater than 1s",
            ));
        }
        Ok(())
    }
}

/// Names go into the text of statements, so nothing else may be in them.
pub(crate) fn identifier(property: &str, name: &str) -> Result<()> {
    let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if valid {
        return Ok(());
    }
    Err(Error::config(format!(
        "invalid identifier '{name}' in metadata {property}: use letters, digits and underscores only"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &Config, expected: Option<&str>) {
        let error = config.validate().err().map(|e| e.message);
        match expected {
            None => assert_eq!(error, None),
            Some(part) => assert!(
                error.as_deref().is_some_and(|e| e.contains(part)),
                "{error:?} lacks {part}"
            ),
        }
    }

    #[test]
    fn unusable_settings_are_named() {
        check(&Config::at("a.db"), None);
        check(&Config::at(" "), Some("missing connection string"));
        for name in ["a-b", "a b", "", "a;drop table b", "é"] {
            check(
                &Config {
                    table_name: name.into(),
                    ..Config::at("a.db")
                },
                Some("metadata tableName"),
            );
            check(
                &Config {
                    metadata_table_name: name.into(),
                    ..Config::at("a.db")
                },
                Some("metadata metadataTableName"),
            );
        }
        let timeout = Seconds(Duration::from_millis(999));
        check(
            &Config {
                timeout,
                ..Config::at("a.db")
            },
            Some("'timeout'"),
        );
    }
}
