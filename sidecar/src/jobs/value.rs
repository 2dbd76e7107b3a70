//! Data of jobs: JSON of any kind, which travels as `google.protobuf.Value`.

use std::fmt;

use bytes::Bytes;
use prost::Message;
use prost_types::value::Kind;
use prost_types::{Any, ListValue, Struct, Value};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};

pub(super) const VALUE: &str = "type.googleapis.com/google.protobuf.Value";

/// A JSON value, read and written as protobuf's JSON form has it: all numbers are
/// doubles.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Json(Value);

impl Json {
    /// The error is a value that protobuf cannot carry.
    pub(super) fn into_any(self) -> Result<Any, String> {
        let value = self.0.encode_to_vec();
        // Who reads it has a bound on the depth of messages, and so have we.
        Value::decode(value.as_slice())
            .map_err(|_| "data is nested too deeply; give it as a string")?;
        let type_url = VALUE.into();
        Ok(Any { type_url, value })
    }

    /// `None` when it holds something else.
    pub(super) fn of_any(any: &Any) -> Option<Self> {
        let name = any.type_url.rsplit('/').next();
        let is_value = name == Some("google.protobuf.Value");
        let value = is_value.then(|| Value::decode(any.value.as_slice()));
        value?.ok().map(Self)
    }
}

/// The body of the call of the app: JSON as JSON, anything else as it is.
pub(super) fn body(data: Option<Any>) -> Bytes {
    let Some(data) = data else {
        return Bytes::new();
    };
    match Json::of_any(&data).and_then(|value| serde_json::to_vec(&value).ok()) {
        Some(text) => text.into(),
        None => {
            let bytes = Bytes::from(data.value);
            bytes.slice_ref(bytes.trim_ascii())
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written(&self.0).serialize(serializer)
    }
}

struct Written<'a>(&'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.kind {
            Some(Kind::NullValue(_)) | None => serializer.serialize_unit(),
            Some(Kind::BoolValue(b)) => serializer.serialize_bool(*b),
            Some(Kind::StringValue(text)) => serializer.serialize_str(text),
            Some(Kind::ListValue(list)) => serializer.collect_seq(list.values.iter().map(Written)),
            Some(Kind::StructValue(fields)) => {
                serializer.collect_map(fields.fields.iter().map(|(k, v)| (k, Written(v))))
            }
            Some(Kind::NumberValue(number)) => write_number(*number, serializer),
        }
    }
}

/// Whole numbers are written without a fraction.
fn write_number<S: Serializer>(number: f64, serializer: S) -> Result<S::Ok, S::Error> {
    /// Up to here every whole number is one of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !number.is_finite() {
        return Err(S::Error::custom("a number that JSON does not have"));
    }
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return serializer.serialize_i64(number as i64);
    }
    serializer.serialize_f64(number)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

fn value<E>(kind: Kind) -> Result<Value, E> {
    Ok(Value { kind: Some(kind) })
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        value(Kind::NullValue(0))
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        value(Kind::BoolValue(b))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        value(Kind::NumberValue(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        value(Kind::NumberValue(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        value(Kind::NumberValue(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        value(Kind::StringValue(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Json(value)) = seq.next_element()? {
            values.push(value);
        }
        value(Kind::ListValue(ListValue { values }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = std::collections::BTreeMap::new();
        while let Some((key, Json(value))) = map.next_entry::<String, Json>()? {
            if fields.insert(key, value).is_some() {
                return Err(de::Error::custom("a key is there twice"));
            }
        }
        value(Kind::StructValue(Struct { fields }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body that an app gets for this data.
    fn through(text: &str) -> Result<String, String> {
        let json: Json = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let body = body(Some(json.into_any()?));
        Ok(String::from_utf8(body.into()).unwrap())
    }

    #[test]
    fn json_of_any_kind_reaches_the_app() {
        for (given, expected) in [
            ("null", "null"),
            ("true", "true"),
            (" 7 ", "7"),
            ("-7.0", "-7"),
            ("1.25", "1.25"),
            ("1e300", "1e+300"),
            ("9007199254740993", "9007199254740992"),
            (r#""a\u00e9<""#, "\"a\u{e9}<\""),
            ("[]", "[]"),
            (r#"{"b":{},"a":[1,[null]]}"#, r#"{"a":[1,[null]],"b":{}}"#),
        ] {
            assert_eq!(through(given).as_deref(), Ok(expected), "{given}");
        }
    }

    #[test]
    fn what_protobuf_cannot_carry_is_refused() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(through(&nested(30)).is_ok());
        for depth in [60, 100, 1000] {
            assert!(through(&nested(depth)).is_err(), "{depth}");
        }
        assert!(through(r#"{"a":1,"a":2}"#).is_err());
    }

    #[test]
    fn other_data_is_trimmed_only() {
        let any = |type_url: &str, value: &[u8]| {
            let (type_url, value) = (type_url.to_owned(), value.to_vec());
            Some(Any { type_url, value })
        };
        assert_eq!(body(None), "");
        assert_eq!(body(any("", b" a b\n")), "a b");
        assert_eq!(body(any("x/y", b" \n ")), "");
        assert_eq!(
            body(any(VALUE, b"\xff\xff no message ")),
            &b"\xff\xff no message"[..]
        );
    }

    proptest! {
        #[test]
        fn no_data_panics(kind in "[a-z./]{0,9}|type.googleapis.com/google.protobuf.Value", value: Vec<u8>) {
            let _ = body(Some(Any { type_url: kind, value }));
        }

        #[test]
        fn objects_come_out_as_they_went_in(fields in proptest::collection::btree_map(".{0,5}", any::<i32>(), 0..5)) {
            let text = serde_json::to_string(&fields).unwrap();
            let out = through(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<std::collections::BTreeMap<String, i32>>(&out).unwrap(), fields);
        }
    }
}
