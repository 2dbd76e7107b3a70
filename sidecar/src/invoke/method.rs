//! Method names of calls, between apps and of actors.

use service::quote::quoted;

/// Cleans a decoded method as a path: `.`, `..`, double and trailing slashes go,
/// and it cannot climb out. The error says what it holds that no method may.
pub(crate) fn normalize(method: &str) -> Result<String, String> {
    if let Some(at) = method.find(|c: char| matches!(c, '\u{1}'..'\u{20}' | '\u{7f}')) {
        return Err(format!(
            "method contains control character at position {at}: {method:?}"
        ));
    }
    if method.contains(['#', '?', '\0']) {
        return Err(format!(
            "method contains forbidden character: {}",
            quoted(method)
        ));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in method.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// How a call of another app tells of a method that [`normalize`] refuses.
pub(super) fn refused(cause: &str) -> String {
    format!("rpc error: code = InvalidArgument desc = invalid method: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_cleaned_or_refused() {
        for (method, expected) in [
            ("orders", Ok("orders")),
            ("", Ok("")),
            ("/a//b/./c/../d/", Ok("a/b/d")),
            ("../../secret", Ok("secret")),
            ("..", Ok("")),
            ("a%2Fb", Ok("a%2Fb")),
            ("grüße", Ok("grüße")),
            ("a\u{85}b", Ok("a\u{85}b")),
            ("a?b", Err(())),
            ("a#b", Err(())),
            ("a\0b", Err(())),
            ("a\nb", Err(())),
            ("a\u{7f}b", Err(())),
        ] {
            assert_eq!(
                normalize(method).as_deref().map_err(|_| ()),
                expected,
                "{method:?}"
            );
        }
    }
}
