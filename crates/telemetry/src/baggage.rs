//! W3C's `baggage`: values that travel with a call. They are checked, echoed
//! and handed on, and never looked at otherwise.

use http::{HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

const LONGEST: usize = 8192;
const MEMBERS: usize = 180;
const MEMBER: usize = 4096;

/// What a value's bytes cannot be, and the percent sign itself.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b',')
    .add(b';')
    .add(b'\\')
    .add(b'%');

/// Why a `baggage` header is refused; the text is the one of the answer, 400 or
/// INVALID_ARGUMENT.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid baggage header: {0}")]
pub struct InvalidBaggage(String);

/// Baggage that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baggage(String);

impl Baggage {
    /// Reads all `baggage` headers of a request; `None` when there are none or
    /// when they are empty.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, InvalidBaggage> {
        let mut values = headers.get_all(BAGGAGE).iter();
        let Some(first) = values.next() else {
            return Ok(None);
        };
        let mut joined = String::new();
        for (at, value) in std::iter::once(first).chain(values).enumerate() {
            let text = value
                .to_str()
                .map_err(|_| invalid("a byte that is not visible ASCII"))?;
            if at > 0 {
                joined.push(',');
            }
            joined.push_str(text);
            if joined.len() > LONGEST {
                return Err(invalid(format!("longer than {LONGEST} bytes")));
            }
        }
        Self::parse(joined)
    }

    /// Reads the text of one header.
    pub fn parse(text: impl Into<String>) -> Result<Option<Self>, InvalidBaggage> {
        let text = text.into();
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() > LONGEST {
            return Err(invalid(format!("longer than {LONGEST} bytes")));
        }
        for (at, member) in text.split(',').enumerate() {
            if at == MEMBERS {
                return Err(invalid(format!("more than {MEMBERS} members")));
            }
            check(member)?;
        }
        Ok(Some(Self(text)))
    }

    /// The headers as they came, joined by commas: what HTTP echoes and hands on.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// The same without white space and with values escaped in one way: what
    /// gRPC echoes. Of members with the same key the last one stays.
    pub fn normalised(&self) -> String {
        let mut members: Vec<(&str, String)> = Vec::new();
        for member in self.0.split(',') {
            let mut parts = member.split(';').map(pair);
            let Some((key, value)) = parts.next() else {
                continue;
            };
            let mut text = format!("{key}={}", escaped(value.unwrap_or("")));
            for (key, value) in parts.filter(|(key, _)| !key.is_empty()) {
                text.push(';');
                text.push_str(key);
                if let Some(value) = value {
                    text.push('=');
                    text.push_str(&escaped(value));
                }
            }
            members.retain(|(other, _)| *other != key);
            members.push((key, text));
        }
        let texts: Vec<_> = members.into_iter().map(|(_, text)| text).collect();
        texts.join(",")
    }
}

fn escaped(value: &str) -> String {
    let plain = percent_decode_str(value).decode_utf8_lossy();
    utf8_percent_encode(&plain, ESCAPED).to_string()
}

/// `key`, or `key=value`, with white space around each left out.
fn pair(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        Some((key, value)) => (key.trim(), Some(value.trim())),
        None => (text.trim(), None),
    }
}

/// One member: `key=value`, then properties after semicolons.
fn check(member: &str) -> Result<(), InvalidBaggage> {
    if member.len() > MEMBER {
        return Err(invalid(format!("a member longer than {MEMBER} bytes")));
    }
    let mut parts = member.split(';').map(pair);
    let (key, value) = parts.next().unwrap_or_default();
    let Some(value) = value else {
        return Err(invalid("a member without '='"));
    };
    check_pair(key, value)?;
    for (key, value) in parts {
        if !(key.is_empty() && value.is_none()) {
            check_pair(key, value.unwrap_or(""))?;
        }
    }
    Ok(())
}

fn check_pair(key: &str, value: &str) -> Result<(), InvalidBaggage> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if key.is_empty() || !key.bytes().all(token) {
        return Err(invalid(format!("invalid key: {key:?}")));
    }
    let octet = |b: u8| b.is_ascii_graphic() && !b"\",;\\".contains(&b);
    if !value.bytes().all(octet) || !escapes_are_whole(value) {
        return Err(invalid(format!("invalid value of {key:?}")));
    }
    Ok(())
}

fn escapes_are_whole(value: &str) -> bool {
    value.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn invalid(reason: impl Into<String>) -> InvalidBaggage {
    InvalidBaggage(reason.into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut out = HeaderMap::new();
        for value in values {
            out.append(BAGGAGE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        out
    }

    #[test]
    fn valid_baggage_keeps_its_raw_form_and_has_a_normal_one() {
        for (values, raw, normal) in [
            (&["k=v"][..], "k=v", "k=v"),
            (&["a=1, b = 2"], "a=1, b = 2", "a=1,b=2"),
            (&["a=1", "b=2"], "a=1,b=2", "a=1,b=2"),
            (&["a="], "a=", "a="),
            (&["a=x=y"], "a=x=y", "a=x=y"),
            (&["a=%41%20%2c"], "a=%41%20%2c", "a=A%20%2C"),
            (&["a=1;p;q = 2 ;"], "a=1;p;q = 2 ;", "a=1;p;q=2"),
            (&["a=1,b=2,a=3"], "a=1,b=2,a=3", "b=2,a=3"),
            (&["a=%ff"], "a=%ff", "a=%EF%BF%BD"),
        ] {
            let baggage = Baggage::read(&headers(values)).unwrap().unwrap();
            assert_eq!(baggage.raw(), raw);
            assert_eq!(baggage.normalised(), normal, "{values:?}");
        }
    }

    #[test]
    fn no_baggage_is_no_error() {
        assert_eq!(Baggage::read(&headers(&[])), Ok(None));
        assert_eq!(Baggage::read(&headers(&[""])), Ok(None));
    }

    #[test]
    fn malformed_baggage_says_why() {
        for (values, reason) in [
            (&["novalue"][..], "a member without '='"),
            (&["a=1,"], "a member without '='"),
            (&["a=1,,b=2"], "a member without '='"),
            (&["", "a=1"], "a member without '='"),
            (&["=1"], "invalid key: \"\""),
            (&["a b=1"], "invalid key: \"a b\""),
            (&["a=1;=2"], "invalid key: \"\""),
            (&["a=1;b c"], "invalid key: \"b c\""),
            (&["a=x y"], "invalid value of \"a\""),
            (&["a=\"x\""], "invalid value of \"a\""),
            (&["a=\\"], "invalid value of \"a\""),
            (&["a=%4"], "invalid value of \"a\""),
            (&["a=%zz"], "invalid value of \"a\""),
            (&["a=ü"], "a byte that is not visible ASCII"),
        ] {
            let error = Baggage::read(&headers(values)).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("invalid baggage header: {reason}"),
                "{values:?}"
            );
        }
    }

    #[test]
    fn length_and_number_of_members_are_bounded() {
        let members = |n| vec!["a=1"; n].join(",");
        assert!(Baggage::parse(members(180)).is_ok());
        assert!(Baggage::parse(members(181)).is_err());
        let value = |n: usize| format!("a={}", "x".repeat(n - 2));
        assert!(Baggage::parse(value(4096)).is_ok());
        assert!(Baggage::parse(value(4097)).is_err());
        let two = |n| format!("{},{}", value(4096), value(n));
        assert!(Baggage::read(&headers(&[&two(4095)])).is_ok());
        assert!(Baggage::read(&headers(&[&two(4096)])).is_err());
        assert!(Baggage::read(&headers(&vec!["a=1"; 9000])).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_the_normal_form_is_valid_and_final(text in "\\PC{0,40}|([a-c]=[a-z%0-9 ]{0,5}[,;]?){0,6}") {
            if let Ok(Some(baggage)) = Baggage::parse(text) {
                let normal = baggage.normalised();
                let again = Baggage::parse(normal.clone()).unwrap().unwrap();
                prop_assert_eq!(again.normalised(), normal);
            }
        }
    }
}
