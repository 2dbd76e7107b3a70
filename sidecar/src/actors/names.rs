//! Which names the API takes.

use service::quote::quoted;

/// The name of an actor type, an actor, a reminder or a timer. Other sidecars and
/// apps see it as a part of a path, so it must stay one part.
pub(super) fn check(name: &str) -> Result<(), String> {
    if name.contains(['#', '?', '/', '\\', '\0']) {
        return Err(format!(
            "name contains forbidden character: {}",
            quoted(name)
        ));
    }
    if let Some(at) = name.find(|c: char| matches!(c, '\u{1}'..'\u{20}' | '\u{7f}')) {
        return Err(format!(
            "name contains control character at position {at}: {}",
            quoted(name)
        ));
    }
    if matches!(name, "." | "..") {
        return Err(format!(
            "name is a path traversal sequence: {}",
            quoted(name)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for (name, expected) in [
            ("sensor-1", Ok(())),
            ("a||b", Ok(())),
            ("grüße", Ok(())),
            ("a b", Ok(())),
            ("...", Ok(())),
            ("", Ok(())),
            ("a/b", Err("name contains forbidden character: \"a/b\"")),
            ("a\\b", Err("name contains forbidden character: \"a\\\\b\"")),
            ("a#", Err("name contains forbidden character: \"a#\"")),
            ("a?", Err("name contains forbidden character: \"a?\"")),
            ("a\0", Err("name contains forbidden character: \"a\\x00\"")),
            (
                "ab\n",
                Err("name contains control character at position 2: \"ab\\n\""),
            ),
            (
                "\u{7f}",
                Err("name contains control character at position 0: \"\\x7f\""),
            ),
            (".", Err("name is a path traversal sequence: \".\"")),
            ("..", Err("name is a path traversal sequence: \"..\"")),
        ] {
            assert_eq!(
                check(name),
                expected.map_err(str::to_owned),
                "{}",
                quoted(name)
            );
        }
    }
}
