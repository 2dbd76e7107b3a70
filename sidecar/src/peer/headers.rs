//! Headers as the internal API carries them: a map of names to lists of texts.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use proto::dapr::internals::v1::ListStringValue;
use tonic::metadata::{KeyAndValueRef, MetadataMap};

pub(crate) type Metadata = BTreeMap<String, ListStringValue>;

/// Names that concern one connection only.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "te",
    "trailer",
    "proxy-authorization",
    "proxy-authenticate",
];

/// Of the HTTP headers that gRPC keeps for itself; they reach a gRPC app under a
/// prefix.
const RESERVED: [&str; 28] = [
    "accept",
    "accept-charset",
    "accept-language",
    "accept-ranges",
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "cache-control",
    "content-type",
    "content-length",
    "cookie",
    "date",
    "expect",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-schedule-tag-match",
    "if-unmodified-since",
    "max-forwards",
    "origin",
    "pragma",
    "referer",
    "via",
    "warning",
];

/// What the transport of a gRPC message sets anew.
const OF_TRANSPORT: [&str; 5] = [
    "content-type",
    "content-length",
    "host",
    "connection",
    "date",
];

/// What gRPC says of one call on one connection; never handed on, since the next
/// hop would take it for its own.
const OF_GRPC: [&str; 8] = [
    "te",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-message-type",
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
];

pub(crate) fn list(value: impl Into<String>) -> ListStringValue {
    ListStringValue {
        values: vec![value.into()],
    }
}

/// The first value under a name, compared without case.
pub(crate) fn first<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    let found = metadata
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name));
    found
        .and_then(|(_, list)| list.values.first())
        .map(String::as_str)
}

/// HTTP headers of a caller, names in their canonical casing, without `Host`.
pub(crate) fn from_http(headers: &HeaderMap) -> Metadata {
    let mut out = Metadata::new();
    for (name, value) in headers {
        if name == http::header::HOST {
            continue;
        }
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        out.entry(canonical(name.as_str()))
            .or_default()
            .values
            .push(text);
    }
    out
}

/// `content-type` becomes `Content-Type`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let shown = if upper { c.to_ascii_uppercase() } else { c };
            upper = c == '-';
            shown
        })
        .collect()
}

/// What a gRPC caller sent beside its call, without what its connection is about.
pub(crate) fn from_grpc_caller(metadata: &MetadataMap) -> Metadata {
    let mut out = from_grpc(metadata);
    out.retain(|key, _| match key.as_str() {
        "host" | "content-length" => false,
        "grpc-accept-encoding" => true,
        key => !OF_GRPC.contains(&key),
    });
    out
}

/// The answer of a gRPC app, without what gRPC says of the call itself.
pub(crate) fn from_grpc_answer(metadata: &MetadataMap) -> Metadata {
    let mut out = from_grpc(metadata);
    out.retain(|key, _| !OF_GRPC.contains(&key.as_str()));
    out
}

/// gRPC metadata; binary values become base64.
pub(crate) fn from_grpc(metadata: &MetadataMap) -> Metadata {
    let mut out = Metadata::new();
    for pair in metadata.iter() {
        let (key, value) = match pair {
            KeyAndValueRef::Ascii(key, value) => (
                key.as_str(),
                String::from_utf8_lossy(value.as_encoded_bytes()).into_owned(),
            ),
            KeyAndValueRef::Binary(key, value) => (
                key.as_str(),
                STANDARD.encode(value.to_bytes().unwrap_or_default()),
            ),
        };
        out.entry(key.to_owned()).or_default().values.push(value);
    }
    out
}

/// What is left out on the way to an HTTP app or client: names of one hop, those
/// that `Connection` lists, and the length, which the transport sets.
struct Dropped(Vec<String>);

impl Dropped {
    fn of(metadata: &Metadata) -> Self {
        let connection = metadata
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case("connection"));
        let listed = connection
            .flat_map(|(_, list)| &list.values)
            .flat_map(|value| value.split(','));
        Self(listed.map(|name| name.trim().to_owned()).collect())
    }

    fn has(&self, name: &str) -> bool {
        let fixed = HOP_BY_HOP.iter().chain(&[
            "destination-app-id",
            "content-type",
            "content-length",
            "host",
        ]);
        let mut all = fixed.copied().chain(self.0.iter().map(String::as_str));
        all.any(|dropped| dropped.eq_ignore_ascii_case(name))
    }
}

/// The headers of an HTTP caller or app that travel further, without those of its
/// connection and of the body, which the transport sets.
pub(crate) fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let listed = headers.get_all(http::header::CONNECTION);
    let listed = listed.iter().filter_map(|value| value.to_str().ok());
    let listed = listed.flat_map(|value| value.split(',').map(str::trim));
    let listed: Vec<&str> = listed.collect();
    let mut out = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let text = name.as_str();
        let dropped = HOP_BY_HOP.contains(&text)
            || matches!(text, "host" | "content-type" | "content-length")
            || listed.iter().any(|l| l.eq_ignore_ascii_case(text));
        if !dropped {
            out.append(name, value.clone());
        }
    }
    out
}

/// The headers of a request to an HTTP app or of an answer to an HTTP client.
/// What is no valid header is left out.
pub(crate) fn to_http(metadata: Metadata) -> HeaderMap {
    let dropped = Dropped::of(&metadata);
    let mut out = HeaderMap::with_capacity(metadata.len());
    for (key, list) in metadata {
        if dropped.has(&key) {
            continue;
        }
        let name = match key.strip_prefix(':') {
            Some(pseudo @ ("method" | "scheme" | "path" | "authority")) => {
                HeaderName::try_from(format!("dapr-{pseudo}"))
            }
            _ => HeaderName::try_from(&*key),
        };
        let Ok(name) = name else { continue };
        let name = match name.as_str() {
            bin if bin.ends_with("-bin") => continue,
            grpc if grpc.starts_with("grpc-") => HeaderName::try_from(format!("dapr-{grpc}")),
            _ => Ok(name),
        };
        let Ok(name) = name else { continue };
        let most = if name == "baggage" { 1 } else { usize::MAX };
        for value in list.values.into_iter().take(most) {
            if let Ok(value) = HeaderValue::try_from(value) {
                out.append(name.clone(), value);
            }
        }
    }
    out
}

/// What a caller said of its trace, for an app that is called over gRPC.
pub(crate) fn trace(metadata: &Metadata) -> Vec<(HeaderName, HeaderValue)> {
    ["traceparent", "tracestate", "grpc-trace-bin"]
        .into_iter()
        .filter_map(|name| {
            let value = HeaderValue::try_from(first(metadata, name)?).ok()?;
            Some((HeaderName::from_static(name), value))
        })
        .collect()
}

/// The metadata of a call to a gRPC app or of an answer to a gRPC client.
pub(crate) fn to_grpc(metadata: Metadata) -> MetadataMap {
    let mut out = HeaderMap::new();
    for (given, list) in metadata {
        let key = given.to_ascii_lowercase();
        // Names from HTTP are in canonical case; those from gRPC already were metadata.
        let is_http = given.starts_with(|c: char| c.is_ascii_uppercase());
        if matches!(
            key.as_str(),
            "destination-app-id" | "traceparent" | "tracestate" | "grpc-trace-bin"
        ) || key.starts_with(':')
            || OF_GRPC.contains(&key.as_str())
            || (!is_http && OF_TRANSPORT.contains(&key.as_str()))
        {
            continue;
        }
        let name = if is_http && RESERVED.contains(&key.as_str()) {
            format!("dapr-{key}")
        } else {
            key
        };
        let Ok(name) = HeaderName::try_from(name) else {
            continue;
        };
        let is_binary = name.as_str().ends_with("-bin");
        for value in list.values {
            let value = match is_binary {
                // A text to its HTTP sender, whatever it looks like.
                true if is_http => STANDARD.encode(value),
                true if STANDARD.decode(&value).is_err() => continue,
                _ => value,
            };
            if let Ok(value) = HeaderValue::try_from(value) {
                out.append(name.clone(), value);
            }
        }
    }
    MetadataMap::from_headers(out)
}

/// An app's answer as it travels back.
pub(crate) fn from_answer(headers: &HeaderMap) -> Metadata {
    let mut out = from_http(headers);
    let dropped = Dropped::of(&out);
    out.retain(|key, _| key == "Content-Type" || !dropped.has(key));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_headers_keep_their_values_and_lose_those_of_the_hop() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "here"),
            ("x-many", "1"),
            ("x-many", "2"),
            ("connection", "close, x-listed"),
            ("x-listed", "gone"),
            ("te", "trailers"),
            ("content-type", "text/plain"),
            ("content-length", "3"),
            ("grpc-timeout", "1S"),
            ("some-bin", "AAAA"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let metadata = from_http(&headers);
        assert_eq!(metadata["X-Many"].values, ["1", "2"]);
        assert!(!metadata.contains_key("Host"));
        let mut names: Vec<String> = to_http(metadata).keys().map(ToString::to_string).collect();
        names.sort_unstable();
        assert_eq!(names, ["dapr-grpc-timeout", "x-many"]);
    }

    #[test]
    fn grpc_apps_get_reserved_names_under_a_prefix() {
        let metadata: Metadata = [
            ("Accept", "a"),
            ("X-Own", "b"),
            ("accept", "of gRPC"),
            ("content-type", "application/grpc"),
            ("host", "h"),
            ("traceparent", "c"),
            ("bad name", "d"),
            ("x-bin", "not base64!"),
            ("y-bin", "AQ=="),
            ("Z-Bin", "AQ=="),
            (":authority", "e"),
            ("grpc-status", "5"),
            ("grpc-timeout", "1S"),
        ]
        .map(|(k, v)| (k.to_owned(), list(v)))
        .into();
        let out = to_grpc(metadata).into_headers();
        let mut names: Vec<&str> = out.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "dapr-accept", "x-own", "y-bin", "z-bin"]);
        assert_eq!(
            (&out["y-bin"], &out["z-bin"]),
            (&"AQ==".parse().unwrap(), &"QVE9PQ==".parse().unwrap())
        );
    }
}
