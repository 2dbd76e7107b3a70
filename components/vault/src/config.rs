//! The metadata of `secretstores.hashicorp.vault`.

use component::metadata::Sensitive;
use component::{Error, JsonSchema, Result};
use serde::Deserialize;

/// Metadata of `secretstores.hashicorp.vault`.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Config {
    /// Address of the server.
    pub vault_addr: String,
    /// Path of the key-value engine.
    pub engine_path: String,
    /// First part of the path of every secret.
    #[serde(rename = "vaultKVPrefix")]
    pub vault_kv_prefix: String,
    /// Whether that first part is used.
    #[serde(rename = "vaultKVUsePrefix")]
    pub vault_kv_use_prefix: bool,
    /// The token; exactly one of this and `vaultTokenMountPath` is needed.
    pub vault_token: Option<Sensitive>,
    /// A file that holds the token. It is read at every call, because whoever
    /// writes it may have renewed it.
    pub vault_token_mount_path: Option<String>,
    /// `map`: a secret is its keys; `text`: it is one JSON text.
    pub vault_value_type: String,
    /// Certificates of the authorities to trust, PEM.
    pub ca_pem: Option<String>,
    /// A folder of such certificates.
    pub ca_path: Option<String>,
    /// A file of such certificates.
    pub ca_cert: Option<String>,
    /// The literal `true` accepts any certificate.
    pub skip_verify: String,
    /// The name that the server's certificate must have.
    pub tls_server_name: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vault_addr: "https://127.0.0.1:8200".into(),
            engine_path: "secret".into(),
            vault_kv_prefix: "dapr".into(),
            vault_kv_use_prefix: true,
            vault_token: None,
            vault_token_mount_path: None,
            vault_value_type: "map".into(),
            ca_pem: None,
            ca_path: None,
            ca_cert: None,
            skip_verify: String::new(),
            tls_server_name: None,
        }
    }
}

/// Where the token comes from.
#[derive(Clone)]
pub(crate) enum Token {
    Text(Sensitive),
    File(String),
}

impl Config {
    pub(crate) fn token(&self) -> Result<Token> {
        let text = self.vault_token.clone().filter(|t| !t.0.is_empty());
        let file = self
            .vault_token_mount_path
            .clone()
            .filter(|p| !p.is_empty());
        match (text, file) {
            (Some(text), None) => Ok(Token::Text(text)),
            (None, Some(file)) => Ok(Token::File(file)),
            (None, None) => Err(Error::config("token mount path and token not set")),
            (Some(_), Some(_)) => Err(Error::config("token mount path and token both set")),
        }
    }

    /// Whether a secret is a map of keys.
    pub(crate) fn is_map(&self) -> Result<bool> {
        match self.vault_value_type.as_str() {
            "map" => Ok(true),
            "text" => Ok(false),
            other => Err(Error::config(format!(
                "vault init error, invalid value type {other}, accepted values are map or text"
            ))),
        }
    }
}
