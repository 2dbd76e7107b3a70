//! Request paths and query strings as upstream's router reads them: routes match
//! on the escaped path, parameters are percent- and plus-decoded afterwards.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Percent- and plus-decoding. The error is the escape that cannot be read, in
/// the three characters at most that upstream shows.
pub(crate) fn decode(raw: &str) -> Result<Cow<'_, str>, String> {
    if !raw.bytes().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(Cow::Borrowed(raw));
    }
    let bytes = raw.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        match b {
            b'%' => {
                let hex = bytes
                    .get(i + 1..i + 3)
                    .and_then(|h| Some(digit(h[0])? << 4 | digit(h[1])?));
                let Some(byte) = hex else {
                    let end = (i + 3).min(bytes.len());
                    return Err(String::from_utf8_lossy(&bytes[i..end]).into_owned());
                };
                out.push(byte);
                i += 3;
                continue;
            }
            b'+' => out.push(b' '),
            other => out.push(other),
        }
        i += 1;
    }
    Ok(match String::from_utf8(out) {
        Ok(text) => Cow::Owned(text),
        Err(e) => Cow::Owned(String::from_utf8_lossy(e.as_bytes()).into_owned()),
    })
}

fn digit(b: u8) -> Option<u8> {
    char::from(b)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

/// The pairs of a query string; pairs that cannot be decoded are left out.
pub(crate) fn query(query: Option<&str>) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query
        .unwrap_or("")
        .split('&')
        .filter(|p| !p.is_empty())
        .filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(key).ok()?, decode(value).ok()?))
        })
}

/// The first value of a query parameter.
pub(crate) fn query_value<'a>(text: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    query(text).find(|(k, _)| k == name).map(|(_, v)| v)
}

/// `metadata.<key>=<value>` parameters without their prefix; the first value wins.
pub(crate) fn metadata(text: Option<&str>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in query(text) {
        if let Some(key) = key.strip_prefix("metadata.") {
            out.entry(key.to_owned())
                .or_insert_with(|| value.into_owned());
        }
    }
    out
}

/// Collapses `//`, `.` and `..` on the escaped path and strips the trailing
/// slash; `None` when the path is clean already, which is the common case.
pub(crate) fn clean(path: &str) -> Option<String> {
    let dirty = !path.starts_with('/')
        || (path.len() > 1 && path.ends_with('/'))
        || path
            .split('/')
            .skip(1)
            .any(|s| matches!(s, "" | "." | "..") && path != "/");
    if !dirty {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_percent_and_plus_decoded() {
        for (raw, expected) in [
            ("plain", Ok("plain")),
            ("a+b", Ok("a b")),
            ("a%2Fb%7C%7Cc", Ok("a/b||c")),
            ("gr%C3%BC%C3%9Fe", Ok("grüße")),
            ("bad%zz", Err("%zz")),
            ("bad%4", Err("%4")),
            ("bad%", Err("%")),
        ] {
            assert_eq!(
                decode(raw).as_deref().map_err(String::as_str),
                expected,
                "{raw}"
            );
        }
    }

    #[test]
    fn metadata_comes_from_the_query_and_the_first_value_wins() {
        let got = metadata(Some(
            "metadata.a=1&x=2&metadata.a=3&metadata.b=%20&metadata.=e&bad%zz=1",
        ));
        let expected =
            [("", "e"), ("a", "1"), ("b", " ")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(got, BTreeMap::from(expected));
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in [
            ("/v1.0/state/s/k", None),
            ("/", None),
            ("/v1.0//state/./s/../k/", Some("/v1.0/state/k")),
            ("//", Some("/")),
            ("/a/%2e%2e/b", None),
            ("/../..", Some("/")),
        ] {
            assert_eq!(clean(path).as_deref(), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_and_query_is_handled(path in ".*", text in ".*") {
            let _ = decode(&path);
            let _ = metadata(Some(&text));
            let cleaned = clean(&path).unwrap_or(path);
            prop_assert!(clean(&cleaned).is_none(), "{cleaned}");
        }
    }
}
