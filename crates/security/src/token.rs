//! The token that proves to Sentry who is asking.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use proto::dapr::sentry::v1::sign_certificate_request::TokenValidator;
use tokio::io::AsyncReadExt;

use crate::options::Mode;

const SCOPE: &str = "dapr.security.token";
const PROJECTED: &str = "/var/run/secrets/dapr.io/sentrytoken/token";
const LEGACY: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const MAX_LEN: u64 = 64 << 10;

/// A token and how Sentry is to check it; no token leaves the choice to Sentry.
#[derive(Default)]
pub(crate) struct Token {
    pub(crate) value: String,
    pub(crate) validator: TokenValidator,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("validator", &self.validator.as_str_name())
            .finish_non_exhaustive()
    }
}

/// Why there is no token although one is configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read token at path '{}': {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("token at path '{}' is empty", .0.display())]
    Empty(PathBuf),
}

/// Where tokens are; they are read anew for each request because they rotate.
#[derive(Clone, Debug)]
pub(crate) struct TokenSource {
    /// The file of `DAPR_SENTRY_TOKEN_FILE`.
    file: Option<PathBuf>,
    mode: Mode,
    /// The files that Kubernetes mounts, the better one first.
    mounted: [PathBuf; 2],
}

impl TokenSource {
    pub(crate) fn new(file: Option<PathBuf>, mode: Mode) -> Self {
        let mounted = [PROJECTED.into(), LEGACY.into()];
        Self {
            file,
            mode,
            mounted,
        }
    }

    pub(crate) async fn read(&self) -> Result<Token, Error> {
        let kubernetes = self.mode == Mode::Kubernetes;
        if let Some(path) = &self.file {
            let validator = if kubernetes {
                TokenValidator::Kubernetes
            } else {
                TokenValidator::Jwks
            };
            let value = read(path).await?;
            return Ok(Token { value, validator });
        }
        if !kubernetes {
            return Ok(Token::default());
        }
        let [projected, legacy] = &self.mounted;
        for path in [projected, legacy] {
            let value = match read(path).await {
                Ok(value) => value,
                Err(Error::Unreadable { path, error }) => {
                    let path = path.display();
                    tracing::warn!(target: SCOPE, "Failed to read token at path '{path}': {error}");
                    continue;
                }
                Err(Error::Empty(path)) => {
                    let path = path.display();
                    tracing::warn!(target: SCOPE, "Token at path '{path}' is empty");
                    continue;
                }
            };
            if path == legacy {
                tracing::warn!(
                    target: SCOPE,
                    "⚠️ daprd is initializing using the legacy service account token with access to Kubernetes APIs, which is discouraged. This usually happens when daprd is running against an older version of the Dapr control plane."
                );
            }
            let validator = TokenValidator::Kubernetes;
            return Ok(Token { value, validator });
        }
        Ok(Token::default())
    }
}

async fn read(path: &Path) -> Result<String, Error> {
    let unreadable = |error| Error::Unreadable {
        path: path.to_owned(),
        error,
    };
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let read = file.take(MAX_LEN + 1).read_to_string(&mut text).await;
    if read.map_err(unreadable)? as u64 > MAX_LEN {
        let long = format!("it is longer than {MAX_LEN} bytes");
        return Err(unreadable(io::Error::other(long)));
    }
    match text.trim() {
        "" => Err(Error::Empty(path.to_owned())),
        token => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(source: &TokenSource, value: &str, validator: TokenValidator) {
        let token = source.read().await.unwrap();
        assert_eq!(token.value, value);
        assert!(token.validator == validator);
        assert!(value.is_empty() || !format!("{token:?}").contains(value));
    }

    #[tokio::test]
    async fn the_configured_file_is_the_only_one_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, " secret-1\n").unwrap();
        let standalone = TokenSource::new(Some(path.clone()), Mode::Standalone);
        check(&standalone, "secret-1", TokenValidator::Jwks).await;
        let kubernetes = TokenSource::new(Some(path.clone()), Mode::Kubernetes);
        check(&kubernetes, "secret-1", TokenValidator::Kubernetes).await;

        std::fs::write(&path, "\n").unwrap();
        let error = kubernetes.read().await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("token at path '{}' is empty", path.display())
        );
        std::fs::write(&path, "x".repeat(MAX_LEN as usize + 1)).unwrap();
        assert!(matches!(
            kubernetes.read().await,
            Err(Error::Unreadable { .. })
        ));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(
            kubernetes.read().await,
            Err(Error::Unreadable { .. })
        ));
    }

    #[tokio::test]
    async fn kubernetes_mounts_are_tried_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let mounted = ["projected", "legacy"].map(|name| folder.path().join(name));
        let source = |mode| TokenSource {
            file: None,
            mode,
            mounted: mounted.clone(),
        };
        let kubernetes = source(Mode::Kubernetes);
        check(&kubernetes, "", TokenValidator::Unknown).await;
        std::fs::write(&mounted[1], "old").unwrap();
        check(&kubernetes, "old", TokenValidator::Kubernetes).await;
        std::fs::write(&mounted[0], "").unwrap();
        check(&kubernetes, "old", TokenValidator::Kubernetes).await;
        std::fs::write(&mounted[0], "new").unwrap();
        check(&kubernetes, "new", TokenValidator::Kubernetes).await;
        check(&source(Mode::Standalone), "", TokenValidator::Unknown).await;
    }
}
