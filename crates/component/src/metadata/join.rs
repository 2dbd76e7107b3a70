use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::{Properties, de};

/// Two configs over the same properties: a component's own settings and those
/// it shares with its siblings, such as a connection.
#[derive(Clone, Debug, Default)]
pub struct Join<A, B>(pub A, pub B);

impl<'de, A: DeserializeOwned, B: DeserializeOwned> Deserialize<'de> for Join<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Properties(given) = Properties::deserialize(deserializer)?;
        Ok(Self(
            de::decode(&given).map_err(D::Error::custom)?,
            de::decode(&given).map_err(D::Error::custom)?,
        ))
    }
}

impl<A: JsonSchema, B: JsonSchema> JsonSchema for Join<A, B> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}And{}", A::schema_name(), B::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut joined = A::json_schema(generator);
        let other = B::json_schema(generator);
        merge(&mut joined, &other, "properties");
        merge(&mut joined, &other, "required");
        joined
    }
}

fn merge(into: &mut Schema, from: &Schema, member: &str) {
    use serde_json::Value::{Array, Object};
    let Some(more) = from.get(member).cloned() else {
        return;
    };
    match (into.ensure_object().get_mut(member), more) {
        (Some(Object(have)), Object(more)) => have.extend(more),
        (Some(Array(have)), Array(more)) => have.extend(more),
        (_, more) => {
            into.insert(member.into(), more);
        }
    }
}
