//! Reading secrets.

use std::collections::BTreeMap;

use async_trait::async_trait;
use component::secrets::{Secret, SecretStore};
use component::{Component, Env, Error, ErrorKind, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::Client;
use crate::config::Config;

/// What may stand in a path; secrets have paths of several parts.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// Folders inside folders of secrets.
const DEEPEST: usize = 32;

/// An open store.
pub struct Vault {
    client: Client,
    engine: String,
    /// Empty, or with a slash at its end.
    prefix: String,
    map: bool,
}

impl Component for Vault {
    type Config = Config;

    /// Does not call the server: a store whose server comes up later works then.
    async fn open(config: Config, _: Env) -> Result<Self> {
        let prefix = config.vault_kv_prefix.trim_matches('/');
        Ok(Self {
            map: config.is_map()?,
            client: Client::new(&config).await?,
            engine: config.engine_path.trim_matches('/').to_owned(),
            prefix: match config.vault_kv_use_prefix && !prefix.is_empty() {
                true => format!("{prefix}/"),
                false => String::new(),
            },
        })
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Listing {
    data: Keys,
}

#[derive(Deserialize)]
struct Keys {
    #[serde(default)]
    keys: Vec<String>,
}

#[async_trait]
impl SecretStore for Vault {
    fn multiple_key_values(&self) -> bool {
        self.map
    }

    async fn get(&self, name: &str, metadata: &BTreeMap<String, String>) -> Result<Secret> {
        let version = metadata.get("version_id").map_or("0", String::as_str);
        let path = format!(
            "{}/data/{}?version={}",
            encoded(&self.engine),
            encoded(&format!("{}{name}", self.prefix)),
            encoded(version)
        );
        let (status, body) = self.client.send(Method::GET, &path).await?;
        if status == StatusCode::NOT_FOUND {
            let message = format!("getSecret {name} failed secret key or version not exist");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        self.secret(name, &successful(status, body)?)
    }

    async fn bulk_get(
        &self,
        metadata: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Secret>> {
        let mut out = BTreeMap::new();
        for name in self.names().await? {
            match self.get(&name, metadata).await {
                Ok(secret) => {
                    out.insert(name, secret);
                }
                // Deleted since it was listed, or without the wanted version.
                Err(e) if e.kind == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(out)
    }
}

impl Vault {
    fn secret(&self, name: &str, body: &[u8]) -> Result<Secret> {
        // The cause would show a part of the answer, which is the secret.
        let unreadable = || {
            Error::internal(format!(
                "couldn't decode the secret {name}: its values must be text"
            ))
        };
        let answer: Answer<'_> = serde_json::from_slice(body).map_err(|_| unreadable())?;
        let data = answer.data.data;
        if self.map {
            let map = serde_json::from_str(data.get()).map_err(|_| unreadable())?;
            return Ok(Secret(map));
        }
        Ok(Secret([(name.to_owned(), data.get().to_owned())].into()))
    }

    /// The names of all secrets under the prefix, relative to it.
    async fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut folders = vec![(String::new(), 0)];
        let list = Method::from_bytes(b"LIST").map_err(|e| Error::internal(e.to_string()))?;
        while let Some((folder, depth)) = folders.pop() {
            let path = format!(
                "{}/metadata/{}",
                encoded(&self.engine),
                encoded(&format!("{}{folder}", self.prefix))
            );
            let (status, body) = self.client.send(list.clone(), &path).await?;
            if status == StatusCode::NOT_FOUND {
                continue;
            }
            let listing: Listing = serde_json::from_slice(&successful(status, body)?)
                .map_err(|_| Error::internal("couldn't decode the list of secrets"))?;
            for key in listing.data.keys {
                let name = format!("{folder}{key}");
                if !key.ends_with('/') {
                    names.push(name);
                } else if depth < DEEPEST {
                    folders.push((name, depth + 1));
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

fn successful(status: StatusCode, body: Vec<u8>) -> Result<Vec<u8>> {
    if status.is_success() {
        return Ok(body);
    }
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        s if s.is_server_error() => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let text = String::from_utf8_lossy(&body[..body.len().min(512)]).into_owned();
    let message = format!(
        "couldn't get successful response, status code {}, body {text}",
        status.as_u16()
    );
    Err(Error::new(kind, message))
}
