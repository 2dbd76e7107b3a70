//! The bundle as a Secret and a ConfigMap, which the chart made.
//!
//! The Secret holds everything; the ConfigMap publishes the anchors and the
//! token keys. The Secret is replaced first and only if nobody changed it since
//! it was read, so that of several replicas that make an authority at a time one
//! wins, and the others take over what it made.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s::{Client, Error, Kind};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::files::Paths;
use super::{Saved, Stored};

/// The name of both.
const NAME: &str = "dapr-trust-bundle";
const ROOT: &str = "ca.crt";
const JWKS: &str = "jwks.json";
const SECRETS: Kind = Kind {
    group: "",
    version: "v1",
    plural: "secrets",
};
const CONFIG_MAPS: Kind = Kind {
    group: "",
    version: "v1",
    plural: "configmaps",
};
/// How long a Secret without its ConfigMap is believed to be half of a
/// replacement that another replica is at.
const SETTLE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(500);
/// How often the ConfigMap is written when that fails.
const TRIES: usize = 5;

/// A store in the objects of a namespace.
pub(crate) struct Objects {
    client: Client,
    namespace: String,
    keys: Keys,
    /// What was read last: a replacement is based on it.
    seen: Mutex<Option<Seen>>,
}

/// The keys in the Secret, in the order of [`Stored::all`].
struct Keys([String; 5]);

#[derive(Clone)]
struct Seen {
    secret: Object,
    config: Object,
}

/// A Secret or a ConfigMap; what is not data is kept as it is.
#[derive(Clone, Serialize, Deserialize)]
struct Object {
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Object {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.data.as_ref()?.get(key)?;
        Some(value.as_str()).filter(|text| !text.is_empty())
    }

    fn put(&mut self, key: &str, value: String) {
        let data = self.data.get_or_insert_default();
        data.insert(key.to_owned(), value);
    }

    /// A value of a Secret.
    fn decode(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let decoded = self.get(key).map(|text| STANDARD.decode(text)).transpose();
        decoded.map_err(|_| format!("{key} of Secret {NAME} is no base64"))
    }

    fn version(&self) -> Option<&Value> {
        self.rest.get("metadata")?.get("resourceVersion")
    }
}

impl Objects {
    /// The keys in the Secret are the names of the mounted files.
    pub(crate) fn new(client: Client, namespace: String, paths: &Paths) -> Self {
        let Paths {
            root,
            issuer,
            key,
            jwt_key,
            jwks,
        } = paths;
        let name = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        Self {
            client,
            namespace,
            keys: Keys([root, issuer, key, jwt_key, jwks].map(name)),
            seen: Mutex::new(None),
        }
    }

    /// Reads both objects. A root that is not published counts as missing; the
    /// first time that is given a while to change.
    pub(super) async fn load(&self) -> Result<Stored, String> {
        let end = Instant::now() + SETTLE;
        let patient = self.seen.lock().is_none();
        loop {
            let seen = self.read().await?;
            let mut stored = self.keys.stored(&seen.secret)?;
            let whole = stored.root.is_some() && stored.issuer.is_some() && stored.key.is_some();
            let published = stored.root.as_deref().is_some_and(|root| {
                let published = seen.config.get(ROOT).unwrap_or_default();
                published.trim_ascii().as_bytes() == root.trim_ascii()
            });
            if whole && !published && patient && Instant::now() < end {
                sleep(POLL).await;
                continue;
            }
            if whole && !published {
                tracing::warn!(
                    target: "dapr.sentry.ca",
                    "ConfigMap {NAME} does not have the root of Secret {NAME}: it counts as missing"
                );
            }
            *self.seen.lock() = Some(seen);
            stored.root = stored.root.filter(|_| published);
            return Ok(stored);
        }
    }

    /// Replaces what is not `None` in the Secret, then publishes it.
    pub(super) async fn save(&self, new: &Stored) -> Result<Saved, String> {
        let seen = self.seen.lock().take();
        let Some(Seen { mut secret, config }) = seen else {
            return Ok(Saved::Overtaken);
        };
        for (key, value) in self.keys.0.iter().zip(new.all()) {
            if let Some(value) = value {
                secret.put(key, STANDARD.encode(value));
            }
        }
        let secret: Object = match self.replace(SECRETS, &secret).await {
            Ok(secret) => secret,
            Err(Error::Conflict(_)) => return Ok(Saved::Overtaken),
            Err(e) => return Err(failed("update", "Secret", &e)),
        };
        self.publish(secret, config).await
    }

    async fn publish(&self, secret: Object, mut config: Object) -> Result<Saved, String> {
        let mut failure = None;
        for _ in 0..TRIES {
            if self.keys.publish(&secret, &mut config)? {
                match self.replace(CONFIG_MAPS, &config).await {
                    Ok(written) => config = written,
                    Err(e) => {
                        failure = Some(e);
                        sleep(POLL).await;
                        // Perhaps somebody wrote it, perhaps the server is gone.
                        if let Ok(now) = self.read().await {
                            if now.secret.version() != secret.version() {
                                return Ok(Saved::Overtaken);
                            }
                            config = now.config;
                        }
                        continue;
                    }
                }
            }
            *self.seen.lock() = Some(Seen { secret, config });
            return Ok(Saved::Done);
        }
        let failure = failure.unwrap_or(Error::Late);
        Err(failed("update", "ConfigMap", &failure))
    }

    async fn read(&self) -> Result<Seen, String> {
        let get = |kind| self.client.get(kind, &self.namespace, NAME);
        let secret = get(SECRETS).await;
        let config = get(CONFIG_MAPS).await;
        Ok(Seen {
            secret: secret.map_err(|e| failed("read", "Secret", &e))?,
            config: config.map_err(|e| failed("read", "ConfigMap", &e))?,
        })
    }

    async fn replace(&self, kind: Kind, object: &Object) -> Result<Object, Error> {
        let namespace = &self.namespace;
        self.client.replace(kind, namespace, NAME, object).await
    }
}

impl Keys {
    fn stored(&self, secret: &Object) -> Result<Stored, String> {
        let [root, issuer, key, jwt_key, jwks] = &self.0;
        Ok(Stored {
            root: secret.decode(root)?,
            issuer: secret.decode(issuer)?,
            key: secret.decode(key)?,
            jwt_key: secret.decode(jwt_key)?,
            jwks: secret.decode(jwks)?,
        })
    }

    /// Puts what everybody may see into the ConfigMap; whether that changed it.
    fn publish(&self, secret: &Object, config: &mut Object) -> Result<bool, String> {
        let stored = self.stored(secret)?;
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_| format!("Secret {NAME} holds no text"))
        };
        let before = config.data.clone();
        if let Some(root) = stored.root {
            config.put(ROOT, text(root)?);
        }
        match stored.jwks.filter(|_| stored.jwt_key.is_some()) {
            Some(jwks) => config.put(JWKS, text(jwks)?),
            None => {
                if let Some(data) = &mut config.data {
                    data.remove(JWKS);
                }
            }
        }
        Ok(config.data != before)
    }
}

fn failed(what: &str, kind: &str, error: &Error) -> String {
    format!("failed to {what} {kind} {NAME}: {error}")
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
