//! The same leniency over free-form JSON: names in any case, scalars as texts
//! or as themselves, at every depth.

use std::collections::HashSet;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor,
};
use serde_json::Value as Json;

use super::de::{Error, Value};
use crate::Result;

/// Decodes a JSON object, or nothing at all, into a config struct. Unknown keys
/// are passed over. The error names the key and the remedy, never the value.
pub fn decode<T: DeserializeOwned>(json: &Json) -> Result<T> {
    let empty = Json::Object(serde_json::Map::new());
    let json = if json.is_null() { &empty } else { json };
    if !json.is_object() {
        return Err(crate::Error::config(
            "the configuration is not a map; write it as keys and values",
        ));
    }
    T::deserialize(Node(json)).map_err(|e| crate::Error::config(e.to_string()))
}

/// Any JSON value.
#[derive(Clone, Copy)]
struct Node<'de>(&'de Json);

impl Node<'_> {
    fn expected(what: &str) -> Error {
        Error::invalid(format_args!("must be {what}"))
    }
}

/// Texts are read as metadata is, other scalars as themselves.
macro_rules! scalars {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0 {
                Json::String(text) => Value(text).$method(visitor),
                // The cause would show the value.
                other => other.$method(visitor).map_err(|_| Self::expected("a number")),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    scalars! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Json::Null => visitor.visit_unit(),
            Json::Bool(b) => visitor.visit_bool(*b),
            Json::Number(_) => self
                .0
                .deserialize_any(visitor)
                .map_err(|_| Self::expected("another value")),
            Json::String(text) => visitor.visit_borrowed_str(text),
            Json::Array(_) => self.deserialize_seq(visitor),
            Json::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Json::Bool(b) => visitor.visit_bool(*b),
            Json::Number(n) => visitor.visit_bool(n.as_i64() == Some(1)),
            Json::String(text) => Value(text).deserialize_bool(visitor),
            _ => Err(Self::expected("true or false")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Json::String(text) => visitor.visit_borrowed_str(text),
            Json::Null => visitor.visit_str(""),
            Json::Bool(b) => visitor.visit_str(if *b { "true" } else { "false" }),
            Json::Number(n) => visitor.visit_string(n.to_string()),
            _ => Err(Self::expected("a text")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Json::Null => visitor.visit_none(),
            Json::String(text) if text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// A list, or texts between commas.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Json::String(text) => Value(text).deserialize_seq(visitor),
            Json::Array(items) => {
                let items = items.iter().map(Node);
                visitor.visit_seq(serde::de::value::SeqDeserializer::new(items))
            }
            Json::Null => {
                visitor.visit_seq(serde::de::value::SeqDeserializer::new(std::iter::empty::<
                    Node<'de>,
                >()))
            }
            _ => Err(Self::expected("a list")),
        }
    }

    /// Every key under the name as written.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Json::Object(object) = self.0 else {
            return Err(Self::expected("a map"));
        };
        let pairs = object.iter().map(|(name, value)| (name.as_str(), value));
        visitor.visit_map(Fields { pairs, value: None })
    }

    /// `fields` holds the canonical names and the aliases.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Json::Object(object) = self.0 else {
            return Err(Self::expected("a map"));
        };
        let mut seen = HashSet::new();
        for name in object.keys() {
            if !seen.insert(name.to_lowercase()) {
                let text = format!("key {name} is duplicate: keep one spelling of it");
                return Err(Error::message(text));
            }
        }
        let pairs = object.iter().filter_map(|(name, value)| {
            let lower = name.to_lowercase();
            let field = fields.iter().find(|f| f.to_lowercase() == lower)?;
            Some((*field, value))
        });
        // Two names of one field in a nested map are an error and no choice.
        visitor
            .visit_map(Fields { pairs, value: None })
            .map_err(|e| match e {
                Error::Duplicate(_) => Error::message(e.to_string()),
                e => e,
            })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Json::String(text) => Value(text).deserialize_enum(name, variants, visitor),
            _ => Err(Self::expected(&format!("one of {}", variants.join(", ")))),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit_struct tuple tuple_struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Fields<'de, I> {
    pairs: I,
    value: Option<(&'de str, &'de Json)>,
}

impl<'de, I: Iterator<Item = (&'de str, &'de Json)>> MapAccess<'de> for Fields<'de, I> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.value = self.pairs.next();
        let Some((name, _)) = self.value else {
            return Ok(None);
        };
        seed.deserialize(StrDeserializer::<Error>::new(name))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (name, value) = self
            .value
            .take()
            .ok_or_else(|| serde::de::Error::custom("a value was read before its name"))?;
        seed.deserialize(Node(value)).map_err(|e| e.of(name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::metadata::Seconds;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Config {
        #[serde(alias = "url")]
        host: String,
        retries: u16,
        verbose: bool,
        wait: Seconds,
        tags: Vec<String>,
        meta: BTreeMap<String, String>,
        inner: Option<Box<Config>>,
        raw: Json,
    }

    #[track_caller]
    fn check(json: &Json, change: impl FnOnce(&mut Config)) {
        let mut expected = Config::default();
        change(&mut expected);
        assert_eq!(decode::<Config>(json).unwrap(), expected);
    }

    #[track_caller]
    fn refused(json: &Json, expected: &str) {
        let error = decode::<Config>(json).unwrap_err();
        assert_eq!(error.message, expected);
    }

    #[test]
    fn names_are_taken_in_any_case_and_scalars_in_any_form() {
        check(&Json::Null, |_| {});
        check(&json!({"HOST": "h", "unknown": {"a": 1}}), |c| {
            c.host = "h".into()
        });
        check(&json!({"Url": 5}), |c| c.host = "5".into());
        for retries in [json!(3), json!("3")] {
            check(&json!({ "retries": retries }), |c| c.retries = 3);
        }
        for verbose in [json!(true), json!("yes"), json!(1)] {
            check(&json!({ "verbose": verbose }), |c| c.verbose = true);
        }
        for wait in [json!(90), json!("90"), json!("1m30s")] {
            check(&json!({ "wait": wait }), |c| {
                c.wait = Seconds(Duration::from_secs(90))
            });
        }
        for tags in [json!(["a", 1]), json!("a,1")] {
            check(&json!({ "tags": tags }), |c| {
                c.tags = vec!["a".into(), "1".into()]
            });
        }
    }

    #[test]
    fn nested_maps_follow_the_same_rules_and_free_ones_keep_their_values() {
        check(&json!({"Inner": {"RETRIES": "7"}, "META": {"K": 1}}), |c| {
            c.inner = Some(Box::new(Config {
                retries: 7,
                ..Config::default()
            }));
            c.meta = BTreeMap::from([("K".into(), "1".into())]);
        });
        let raw = json!({"A": [1, true, "x", {"b": null}]});
        check(&json!({ "raw": raw }), |c| c.raw = raw.clone());
    }

    #[test]
    fn errors_name_the_key_but_no_value() {
        refused(
            &json!("s3cret"),
            "the configuration is not a map; write it as keys and values",
        );
        refused(
            &json!({"Host": "a", "host": "b"}),
            "key host is duplicate: keep one spelling of it",
        );
        refused(
            &json!({"host": "a", "url": "b"}),
            "metadata property \"host\" is given twice",
        );
        refused(
            &json!({"inner": {"retries": "s3cret"}}),
            "metadata property \"retries\" is invalid: must be a whole number from 0 to 65535",
        );
        refused(
            &json!({"retries": 70000}),
            "metadata property \"retries\" is invalid: must be a number",
        );
        refused(
            &json!({"tags": 5}),
            "metadata property \"tags\" is invalid: must be a list",
        );
        refused(
            &json!({"inner": []}),
            "metadata property \"inner\" is invalid: must be a map",
        );
    }

    proptest! {
        #[test]
        fn any_json_decodes_or_is_refused(text in "[\\[\\]{}:,0-9a-z\" .-]{0,24}", name in "host|retries|verbose|wait|tags|meta|inner|raw") {
            if let Ok(value) = serde_json::from_str::<Json>(&text) {
                let _ = decode::<Config>(&json!({ name: value }));
            }
        }
    }
}
