//! `secretstores.local.file`: a JSON file, read again when it changes.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use component::secrets::{Secret, SecretStore};
use component::{Component, Env, Error, ErrorKind, JsonSchema, Result};
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::Instrument;

/// Looking at the file's time works on every file system, also where a mounted
/// Kubernetes Secret swaps a link and file events stay silent.
const LOOK: Duration = Duration::from_secs(1);

type Secrets = BTreeMap<String, Secret>;

#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Config {
    /// Path of a JSON file that holds one object. Required.
    secrets_file: String,
    /// Joins the names of nested objects.
    nested_separator: String,
    /// Whether a top-level object is one secret with several keys.
    multi_valued: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secrets_file: String::new(),
            nested_separator: ":".into(),
            multi_valued: false,
        }
    }
}

pub(crate) struct FileSecrets {
    secrets: Arc<RwLock<Arc<Secrets>>>,
    multi_valued: bool,
    changes: watch::Receiver<u64>,
    /// Ends with the component.
    _watcher: JoinSet<()>,
}

impl Component for FileSecrets {
    type Config = Config;

    async fn open(config: Config, env: Env) -> Result<Self> {
        if config.secrets_file.is_empty() {
            return Err(Error::config("missing local secrets file in metadata"));
        }
        let seen = print_of(&config.secrets_file).await;
        let secrets = Arc::new(RwLock::new(Arc::new(read(&config).await?)));
        let (moved, changes) = watch::channel(0);
        let watched = Watched {
            path: config.secrets_file.clone().into(),
            seen,
            secrets: Arc::clone(&secrets),
            moved,
        };
        let multi_valued = config.multi_valued;
        let span = env.span.clone();
        let mut watcher = JoinSet::new();
        watcher.spawn(watched.follow(config, env).instrument(span));
        Ok(Self {
            secrets,
            multi_valued,
            changes,
            _watcher: watcher,
        })
    }
}

#[async_trait]
impl SecretStore for FileSecrets {
    fn multiple_key_values(&self) -> bool {
        self.multi_valued
    }

    async fn get(&self, name: &str, _: &BTreeMap<String, String>) -> Result<Secret> {
        let found = self.secrets.read().get(name).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("secret {name} not found")))
    }

    async fn bulk_get(&self, _: &BTreeMap<String, String>) -> Result<Secrets> {
        let secrets = Arc::clone(&self.secrets.read());
        Ok(secrets.as_ref().clone())
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changes.clone())
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

/// What changes when a file is written or replaced.
type Print = Option<(SystemTime, u64, u64)>;

async fn print_of(path: impl AsRef<Path>) -> Print {
    let meta = tokio::fs::metadata(path).await.ok()?;
    Some((meta.modified().ok()?, meta.len(), inode(&meta)))
}

#[cfg(unix)]
fn inode(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

struct Watched {
    path: PathBuf,
    seen: Print,
    secrets: Arc<RwLock<Arc<Secrets>>>,
    moved: watch::Sender<u64>,
}

impl Watched {
    async fn follow(mut self, config: Config, env: Env) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while env
            .shutdown
            .run_until_cancelled(ticks.tick())
            .await
            .is_some()
        {
            self.look(&config).await;
        }
    }

    /// A file that is away or half written leaves the secrets as they were; the
    /// next change of it is tried again.
    async fn look(&mut self, config: &Config) {
        let print = print_of(&self.path).await;
        if print.is_none() || print == self.seen {
            return;
        }
        self.seen = print;
        match read(config).await {
            Ok(fresh) if fresh == **self.secrets.read() => {}
            Ok(fresh) => {
                *self.secrets.write() = Arc::new(fresh);
                self.moved.send_modify(|n| *n += 1);
            }
            Err(error) => tracing::warn!("secrets are kept as they were: {error}"),
        }
    }
}

async fn read(config: &Config) -> Result<Secrets> {
    let path = &config.secrets_file;
    let text = tokio::fs::read(path).await.map_err(|e| {
        Error::config(format!(
            "secrets file {path:?} cannot be read: {e}; check secretsFile"
        ))
    })?;
    // The parser's error gives a place, not the text.
    let parsed = serde_json::from_slice(&text)
        .map_err(|e| Error::config(format!("secrets file {path:?} is not JSON: {e}")))?;
    secrets(parsed, config)
        .ok_or_else(|| Error::config(format!("secrets file {path:?} must hold one JSON object")))
}

fn secrets(parsed: Value, config: &Config) -> Option<Secrets> {
    let Value::Object(top) = parsed else {
        return None;
    };
    let single =
        |name: String, value: String| (name.clone(), Secret(BTreeMap::from([(name, value)])));
    let separator = &config.nested_separator;
    if !config.multi_valued {
        let mut flat = BTreeMap::new();
        flatten(Value::Object(top), String::new(), separator, &mut flat);
        return Some(
            flat.into_iter()
                .map(|(name, value)| single(name, value))
                .collect(),
        );
    }
    let multi = top.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some(single(name, text)),
        Value::Object(_) => {
            let mut keys = BTreeMap::new();
            flatten(value, String::new(), separator, &mut keys);
            Some((name, Secret(keys)))
        }
        // Upstream drops other values at the top.
        _ => None,
    });
    Some(multi.collect())
}

/// Names are joined; the index of an array is a name. Values that are no text
/// become their JSON text.
fn flatten(value: Value, name: String, separator: &str, into: &mut BTreeMap<String, String>) {
    let below = |part: &str| {
        if name.is_empty() {
            part.to_owned()
        } else {
            format!("{name}{separator}{part}")
        }
    };
    match value {
        Value::Object(members) => {
            members
                .into_iter()
                .for_each(|(part, value)| flatten(value, below(&part), separator, into));
        }
        Value::Array(items) => {
            for (i, value) in items.into_iter().enumerate() {
                flatten(value, below(&i.to_string()), separator, into);
            }
        }
        Value::String(text) => {
            into.insert(name, text);
        }
        other => {
            into.insert(name, other.to_string());
        }
    }
}

#[cfg(test)]
#[path = "file_secrets_tests.rs"]
mod tests;
