//! Go's quoted strings. Log lines and flag errors carry them, and tools that
//! read either expect these escapes.

use std::fmt::Write;

/// Appends `text` to `out` as a double-quoted Go string literal.
pub fn push(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            // Writing to a String cannot fail.
            '\0'..='\x7f' => drop(write!(out, "\\x{:02x}", c as u32)),
            c if is_printable(c) => out.push(c),
            c if c <= '\u{ffff}' => drop(write!(out, "\\u{:04x}", c as u32)),
            c => drop(write!(out, "\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
}

/// `text` as a double-quoted Go string literal.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push(&mut out, text);
    out
}

/// Whether Go prints the character as it is.
///
/// The standard library's debug escapes follow the same Unicode categories,
/// but only behind another character: at the front of a string it escapes
/// combining marks too, hence the leading letter.
fn is_printable(c: char) -> bool {
    let mut buffer = [b'a'; 5];
    let len = c.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..=len]).is_ok_and(|pair| pair.escape_debug().nth(1) == Some(c))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    fn check(text: &str, expected: &str) {
        assert_eq!(quoted(text), expected, "{text:?}");
    }

    #[test]
    fn escapes_are_those_of_go() {
        check("", "\"\"");
        check("plain text", "\"plain text\"");
        check("a \"b\" \\", r#""a \"b\" \\""#);
        check("\n\t\r\x07\x08\x0b\x0c", r#""\n\t\r\a\b\v\f""#);
        check("\x1b[0m\0\x7f", r#""\x1b[0m\x00\x7f""#);
    }

    #[test]
    fn printable_unicode_stays_and_the_rest_is_escaped() {
        check("Loading components…", "\"Loading components…\"");
        check(
            "naïve e\u{301} ⚠\u{fe0f} 日本",
            "\"naïve e\u{301} ⚠\u{fe0f} 日本\"",
        );
        check("\u{a0}\u{200b}\u{2028}", r#""\u00a0\u200b\u2028""#);
        check("\u{e0001}", r#""\U000e0001""#);
    }
}
