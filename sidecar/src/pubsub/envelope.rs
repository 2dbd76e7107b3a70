//! CloudEvents: the envelope around what is published.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Zoned;
use serde_json::value::RawValue;

use crate::api::json;

const CLOUD_EVENT: &str = "application/cloudevents+json";
/// Attributes that request metadata `cloudevent.<name>` may set.
const SETTABLE: [&str; 6] = ["id", "source", "type", "subject", "traceid", "tracestate"];

/// What an envelope is made of.
pub(super) struct Event<'a> {
    pub(super) app_id: &'a str,
    pub(super) pubsub: &'a str,
    pub(super) topic: &'a str,
    pub(super) data: &'a [u8],
    /// Empty when the request had none.
    pub(super) content_type: &'a str,
    pub(super) metadata: &'a BTreeMap<String, String>,
    pub(super) traceparent: &'a str,
    pub(super) tracestate: &'a str,
}

/// Attributes as JSON text, in the order that goes on the wire.
type Attributes = BTreeMap<String, Vec<u8>>;

impl Event<'_> {
    /// The envelope. The error is the cause why the user's own could not be read.
    pub(super) fn envelope(&self) -> Result<Bytes, String> {
        let given = media_type(self.content_type) == CLOUD_EVENT;
        let mut all = if given {
            parsed(self.data)?
        } else {
            self.built()
        };
        let mut missing = |name: &str, value: &str| {
            all.entry(name.to_owned()).or_insert_with(|| text(value));
        };
        missing("time", &now());
        missing(
            "source",
            if self.app_id.is_empty() {
                "Dapr"
            } else {
                self.app_id
            },
        );
        missing("type", "com.dapr.event.sent");
        missing("specversion", "1.0");
        missing("traceid", self.traceparent);
        missing("traceparent", self.traceparent);
        missing("tracestate", self.tracestate);
        all.insert("topic".into(), text(self.topic));
        all.insert("pubsubname".into(), text(self.pubsub));
        if !given {
            self.overrides(&mut all);
        }
        Ok(written(&all))
    }

    fn built(&self) -> Attributes {
        let content_type = if self.content_type.is_empty() {
            "text/plain"
        } else {
            self.content_type
        };
        let mut all = Attributes::new();
        all.insert("id".into(), text(&uuid::Uuid::new_v4().to_string()));
        all.insert("datacontenttype".into(), text(content_type));
        if is_binary(content_type) {
            all.insert("data_base64".into(), text(&STANDARD.encode(self.data)));
            return all;
        }
        let parsed = if is_json(content_type) {
            first_json(self.data)
        } else {
            None
        };
        all.insert(
            "data".into(),
            parsed.unwrap_or_else(|| text(&String::from_utf8_lossy(self.data))),
        );
        all
    }

    fn overrides(&self, all: &mut Attributes) {
        for (key, value) in self.metadata {
            let key = key.to_ascii_lowercase();
            let Some(name) = key.strip_prefix("cloudevent.") else {
                continue;
            };
            if name == "traceparent" {
                all.insert("traceid".into(), text(value));
                all.insert("traceparent".into(), text(value));
            } else if SETTABLE.contains(&name) {
                all.insert(name.to_owned(), text(value));
            }
        }
    }
}

fn parsed(data: &[u8]) -> Result<Attributes, String> {
    let map: BTreeMap<String, &RawValue> =
        serde_json::from_slice(data).map_err(|e| e.to_string())?;
    let attribute = |(key, value): (String, &RawValue)| {
        let value = json::canonical(value).map_err(|e| e.to_string())?;
        Ok((key, value.to_vec()))
    };
    map.into_iter().map(attribute).collect()
}

fn written(all: &Attributes) -> Bytes {
    let size = all
        .iter()
        .map(|(key, value)| key.len() + value.len() + 4)
        .sum::<usize>();
    let mut out = Vec::with_capacity(size + 2);
    out.push(b'{');
    for (i, (key, value)) in all.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::write_str(&mut out, key);
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out.into()
}

fn text(value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 2);
    json::write_str(&mut out, value);
    out
}

/// The first value; what follows it is lost, as upstream has it.
fn first_json(data: &[u8]) -> Option<Vec<u8>> {
    let mut values = serde_json::Deserializer::from_slice(data).into_iter::<&RawValue>();
    Some(json::canonical(values.next()?.ok()?).ok()?.to_vec())
}

fn now() -> String {
    let now = Zoned::now();
    let format = if now.offset().is_zero() {
        "%Y-%m-%dT%H:%M:%SZ"
    } else {
        "%Y-%m-%dT%H:%M:%S%:z"
    };
    now.strftime(format).to_string()
}

fn media_type(content_type: &str) -> String {
    content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

fn is_json(content_type: &str) -> bool {
    let media = media_type(content_type);
    media == "application/json" || media.ends_with("+json")
}

fn is_binary(content_type: &str) -> bool {
    let binary: BTreeSet<&str> = [
        "application/octet-stream",
        "application/cloudevents+protobuf",
        "application/protobuf",
        "application/x-protobuf",
    ]
    .into();
    binary.contains(media_type(content_type).as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(data: &str, content_type: &str, metadata: &[(&str, &str)]) -> Result<Value, String> {
        let metadata = metadata
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let event = Event {
            app_id: "app",
            pubsub: "bus",
            topic: "t",
            data: data.as_bytes(),
            content_type,
            metadata: &metadata,
            traceparent: "",
            tracestate: "",
        };
        event
            .envelope()
            .map(|e| serde_json::from_slice(&e).unwrap())
    }

    #[test]
    fn data_is_put_into_an_envelope_by_its_type() {
        for (data, content_type, expected) in [
            (r#"{"a":1} rest"#, "application/json", json!({ "a": 1 })),
            ("{bad", "application/json", json!("{bad")),
            ("", "application/json; charset=utf-8", json!("")),
            ("hi", "", json!("hi")),
            ("<a/>", "application/xml", json!("<a/>")),
        ] {
            let event = event(data, content_type, &[]).unwrap();
            assert_eq!(event["data"], expected, "{data}");
            let fixed = [
                "source",
                "type",
                "specversion",
                "topic",
                "pubsubname",
                "traceid",
                "tracestate",
            ];
            let values: Vec<&Value> = fixed.iter().map(|f| &event[*f]).collect();
            assert_eq!(
                values,
                ["app", "com.dapr.event.sent", "1.0", "t", "bus", "", ""]
            );
        }
        let binary = event("hi", "application/octet-stream", &[]).unwrap();
        assert_eq!(
            (&binary["data_base64"], binary.get("data")),
            (&json!("aGk="), None)
        );
    }

    #[test]
    fn metadata_and_the_users_own_envelope_set_attributes() {
        let set = [
            ("cloudevent.id", "7"),
            ("CloudEvent.Type", "x"),
            ("cloudevent.topic", "no"),
        ];
        let event_set = event("1", "application/json", &set).unwrap();
        assert_eq!(
            (&event_set["id"], &event_set["type"], &event_set["topic"]),
            (&json!("7"), &json!("x"), &json!("t"))
        );
        let own = event(
            r#"{"id":"9","topic":"other","extra":true}"#,
            CLOUD_EVENT,
            &set,
        )
        .unwrap();
        assert_eq!(
            (&own["id"], &own["topic"], &own["extra"]),
            (&json!("9"), &json!("t"), &json!(true))
        );
        assert_eq!(own.get("datacontenttype"), None);
        assert!(event("null", CLOUD_EVENT, &[]).is_err() && event("{", CLOUD_EVENT, &[]).is_err());
    }
}
