//! Whom a call over HTTP is for, and which method of it.

use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Uri};
use percent_encoding::percent_decode_str;

use crate::api::http::SentUri;

const HEADER: &str = "dapr-app-id";
const PREFIX: &str = "/v1.0/invoke/";
const METHOD: &str = "/method/";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// An app id, an app id with a namespace, or a URL.
    pub(crate) id: String,
    /// Decoded, not yet cleaned.
    pub(crate) method: String,
}

/// Reads the header, the user of basic authentication, or the path, in this
/// order; the header goes no further.
pub(crate) fn of(req: &mut Request) -> Option<Target> {
    let sent = req.extensions().get::<SentUri>().map(|s| s.0.clone());
    let uri = sent.unwrap_or_else(|| req.uri().clone());
    if let Some(id) = req.headers_mut().remove(HEADER) {
        let id = String::from_utf8_lossy(id.as_bytes()).into_owned();
        return (!id.is_empty()).then(|| Target {
            id,
            method: decoded(uri.path()),
        });
    }
    if let Some(id) = basic(req.headers()) {
        return Some(Target {
            id,
            method: decoded(uri.path()),
        });
    }
    from_path(&uri)
}

/// User `dapr-app-id`, the app id as password; exactly one colon.
fn basic(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, id) = text.split_once(':')?;
    let fits = user.eq_ignore_ascii_case(HEADER) && !id.is_empty() && !id.contains(':');
    fits.then(|| id.to_owned())
}

/// The target ends at the first `/method/`; its form may be encoded.
fn from_path(uri: &Uri) -> Option<Target> {
    let rest = uri.path().strip_prefix(PREFIX)?;
    let (id, method) = rest.split_once(METHOD)?;
    let id = decoded(id);
    // A proxy in front may have merged the slashes of a URL.
    let id = match id.split_once(":/") {
        Some((scheme @ ("http" | "https"), host)) if !host.starts_with('/') => {
            format!("{scheme}://{host}")
        }
        _ => id,
    };
    (!id.is_empty()).then(|| Target {
        id,
        method: decoded(method),
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn check(path: &str, headers: &[(&str, &str)], expected: Option<(&str, &str)>) {
        let mut req = Request::builder().uri(path);
        for (name, value) in headers {
            req = req.header(*name, *value);
        }
        let got = of(&mut req.body(Body::empty()).unwrap());
        let expected = expected.map(|(id, method)| Target {
            id: id.into(),
            method: method.into(),
        });
        assert_eq!(got, expected, "{path} {headers:?}");
    }

    #[test]
    fn targets_are_found_in_all_their_places() {
        check("/v1.0/invoke/a/method/x/y%2Fz?q", &[], Some(("a", "x/y/z")));
        check("/v1.0/invoke/a.ns/method/", &[], Some(("a.ns", "")));
        check(
            "/v1.0/invoke/http%3A%2F%2Fh:8080/method/x",
            &[],
            Some(("http://h:8080", "x")),
        );
        check(
            "/v1.0/invoke/https:/h/method/x",
            &[],
            Some(("https://h", "x")),
        );
        check("/v1.0/invoke/a/method", &[], None);
        check("/v1.0/invoke//method/x", &[], None);
        check(
            "/orders/1",
            &[("dapr-app-id", "a")],
            Some(("a", "/orders/1")),
        );
        check(
            "/v1.0/invoke/b/method/x",
            &[("dapr-app-id", "a")],
            Some(("a", "/v1.0/invoke/b/method/x")),
        );
        check(
            "/orders",
            &[("authorization", "Basic ZGFwci1hcHAtaWQ6YQ==")],
            Some(("a", "/orders")),
        );
        check(
            "/orders",
            &[("authorization", "Basic ZGFwci1hcHAtaWQ6YTpi")],
            None,
        );
        check("/orders", &[("authorization", "Bearer x")], None);
        check("/orders", &[], None);
    }
}
