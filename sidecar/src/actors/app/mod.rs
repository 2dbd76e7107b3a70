//! The app that has the code of the actors: called over HTTP, or over the stream
//! that it opened.

mod compact;
mod http;
mod stream;

use std::sync::Arc;

use actors::call::{App as Hosting, Data};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::value::RawValue;

pub(super) use self::http::Http;
pub(super) use self::stream::Streams;
use crate::app::App;

/// `None` when actors are called over streams.
pub(super) fn http(app: &App, max_body: usize) -> Option<Arc<dyn Hosting>> {
    let protocol = app.protocol()?;
    (!protocol.is_grpc()).then(|| Arc::new(Http::new(app.clone(), max_body)) as _)
}

/// What a reminder or a timer carries, as JSON: the bytes of a `BytesValue` are
/// JSON already. Bytes that are not become a string of base64.
pub(super) fn data(data: &Data) -> Option<Box<RawValue>> {
    let bytes = match data.type_url.rsplit('/').next() {
        Some("google.protobuf.BytesValue") => Vec::<u8>::decode(data.value.clone()).ok()?,
        _ => data.value.to_vec(),
    };
    match serde_json::from_slice::<Box<RawValue>>(&bytes) {
        Ok(raw) => compact::compact(&raw),
        Err(_) if bytes.is_empty() => None,
        Err(_) => serde_json::value::to_raw_value(&STANDARD.encode(bytes)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn data_is_json_whatever_it_was() {
        let bytes_value =
            |json: &str| super::super::bytes_value(&Bytes::copy_from_slice(json.as_bytes()));
        let other = |value: &'static [u8]| Data {
            type_url: "type.googleapis.com/some.Thing".into(),
            value: Bytes::from_static(value),
        };
        for (given, expected) in [
            (
                bytes_value("{ \"b\": [1.50, \"<\\\" x\"] }\n"),
                Some(r#"{"b":[1.50,"\u003c\" x"]}"#),
            ),
            (bytes_value("null"), Some("null")),
            (bytes_value("\"YQ==\""), Some("\"YQ==\"")),
            (bytes_value(""), None),
            (other(b"\xff\x00"), Some("\"/wA=\"")),
            (other(b""), None),
        ] {
            let shown = data(&given).map(|raw| raw.get().to_owned());
            assert_eq!(shown.as_deref(), expected, "{given:?}");
        }
    }
}
