//! The Secret that Sentry signs with, and the ConfigMap that publishes its roots.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s::{Client, Error, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::authority::{Authority, FILES};

use super::remedy::Deed;

/// The name of both.
pub(super) const NAME: &str = "dapr-trust-bundle";
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
/// How often the ConfigMap is written when that fails.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(300);

/// The Secret as it was read; what is not data is kept as it is.
pub(super) struct Bundle(Object);

#[derive(Serialize, Deserialize)]
struct Object {
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Object {
    fn put(&mut self, key: &str, value: String) {
        let data = self.data.get_or_insert_default();
        data.insert(key.to_owned(), value);
    }
}

impl Bundle {
    pub(super) async fn read(client: &Client, namespace: &str) -> Result<Self> {
        let (what, place) = names("Secret", namespace);
        let secret = client.get(SECRETS, namespace, NAME).await;
        let secret = secret.map_err(|error| Deed::new("get", &what, &place).failed(&error))?;
        Ok(Self(secret))
    }

    /// Root, issuer and the issuer's key; none when Sentry has not made them yet.
    pub(super) fn texts(&self) -> Result<Option<[Vec<u8>; 3]>> {
        let [root, issuer, key] = FILES.map(|name| self.decode(name));
        match (root?, issuer?, key?) {
            (None, None, None) => Ok(None),
            (Some(root), Some(issuer), Some(key)) => Ok(Some([root, issuer, key])),
            _ => bail!(
                "Secret {NAME} must hold {}; Sentry makes all of them anew at its next start, \
                 which pods with sidecars have to follow by a restart",
                FILES.join(", ")
            ),
        }
    }

    pub(super) fn authority(&self) -> Result<Option<Authority>> {
        let Some([root, issuer, key]) = self.texts()? else {
            return Ok(None);
        };
        let authority = Authority::parse(&root, &issuer, &key);
        authority
            .map(Some)
            .with_context(|| format!("the certificates in Secret {NAME} are not usable"))
    }

    fn decode(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let data = self.0.data.as_ref();
        let text = data.and_then(|data| data.get(key));
        let decoded = text
            .filter(|text| !text.is_empty())
            .map(|text| STANDARD.decode(text));
        decoded
            .transpose()
            .ok()
            .with_context(|| format!("{key} of Secret {NAME} is no base64"))
    }

    /// Puts another authority in its place, unless the Secret was changed since it was read.
    ///
    /// The ConfigMap follows at once: a Sentry that starts between the two waits for that.
    pub(super) async fn replace(
        self,
        client: &Client,
        namespace: &str,
        new: &Authority,
    ) -> Result<()> {
        let Self(mut secret) = self;
        let texts = [new.anchors_pem(), new.chain_pem(), new.key_pem()];
        for (key, text) in FILES.iter().zip(&texts) {
            secret.put(key, STANDARD.encode(text));
        }
        let (what, place) = names("Secret", namespace);
        let written: Result<Value, Error> = client.replace(SECRETS, namespace, NAME, &secret).await;
        written.map_err(|error| Deed::new("update", &what, &place).failed(&error))?;
        publish(client, namespace, &texts[0]).await
    }
}

async fn publish(client: &Client, namespace: &str, root: &str) -> Result<()> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match publish_once(client, namespace, root).await {
            Ok(()) => return Ok(()),
            Err(_) if left > 0 => sleep(PAUSE).await,
            Err(error) => {
                let (what, place) = names("ConfigMap", namespace);
                let why = Deed::new("update", &what, &place).failed(&error);
                return Err(why.context(
                    "the Secret has the new certificates, but they are not published; run the \
                     command again when this is mended",
                ));
            }
        }
    }
}

async fn publish_once(client: &Client, namespace: &str, root: &str) -> Result<(), Error> {
    let mut config: Object = client.get(CONFIG_MAPS, namespace, NAME).await?;
    config.put(FILES[0], root.to_owned());
    let written: Value = client
        .replace(CONFIG_MAPS, namespace, NAME, &config)
        .await?;
    drop(written);
    Ok(())
}

/// How the object and its place are called.
fn names(kind: &str, namespace: &str) -> (String, String) {
    (format!("{kind} {NAME}"), format!("namespace {namespace}"))
}
