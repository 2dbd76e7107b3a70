//! Reads the Configuration files of `--config`.

use std::path::Path;

use serde_json::Value;

use super::document::{read_yaml, split, text_of};
use super::folder::read_file;
use super::problem::go_io_text;
use crate::configuration::{merge, start_values};
use crate::{Configuration, lenient};

/// Lays the first document of each file over the start values, in order.
/// `$NAME` and `${NAME}` are taken from the environment first. The error is the
/// text that follows `error loading configuration: `.
pub fn read_configurations<P: AsRef<Path>>(
    paths: &[P],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Configuration, String> {
    let mut documents = Vec::with_capacity(paths.len());
    for path in paths {
        let path = path.as_ref();
        std::fs::metadata(path)
            .map_err(|e| format!("stat {}: {}", path.display(), go_io_text(&e)))?;
        let bytes = read_file(path)?;
        let text = text_of(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        documents.extend(
            parse(&expand(text, env))
                .map_err(|(line, e)| format!("{}:{line}: {e}", path.display()))?,
        );
    }
    if documents.is_empty() {
        return Ok(start_values());
    }
    merge(documents).map_err(|e| e.to_string())
}

/// The typed pass finds faults with their lines; the untyped one is what merges.
fn parse(text: &str) -> Result<Option<Value>, (usize, String)> {
    let Some(document) = split(text).next() else {
        return Ok(None);
    };
    read_yaml(&document, |d| lenient::decode::<Configuration, _>(d))?;
    read_yaml(&document, |d| serde::Deserialize::deserialize(d)).map(Some)
}

/// Go's `os.ExpandEnv`: unknown names become nothing, a `$` before anything
/// that is no name stays, a broken brace is eaten.
fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let (name, used) = variable(tail);
        match name {
            Some(name) => result.push_str(&env(name).unwrap_or_default()),
            None if used == 0 => result.push('$'),
            None => {}
        }
        rest = &tail[used..];
    }
    result.push_str(rest);
    result
}

/// The name after a `$` and how many bytes it takes.
fn variable(tail: &str) -> (Option<&str>, usize) {
    let special = |c: char| matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9');
    let Some(first) = tail.chars().next() else {
        return (None, 0);
    };
    if first == '{' {
        return match tail[1..].find('}') {
            Some(0) => (None, 2),
            Some(end) => (Some(&tail[1..=end]), end + 2),
            None => (None, 1),
        };
    }
    if special(first) {
        return (Some(&tail[..1]), 1);
    }
    let end = tail
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(tail.len());
    if end == 0 {
        (None, 0)
    } else {
        (Some(&tail[..end]), end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_as_go_does() {
        let env = |name: &str| (name == "HOME_1").then(|| "x".to_owned());
        for (text, expected) in [
            ("a: $HOME_1/b", "a: x/b"),
            ("a: ${HOME_1}b", "a: xb"),
            ("a: $NONE.", "a: ."),
            ("^[a-z]+$", "^[a-z]+$"),
            ("a $ b", "a $ b"),
            ("a ${} b", "a  b"),
            ("a ${b", "a b"),
            ("$$x$1é", "xé"),
            ("$é", "$é"),
        ] {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }
}
