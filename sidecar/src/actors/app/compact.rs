//! JSON within JSON.

use std::fmt::Write;

use serde_json::value::RawValue;

/// The value without whitespace, its order and its numbers as they are, and escaped
/// as upstream's encoder does.
pub(super) fn compact(value: &RawValue) -> Option<Box<RawValue>> {
    let mut out = String::with_capacity(value.get().len());
    let (mut quoted, mut escaped) = (false, false);
    for c in value.get().chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if !quoted && c.is_ascii_whitespace() => continue,
            _ => {}
        }
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    RawValue::from_string(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whitespace_between_the_parts_goes() {
        for (given, expected) in [
            ("1.50", "1.50"),
            (" [ 1 , null ]\n", "[1,null]"),
            (r#"{"b": 1, "a": "x y"}"#, r#"{"b":1,"a":"x y"}"#),
            (r#"" \" <b> \\ ""#, r#"" \" \u003cb\u003e \\ ""#),
            ("\"a&b\u{2028}\"", r#""a\u0026b\u2028""#),
        ] {
            let raw: Box<RawValue> = serde_json::from_str(given).unwrap();
            assert_eq!(compact(&raw).unwrap().get(), expected, "{given}");
        }
    }
}
