//! Single requests: read, create and replace an object.

use std::fmt;
use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// The longest answer; objects have at most about two megabytes, and a list
/// comes in pages.
const MOST_BYTES: usize = 256 << 20;
/// What of a name stays as it is in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// A kind of objects, by the name of its collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
}

impl Kind {
    /// The path of all its objects, or of those in one namespace.
    pub(crate) fn path(&self, namespace: Option<&str>) -> Result<String, Error> {
        let Self {
            group,
            version,
            plural,
        } = self;
        let root = match *group {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        };
        Ok(match namespace {
            Some(namespace) => format!("{root}/namespaces/{}/{plural}", segment(namespace)?),
            None => format!("{root}/{plural}"),
        })
    }
}

fn segment(name: &str) -> Result<String, Error> {
    // These two mean other paths, however they are written.
    if ["", ".", ".."].contains(&name) {
        return Err(Error::Name(name.to_owned()));
    }
    Ok(utf8_percent_encode(name, PLAIN).to_string())
}

/// A client of one API server; clones share its connections.
#[derive(Clone)]
pub struct Client {
    inner: kube::Client,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    pub(crate) fn new(inner: kube::Client) -> Self {
        Self { inner }
    }

    /// Reads an object.
    pub async fn get<T>(&self, kind: Kind, namespace: &str, name: &str) -> Result<T, Error>
    where
        T: DeserializeOwned,
    {
        let path = format!("{}/{}", kind.path(Some(namespace))?, segment(name)?);
        self.ask(Method::GET, &path, Vec::new()).await
    }

    /// Creates an object, in a namespace or outside of all, and answers what
    /// the server made of it.
    pub async fn create<T, A>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        object: &T,
    ) -> Result<A, Error>
    where
        T: Serialize + Sync,
        A: DeserializeOwned,
    {
        let body = serde_json::to_vec(object)?;
        self.ask(Method::POST, &kind.path(namespace)?, body).await
    }

    /// Replaces an object; [`Error::Conflict`] when it is no longer of the
    /// `resourceVersion` that it carries.
    pub async fn replace<T, A>(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        object: &T,
    ) -> Result<A, Error>
    where
        T: Serialize + Sync,
        A: DeserializeOwned,
    {
        let path = format!("{}/{}", kind.path(Some(namespace))?, segment(name)?);
        self.ask(Method::PUT, &path, serde_json::to_vec(object)?)
            .await
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Vec<u8>,
    ) -> Result<A, Error> {
        let text = self.text(method, target, body).await?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The whole body of an answer.
    pub(crate) async fn text(
        &self,
        method: Method,
        target: &str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        let all = async {
            let (code, body) = self.send(method, target, body).await?;
            let body = collect(body).await?;
            if code.is_success() {
                Ok(body)
            } else {
                Err(Error::refused(code, &body))
            }
        };
        tokio::time::timeout(ANSWER, all)
            .await
            .unwrap_or(Err(Error::Late))
    }

    /// The body of an answer as it comes.
    pub(crate) async fn stream(&self, target: &str) -> Result<Body, Error> {
        let answered = async {
            let (code, body) = self.send(Method::GET, target, Vec::new()).await?;
            if code.is_success() {
                return Ok(body);
            }
            Err(Error::refused(code, &collect(body).await?))
        };
        tokio::time::timeout(ANSWER, answered)
            .await
            .unwrap_or(Err(Error::Late))
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Body), Error> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|e| Error::unreachable(&e))?;
        let answer = self.inner.send(request).await.map_err(|e| match e {
            // The client's own name for it says nothing.
            kube::Error::Service(e) => Error::unreachable(&*e),
            e => Error::unreachable(&e),
        });
        let (head, body) = answer?.into_parts();
        Ok((head.status, body))
    }
}

async fn collect(body: Body) -> Result<Vec<u8>, Error> {
    match Limited::new(body, MOST_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(e) if e.is::<LengthLimitError>() => Err(Error::TooLong(MOST_BYTES)),
        Err(e) => Err(Error::unreachable(&*e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_any_name_as_one_segment() {
        let pods = Kind {
            group: "",
            version: "v1",
            plural: "pods",
        };
        let configurations = Kind {
            group: "dapr.io",
            version: "v1alpha1",
            plural: "configurations",
        };
        for (kind, namespace, path) in [
            (pods, None, "/api/v1/pods"),
            (pods, Some("a-b"), "/api/v1/namespaces/a-b/pods"),
            (
                pods,
                Some("a/../b?c"),
                "/api/v1/namespaces/a%2F..%2Fb%3Fc/pods",
            ),
            (
                configurations,
                Some("x"),
                "/apis/dapr.io/v1alpha1/namespaces/x/configurations",
            ),
        ] {
            assert_eq!(kind.path(namespace).unwrap(), path);
        }
        for name in ["", ".", ".."] {
            assert_eq!(pods.path(Some(name)), Err(Error::Name(name.into())));
        }
    }
}
