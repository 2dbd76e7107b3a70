//! Decoding with the leniency of upstream's: null is the zero value of any
//! field, field names match in any case, and a number or boolean is taken for
//! a text. A wrapper around any serde deserializer, so that errors keep their
//! places in the file.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer, StringDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// Decodes a resource or a part of one from JSON, as leniently as from a file.
pub fn from_json<T: DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    T::deserialize(Lenient::<_, true>(value))
}

pub(crate) fn decode<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    T::deserialize(Lenient::<_, false>(from))
}

/// `JSON` says that the source is a JSON value: it has no text for a number, so a
/// text is made of it; in a file the scalar's own text is taken.
struct Lenient<D, const JSON: bool>(D);

/// What the target asked for: it decides the zero value and what is converted. Each is a type of
/// its own, so that for a target only its own way through the source is compiled.
trait Wanted: Copy {
    const IS_TEXT: bool = false;

    fn zero<'de, V: Visitor<'de>, E: Error>(visitor: V) -> Result<V::Value, E>;

    fn ask<'de, V: Visitor<'de>, D: Deserializer<'de>>(
        from: D,
        visitor: V,
    ) -> Result<V::Value, D::Error>;

    /// The names of a struct's fields; a map keeps its keys as they are.
    fn fields(self) -> Option<&'static [&'static str]> {
        None
    }
}

macro_rules! wanted {
    ($($name:ident: $visit:ident($zero:expr), $ask:ident;)*) => {
        $(
            #[derive(Clone, Copy)]
            struct $name;

            impl Wanted for $name {
                fn zero<'de, V: Visitor<'de>, E: Error>(visitor: V) -> Result<V::Value, E> {
                    visitor.$visit($zero)
                }

                fn ask<'de, V: Visitor<'de>, D: Deserializer<'de>>(
                    from: D,
                    visitor: V,
                ) -> Result<V::Value, D::Error> {
                    from.$ask(visitor)
                }
            }
        )*
    };
}

wanted! {
    Bool: visit_bool(false), deserialize_bool;
    // The source knows the number's own form; the target checks the range.
    Number: visit_u64(0), deserialize_any;
    List: visit_seq(SeqDeserializer::new(std::iter::empty::<()>())), deserialize_seq;
    Map: visit_map(MapDeserializer::new(std::iter::empty::<((), ())>())), deserialize_map;
}

#[derive(Clone, Copy)]
struct Text<const JSON: bool>;

impl<const JSON: bool> Wanted for Text<JSON> {
    const IS_TEXT: bool = true;

    fn zero<'de, V: Visitor<'de>, E: Error>(visitor: V) -> Result<V::Value, E> {
        visitor.visit_str("")
    }

    fn ask<'de, V: Visitor<'de>, D: Deserializer<'de>>(
        from: D,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if JSON {
            from.deserialize_any(visitor)
        } else {
            from.deserialize_string(visitor)
        }
    }
}

#[derive(Clone, Copy)]
struct Struct(&'static [&'static str]);

impl Wanted for Struct {
    fn zero<'de, V: Visitor<'de>, E: Error>(visitor: V) -> Result<V::Value, E> {
        Map::zero(visitor)
    }

    fn ask<'de, V: Visitor<'de>, D: Deserializer<'de>>(
        from: D,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        from.deserialize_map(visitor)
    }

    fn fields(self) -> Option<&'static [&'static str]> {
        Some(self.0)
    }
}

macro_rules! ask {
    ($($method:ident $wanted:expr)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.deserialize_option(Wrap::<_, _, JSON> { visitor, wanted: $wanted })
        })*
    };
}

impl<'de, D: Deserializer<'de>, const JSON: bool> Deserializer<'de> for Lenient<D, JSON> {
    type Error = D::Error;

    ask!(
        deserialize_bool Bool
        deserialize_i8 Number deserialize_i16 Number deserialize_i32 Number deserialize_i64 Number
        deserialize_u8 Number deserialize_u16 Number deserialize_u32 Number deserialize_u64 Number
        deserialize_f32 Number deserialize_f64 Number
        deserialize_str Text::<JSON> deserialize_string Text::<JSON>
        deserialize_seq List
        deserialize_map Map
    );

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let wanted = Struct(fields);
        self.0
            .deserialize_option(Wrap::<_, _, JSON> { visitor, wanted })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Optional::<_, JSON>(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_ignored_any(visitor)
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
    }
}

struct Optional<V, const JSON: bool>(V);

impl<'de, V: Visitor<'de>, const JSON: bool> Visitor<'de> for Optional<V, JSON> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Lenient::<_, JSON>(inner))
    }
}

struct Wrap<V, W, const JSON: bool> {
    visitor: V,
    wanted: W,
}

impl<'de, V: Visitor<'de>, W: Wanted, const JSON: bool> Visitor<'de> for Wrap<V, W, JSON> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        W::zero(self.visitor)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        W::zero(self.visitor)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        W::ask(inner, self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        if W::IS_TEXT {
            self.visitor.visit_string(value.to_string())
        } else {
            self.visitor.visit_bool(value)
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        if W::IS_TEXT {
            self.visitor.visit_string(value.to_string())
        } else {
            self.visitor.visit_i64(value)
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        if W::IS_TEXT {
            self.visitor.visit_string(value.to_string())
        } else {
            self.visitor.visit_u64(value)
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        if W::IS_TEXT {
            self.visitor.visit_string(value.to_string())
        } else {
            self.visitor.visit_f64(value)
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.visitor.visit_str(value)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.visitor.visit_borrowed_str(value)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<V::Value, E> {
        self.visitor.visit_string(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Items::<_, JSON>(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        let fields = self.wanted.fields();
        self.visitor
            .visit_map(Entries::<_, JSON> { entries, fields })
    }
}

struct Items<A, const JSON: bool>(A);

impl<'de, A: SeqAccess<'de>, const JSON: bool> SeqAccess<'de> for Items<A, JSON> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Seed::<_, JSON>(seed))
    }
}

struct Entries<A, const JSON: bool> {
    entries: A,
    /// The names of a struct's fields; a map keeps its keys as they are.
    fields: Option<&'static [&'static str]>,
}

impl<'de, A: MapAccess<'de>, const JSON: bool> MapAccess<'de> for Entries<A, JSON> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(fields) = self.fields else {
            return self.entries.next_key_seed(seed);
        };
        let Some(key) = self.entries.next_key::<String>()? else {
            return Ok(None);
        };
        let any_case = || fields.iter().find(|f| f.eq_ignore_ascii_case(&key));
        let name = match fields.iter().find(|f| **f == key).or_else(any_case) {
            Some(field) => (*field).to_owned(),
            None => key,
        };
        seed.deserialize(StringDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.entries.next_value_seed(Seed::<_, JSON>(seed))
    }
}

struct Seed<T, const JSON: bool>(T);

impl<'de, T: DeserializeSeed<'de>, const JSON: bool> DeserializeSeed<'de> for Seed<T, JSON> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(Lenient::<_, JSON>(from))
    }
}
