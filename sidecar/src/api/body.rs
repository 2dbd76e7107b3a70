//! Request bodies: read whole under the cap, decoded as upstream's JSON decoder
//! would.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::Deserialize;

use super::error::ApiError;
use super::errors;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("stream too large")]
    TooLarge,
    #[error("{0}")]
    Broken(String),
}

/// Reads a body that the server's layer caps. The usual body of one frame is not
/// copied.
pub(crate) async fn read(body: Body) -> Result<Bytes, ReadError> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) => Err(cause(e)),
    }
}

/// What a body that ended early died of.
pub(crate) fn cause(error: axum::Error) -> ReadError {
    let error = error.into_inner();
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(e) = at {
        if e.is::<http_body_util::LengthLimitError>() {
            return ReadError::TooLarge;
        }
        at = e.source();
    }
    ReadError::Broken(error.to_string())
}

/// `ERR_MALFORMED_REQUEST` with upstream's prefix.
pub(crate) fn malformed(cause: &impl ToString) -> ApiError {
    errors::malformed(&cause.to_string())
}

/// Decodes the first JSON value; what follows it is ignored, nothing at all is
/// `EOF`. `null` leaves every field at its default.
pub(crate) fn first_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err("EOF".into());
    }
    T::deserialize(&mut serde_json::Deserializer::from_slice(body)).map_err(|e| told(&e))
}

/// Upstream's words for a body that breaks off.
pub(crate) fn told(error: &serde_json::Error) -> String {
    match error.is_eof() {
        true => "unexpected EOF".to_owned(),
        false => error.to_string(),
    }
}

/// Implements `Deserialize` for a struct with `Default` whose field names match
/// in any case, as Go's decoder matches them; unknown names are skipped, `null`
/// keeps the default, and the last of repeated names wins.
macro_rules! fields {
    (impl<$de:lifetime> $name:ident $(<$arg:lifetime>)? { $($key:literal => $field:ident,)* }) => {
        impl<$de> serde::Deserialize<$de> for $name $(<$arg>)? {
            fn deserialize<D: serde::Deserializer<$de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields<$de>(std::marker::PhantomData<&$de ()>);

                impl<$de> serde::de::Visitor<$de> for Fields<$de> {
                    type Value = $name $(<$arg>)?;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_unit<E>(self) -> Result<Self::Value, E> {
                        Ok(Self::Value::default())
                    }

                    fn visit_map<A: serde::de::MapAccess<$de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut out = Self::Value::default();
                        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                            match key.to_ascii_lowercase().as_str() {
                                $($key => if let Some(value) = map.next_value::<Option<_>>()? {
                                    out.$field = value;
                                },)*
                                _ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(out)
                    }
                }

                deserializer.deserialize_any(Fields(std::marker::PhantomData))
            }
        }
    };
}
pub(crate) use fields;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Thing {
        some_key: String,
        number: i32,
    }

    fields! {
        impl<'de> Thing {
            "somekey" => some_key,
            "number" => number,
        }
    }

    fn thing(some_key: &str, number: i32) -> Thing {
        Thing {
            some_key: some_key.into(),
            number,
        }
    }

    #[test]
    fn names_match_in_any_case_and_the_first_value_is_read() {
        for (body, expected) in [
            (r#"{"someKey":"a","number":1}"#, thing("a", 1)),
            (
                r#"{"SOMEKEY":"a","other":[{}],"Number":2} trailing"#,
                thing("a", 2),
            ),
            (r#"{"somekey":"a","someKey":"b"}"#, thing("b", 0)),
            (r#"{"somekey":null}"#, thing("", 0)),
            ("null", thing("", 0)),
        ] {
            assert_eq!(
                first_json::<Thing>(body.as_bytes()).unwrap(),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_no_such_value_is_refused() {
        assert_eq!(first_json::<Thing>(b"  ").unwrap_err(), "EOF");
        for body in [
            "{nonsense",
            "[]",
            r#"{"number":"1"}"#,
            "{\"somekey\":\"\u{0}\"}",
            &"[".repeat(10_000),
        ] {
            assert!(first_json::<Thing>(body.as_bytes()).is_err(), "{body:.20}");
        }
        assert!(first_json::<Thing>(b"{\"someKey\":\"\xff\"}").is_err());
    }
}
