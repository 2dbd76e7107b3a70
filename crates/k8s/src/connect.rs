//! How the API server is found: from inside of the cluster, or by a kubeconfig.

use std::path::Path;
use std::time::Duration;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::Client;

const CONNECT: Duration = Duration::from_secs(5);

/// Why no API server is known.
#[derive(Debug, thiserror::Error)]
pub enum NoCluster {
    #[error("this process runs outside of a cluster ({0}) and has no kubeconfig; set --kubeconfig")]
    Outside(String),
    #[error("cannot use kubeconfig {path:?}: {reason}")]
    Kubeconfig { path: String, reason: String },
    #[error("cannot make a client of the API server: {0}")]
    Client(String),
}

impl Client {
    /// A client by the service account of the pod it runs in, or else by a
    /// kubeconfig file, whose current context counts. Nothing is sent yet.
    pub async fn connect(kubeconfig: &str) -> Result<Self, NoCluster> {
        let mut config = match Config::incluster() {
            Ok(config) => config,
            Err(e) if kubeconfig.is_empty() || !Path::new(kubeconfig).exists() => {
                return Err(NoCluster::Outside(e.to_string()));
            }
            Err(_) => read(kubeconfig).await.map_err(|e| NoCluster::Kubeconfig {
                path: kubeconfig.to_owned(),
                reason: match e {
                    // The parser's own text shows lines of the file.
                    KubeconfigError::Parse(_) => "it is malformed".to_owned(),
                    e => e.to_string(),
                },
            })?,
        };
        config.connect_timeout = Some(CONNECT);
        // Whoever asks knows best whether asking again is worth it.
        config.default_retry = false;
        let client =
            kube::Client::try_from(config).map_err(|e| NoCluster::Client(e.to_string()))?;
        Ok(Self::new(client))
    }
}

async fn read(path: &str) -> Result<Config, KubeconfigError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_named_but_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let path = path.to_str().unwrap();
        let error = Client::connect(path).await.unwrap_err().to_string();
        assert!(error.ends_with("set --kubeconfig"), "{error}");
        for (text, reason) in [
            ("users: [{name: a, user: {token: hunter2}", "malformed"),
            ("clusters: []", "current context"),
        ] {
            std::fs::write(path, text).unwrap();
            let error = Client::connect(path).await.unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(reason), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
