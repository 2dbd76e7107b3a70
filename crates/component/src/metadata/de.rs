//! The serde deserializer over string properties.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// Texts that a `bool` property takes as true; every other text is false.
const TRUTHY: [&str; 6] = ["y", "yes", "true", "t", "on", "1"];

/// Serde reports two names of one field as `duplicate_field(canonical)`. Decoding
/// then starts again, with the canonical name in front or the later name left
/// out: so the canonical name wins, whatever aliases are given beside it.
pub(super) fn decode<T: DeserializeOwned>(
    properties: &BTreeMap<String, String>,
) -> Result<T, Error> {
    let mut given = BTreeMap::new();
    for (name, value) in properties {
        if given
            .insert(name.to_lowercase(), (name.as_str(), value.as_str()))
            .is_some()
        {
            return Err(Error::message(format!(
                "key {name} is duplicate: keep one spelling of it"
            )));
        }
    }
    // Every round adds a name to one of the two, so the loop ends.
    let (mut front, mut skipped) = (Vec::new(), Vec::new());
    loop {
        let last = Cell::new("");
        let decoder = Decoder {
            given: &given,
            front: &front,
            skipped: &skipped,
            last: &last,
        };
        match T::deserialize(decoder) {
            Err(Error::Duplicate(canonical)) if last.get() == canonical => front.push(canonical),
            Err(Error::Duplicate(_)) => skipped.push(last.get()),
            result => return result,
        }
    }
}

/// The whole set of properties. Keys of `given` are in lower case.
struct Decoder<'a, 'de> {
    given: &'a BTreeMap<String, (&'de str, &'de str)>,
    /// Canonical names to be seen before their aliases.
    front: &'a [&'static str],
    /// Aliases that lost.
    skipped: &'a [&'static str],
    last: &'a Cell<&'static str>,
}

impl<'de> Deserializer<'de> for Decoder<'_, 'de> {
    type Error = Error;

    /// `fields` holds the canonical names and the aliases.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let rest = fields
            .iter()
            .filter(|f| !self.front.contains(f) && !self.skipped.contains(f));
        let pairs = self.front.iter().chain(rest).filter_map(|name| {
            let (_, value) = self.given.get(&name.to_lowercase())?;
            Some((*name, *value))
        });
        visitor.visit_map(Fields {
            pairs,
            value: None,
            last: self.last,
        })
    }

    /// Maps see every property under the name as written.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let pairs = self.given.values().copied();
        visitor.visit_map(Fields {
            pairs,
            value: None,
            last: &Cell::new(""),
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

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Fields<'a, 'n, 'de, I> {
    pairs: I,
    value: Option<(&'n str, &'de str)>,
    last: &'a Cell<&'n str>,
}

impl<'n, 'de, I: Iterator<Item = (&'n str, &'de str)>> MapAccess<'de> for Fields<'_, 'n, 'de, I> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.value = self.pairs.next();
        let Some((name, _)) = self.value else {
            return Ok(None);
        };
        self.last.set(name);
        seed.deserialize(StrDeserializer::<Error>::new(name))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (name, text) = self
            .value
            .take()
            .ok_or_else(|| de::Error::custom("a value was read before its name"))?;
        seed.deserialize(Value(text)).map_err(|e| e.of(name))
    }
}

/// The text of one property.
#[derive(Clone, Copy)]
pub(super) struct Value<'de>(pub(super) &'de str);

impl Value<'_> {
    /// Empty text is zero, as upstream reads it.
    fn number<T: std::str::FromStr + Default>(self, what: impl fmt::Display) -> Result<T, Error> {
        let text = self.0.trim();
        if text.is_empty() {
            return Ok(T::default());
        }
        text.parse()
            .map_err(|_| Error::invalid(format_args!("must be {what}")))
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.number(format_args!("a whole number from {} to {}", $type::MIN, $type::MAX))?)
        }
    )*};
}

macro_rules! floats {
    ($($method:ident $visit:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.number("a number")?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.0.trim();
        visitor.visit_bool(TRUTHY.iter().any(|t| t.eq_ignore_ascii_case(text)))
    }

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    floats! { deserialize_f32 visit_f32, deserialize_f64 visit_f64 }

    /// An optional property with empty text counts as not given.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_empty() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// Split at commas without trimming, as upstream does.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let parts = (!self.0.is_empty()).then(|| self.0.split(','));
        visitor.visit_seq(Parts(parts.into_iter().flatten()))
    }

    /// Variants are matched in any case.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let known = variants.iter().find(|v| v.eq_ignore_ascii_case(self.0));
        let name = known.ok_or_else(|| de::Error::unknown_variant("", variants))?;
        visitor.visit_enum(BorrowedStrDeserializer::new(name))
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct
        identifier ignored_any
    }
}

struct Parts<I>(I);

impl<'de, I: Iterator<Item = &'de str>> SeqAccess<'de> for Parts<I> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.0
            .next()
            .map(|part| seed.deserialize(Value(part)))
            .transpose()
    }
}

/// Why decoding failed. No variant holds a value, which may be a secret.
#[derive(Debug)]
pub(super) enum Error {
    /// Two names of the field with this canonical name.
    Duplicate(&'static str),
    /// A complete message.
    Message(String),
    /// What a value must be; the property's name is added on the way up.
    Invalid(String),
}

impl Error {
    pub(super) fn message(text: String) -> Self {
        Self::Message(text)
    }

    pub(super) fn invalid(text: impl fmt::Display) -> Self {
        Self::Invalid(text.to_string())
    }

    pub(super) fn of(self, property: &str) -> Self {
        match self {
            Self::Invalid(text) => {
                Self::Message(format!("metadata property {property:?} is invalid: {text}"))
            }
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(name) => write!(f, "metadata property {name:?} is given twice"),
            Self::Message(text) | Self::Invalid(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::invalid(text)
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid(format_args!("must be {expected}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid(format_args!("must be {expected}"))
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        Self::invalid(format_args!("must be one of {}", variants.join(", ")))
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Message(format!("metadata property {name:?} is missing; set it"))
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::Duplicate(name)
    }
}
