//! JSON as clients of the HTTP API know it: output is escaped, ordered and
//! numbered as upstream's encoder does, input names match in any case.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

/// The deepest nesting that is rewritten. `RawValue` does not bound it, and the
/// rewriting is recursive.
const DEEPEST: usize = 512;

/// A value that is nested too deeply.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "exceeded max depth: the JSON is nested deeper than {DEEPEST} levels; store it flatter, or as a string"
)]
pub(crate) struct TooDeep;

/// Rewrites one JSON value into the canonical form that stores hold: no
/// whitespace, object keys sorted (the last of equal keys wins), `<`, `>`, `&`
/// escaped, floats in shortest form. Integers keep their digits, however many:
/// upstream rounds those above 2^53, which loses data.
pub(crate) fn canonical(value: &RawValue) -> Result<Bytes, TooDeep> {
    let text = value.get();
    if depth(text.as_bytes()) > DEEPEST {
        return Err(TooDeep);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut transcoder = Transcoder {
        text: text.as_bytes(),
        at: 0,
    };
    transcoder.value(&mut out);
    Ok(out.into())
}

/// How deeply lists and objects are nested.
fn depth(text: &[u8]) -> usize {
    let (mut now, mut most, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for b in text {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// Appends a JSON string with its quotes.
pub(crate) fn write_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (i, c) in text.char_indices() {
        let escape: &[u8] = match c {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\n' => b"\\n",
            '\r' => b"\\r",
            '\t' => b"\\t",
            '\u{8}' => b"\\b",
            '\u{c}' => b"\\f",
            '<' => b"\\u003c",
            '>' => b"\\u003e",
            '&' => b"\\u0026",
            '\u{2028}' => b"\\u2028",
            '\u{2029}' => b"\\u2029",
            c if c < ' ' => {
                out.extend_from_slice(&bytes[plain..i]);
                out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes());
                plain = i + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain..i]);
        out.extend_from_slice(escape);
        plain = i + c.len_utf8();
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

/// Serializes with serde and the escapes of [`write_str`].
pub(crate) fn to_vec<T: serde::Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(128);
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut out, Escaping,
    ))?;
    Ok(out)
}

struct Escaping;

impl serde_json::ser::Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        part: &str,
    ) -> std::io::Result<()> {
        let mut plain = 0;
        for (i, c) in part.char_indices() {
            let escape = match c {
                '<' => "\\u003c",
                '>' => "\\u003e",
                '&' => "\\u0026",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            w.write_all(&part.as_bytes()[plain..i])?;
            w.write_all(escape.as_bytes())?;
            plain = i + c.len_utf8();
        }
        w.write_all(&part.as_bytes()[plain..])
    }
}

/// The text of a JSON string without quotes and escapes, `None` for another value.
pub(crate) fn as_str(json: &[u8]) -> Option<String> {
    if json.first() != Some(&b'"') {
        return None;
    }
    let mut reader = Transcoder { text: json, at: 0 };
    Some(reader.string().into_owned())
}

/// Walks text that is known to be valid JSON (a `RawValue` is), so it indexes
/// without checks for well-formedness; depth is bounded by the parser before it.
struct Transcoder<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Transcoder<'a> {
    fn peek(&mut self) -> u8 {
        while matches!(self.text.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn value(&mut self, out: &mut Vec<u8>) {
        match self.peek() {
            b'{' => self.object(out),
            b'[' => self.array(out),
            b'"' => {
                let text = self.string();
                write_str(out, &text);
            }
            b't' | b'f' | b'n' => {
                let word = self.word();
                out.extend_from_slice(word);
            }
            _ => {
                let word = self.word();
                number(out, word);
            }
        }
    }

    fn word(&mut self) -> &'a [u8] {
        let start = self.at;
        while self
            .text
            .get(self.at)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn array(&mut self, out: &mut Vec<u8>) {
        self.at += 1;
        out.push(b'[');
        let mut first = true;
        while !matches!(self.peek(), b']' | 0) {
            if self.peek() == b',' {
                self.at += 1;
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            self.value(out);
        }
        self.at += 1;
        out.push(b']');
    }

    fn object(&mut self, out: &mut Vec<u8>) {
        self.at += 1;
        out.push(b'{');
        let start = out.len();
        // Where in `out` each member stands, without a comma.
        let mut members: Vec<(Cow<'a, str>, Range<usize>)> = Vec::new();
        while !matches!(self.peek(), b'}' | 0) {
            if self.peek() == b',' {
                self.at += 1;
                continue;
            }
            let key = self.string();
            if self.peek() == b':' {
                self.at += 1;
            }
            if !members.is_empty() {
                out.push(b',');
            }
            let from = out.len();
            write_str(out, &key);
            out.push(b':');
            self.value(out);
            members.push((key, from..out.len()));
        }
        self.at += 1;
        if !members.is_sorted_by(|a, b| a.0 < b.0) {
            reorder(out, start, members);
        }
        out.push(b'}');
    }

    /// Reads a string; a lone surrogate becomes U+FFFD.
    fn string(&mut self) -> Cow<'a, str> {
        self.at += 1;
        let start = self.at;
        while !matches!(self.text.get(self.at), Some(b'"' | b'\\') | None) {
            self.at += 1;
        }
        let head = String::from_utf8_lossy(&self.text[start..self.at]);
        if self.text.get(self.at) != Some(&b'\\') {
            self.at += 1;
            return head;
        }
        let mut text = head.into_owned();
        loop {
            match self.text.get(self.at) {
                Some(b'\\') => self.escape(&mut text),
                Some(b'"') | None => break,
                Some(_) => {
                    let start = self.at;
                    while !matches!(self.text.get(self.at), Some(b'"' | b'\\') | None) {
                        self.at += 1;
                    }
                    text.push_str(&String::from_utf8_lossy(&self.text[start..self.at]));
                }
            }
        }
        self.at += 1;
        Cow::Owned(text)
    }

    fn escape(&mut self, text: &mut String) {
        let kind = self.text.get(self.at + 1).copied().unwrap_or(b'"');
        self.at += 2;
        text.push(match kind {
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => self.unicode(),
            other => char::from(other),
        });
    }

    fn unicode(&mut self) -> char {
        let high = self.hex(self.at);
        self.at = (self.at + 4).min(self.text.len());
        if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with(b"\\u") {
            let low = self.hex(self.at + 2);
            if (0xdc00..0xe000).contains(&low) {
                self.at += 6;
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
        }
        char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&self, at: usize) -> u32 {
        let digits = self
            .text
            .get(at..at + 4)
            .and_then(|d| std::str::from_utf8(d).ok());
        digits
            .and_then(|d| u32::from_str_radix(d, 16).ok())
            .unwrap_or(0xfffd)
    }
}

/// Sorts the members of an object that was written from `start` on.
fn reorder(out: &mut Vec<u8>, start: usize, mut members: Vec<(Cow<'_, str>, Range<usize>)>) {
    // Stable, so that of equal keys the last one written comes last.
    members.sort_by(|a, b| a.0.cmp(&b.0));
    let written = out.split_off(start);
    for (i, (key, range)) in members.iter().enumerate() {
        if members.get(i + 1).is_some_and(|next| next.0 == *key) {
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(&written[range.start - start..range.end - start]);
    }
}

fn number(out: &mut Vec<u8>, text: &[u8]) {
    let is_float = text.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
    let parsed = std::str::from_utf8(text)
        .ok()
        .and_then(|t| t.parse::<f64>().ok());
    match parsed {
        Some(n) if is_float && n.is_finite() => out.extend_from_slice(go_float(n).as_bytes()),
        _ => out.extend_from_slice(text),
    }
}

/// Shortest digits; an exponent only below 1e-6 and from 1e21 on.
fn go_float(n: f64) -> String {
    let size = n.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{n:e}");
        match text.split_once('e') {
            Some((mantissa, exp)) if exp.starts_with('-') => format!("{mantissa}e{exp}"),
            Some((mantissa, exp)) => format!("{mantissa}e+{exp}"),
            None => text,
        }
    } else {
        format!("{n}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canon(text: &str) -> String {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        String::from_utf8(canonical(raw).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn values_take_their_canonical_form() {
        for (input, expected) in [
            ("1", "1"),
            ("-0", "-0"),
            ("1.0", "1"),
            ("12.50", "12.5"),
            ("1e3", "1000"),
            ("1e21", "1e+21"),
            ("1e-7", "1e-7"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            (" [ 1 , [ 2 ] , {} ] ", "[1,[2],{}]"),
            (
                r#"{"b": 1, "a": {"d":2,"c":3}, "b": 4}"#,
                r#"{"a":{"c":3,"d":2},"b":4}"#,
            ),
            (
                r#""gr\u00fc\u00dfe <b>&""#,
                r#""grüße \u003cb\u003e\u0026""#,
            ),
            (r#""\ud83d\ude00 \ud800 \/""#, "\"😀 \u{fffd} /\""),
            ("\"\\u0001\\b\\f\\u2028\"", "\"\\u0001\\b\\f\\u2028\""),
            ("null", "null"),
            ("true", "true"),
        ] {
            assert_eq!(canon(input), expected, "{input}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused_and_the_rest_is_not() {
        let nested = |n: usize| format!("{}1{}", "[{\"a\":".repeat(n), "}]".repeat(n));
        let raw = |text: &str| {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            canonical(raw).map(|b| b.len())
        };
        let fits = nested(DEEPEST / 2);
        assert_eq!(raw(&fits), Ok(fits.len()));
        assert_eq!(raw(&nested(DEEPEST / 2 + 1)), Err(TooDeep));
        assert!(raw("\"[[[[\\\"[[[\"").is_ok());
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1e12..1e12f64).prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::btree_map(".*", inner, 0..8)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    /// `1.0` and `1` are the same number to a client, not to `Value`.
    fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
        use serde_json::Value::{Array, Number, Object};
        match (a, b) {
            (Number(a), Number(b)) => a.as_f64() == b.as_f64(),
            (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
            (Object(a), Object(b)) => {
                a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
            }
            (a, b) => a == b,
        }
    }

    #[test]
    fn a_number_keeps_its_last_digit() {
        let text = "[905611522880.6427]";
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        assert_eq!(canon(text), text);
    }

    proptest! {
        #[test]
        fn canonical_form_keeps_the_value_and_is_stable(value in any_json()) {
            let once = canon(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert!(same(&serde_json::from_str(&once).unwrap(), &value), "{}", once);
            prop_assert_eq!(canon(&once), once);
        }
    }
}
