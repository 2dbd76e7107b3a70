//! `middleware.http.routeralias`: gives other addresses to API routes.

use axum::extract::Request;
use component::metadata::Properties;
use component::{Error, Result};
use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use regex::Regex;

pub(crate) struct RouterAlias(Vec<Alias>);

struct Alias {
    pattern: Regex,
    path: String,
}

impl RouterAlias {
    /// `routes` alone holds a JSON or YAML map; otherwise every property is a pair
    /// of pattern and path.
    pub(super) fn open(properties: &Properties) -> Result<Self> {
        let pairs: Vec<(String, String)> = match properties.0.iter().next() {
            Some((name, text)) if properties.0.len() == 1 && name == "routes" => map(text)?,
            _ => properties
                .0
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        };
        let alias = |(pattern, path): (String, String)| {
            if pattern.is_empty() || path.is_empty() {
                return Err(Error::config(
                    "invalid key/value pair in metadata: must not be empty",
                ));
            }
            Ok(Alias {
                pattern: compile(&pattern)?,
                path,
            })
        };
        Ok(Self(pairs.into_iter().map(alias).collect::<Result<_>>()?))
    }

    pub(super) fn rewrite(&self, mut req: Request) -> Request {
        let path = req.uri().path();
        let found = self
            .0
            .iter()
            .find_map(|alias| Some((alias, alias.pattern.captures(path)?)));
        let Some((alias, captures)) = found else {
            return req;
        };
        let (target, fixed) = alias.path.split_once('?').unwrap_or((&alias.path, ""));
        let mut query: Vec<String> = [fixed, req.uri().query().unwrap_or("")]
            .map(str::to_owned)
            .into();
        for name in alias.pattern.capture_names().flatten() {
            let value = captures.name(name).map_or("", |m| m.as_str());
            query.push(format!(
                "{name}={}",
                utf8_percent_encode(value, NON_ALPHANUMERIC)
            ));
        }
        query.retain(|part| !part.is_empty());
        let text = if query.is_empty() {
            target.to_owned()
        } else {
            format!("{target}?{}", query.join("&"))
        };
        if let Ok(uri) = text.parse::<Uri>() {
            *req.uri_mut() = uri;
        }
        req
    }
}

fn map(text: &str) -> Result<Vec<(String, String)>> {
    let map: std::collections::BTreeMap<String, String> =
        serde_saphyr::from_str(text).map_err(|e| {
            Error::config(format!(
                "failed to decode 'routes' property as JSON or YAML: {e}"
            ))
        })?;
    Ok(map.into_iter().collect())
}

/// `{name}` is one segment, `{name:regex}` what the expression matches.
fn compile(pattern: &str) -> Result<Regex> {
    let mut out = String::from("^");
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        out.push_str(&regex::escape(&rest[..open]));
        let close = closing(&rest[open..]).ok_or_else(|| {
            Error::config(format!(
                "route alias '{pattern}' has an unclosed '{{'; close it with '}}'"
            ))
        })?;
        let inside = &rest[open + 1..open + close];
        let (name, expression) = inside.split_once(':').unwrap_or((inside, "[^/]+"));
        out.push_str(&format!("(?P<{name}>{expression})"));
        rest = &rest[open + close + 1..];
    }
    out.push_str(&regex::escape(rest));
    out.push('$');
    Regex::new(&out).map_err(|e| {
        Error::config(format!(
            "route alias '{pattern}' is not a valid pattern: {e}"
        ))
    })
}

/// The brace that closes the first one; expressions may hold pairs of their own.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return Some(i);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn open(pairs: &[(&str, &str)]) -> Result<RouterAlias> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        RouterAlias::open(&Properties(pairs.collect()))
    }

    #[test]
    fn a_match_rewrites_path_and_query() {
        let routes =
            r#"{"/mall/activity/list": "/v1.0/invoke/mall/method/list", "/a/{id}": "/v1.0/x?n=1"}"#;
        let alias = open(&[("routes", routes)]).unwrap();
        for (from, to) in [
            (
                "/mall/activity/list?q=1",
                "/v1.0/invoke/mall/method/list?q=1",
            ),
            ("/a/7?q=1", "/v1.0/x?n=1&q=1&id=7"),
            ("/other", "/other"),
        ] {
            let req = Request::builder().uri(from).body(Body::empty()).unwrap();
            assert_eq!(alias.rewrite(req).uri().to_string(), to, "{from}");
        }
        let alias = open(&[("/b/{id:[0-9]{2}}", "/v1.0/y"), ("/c", "/v1.0/z")]).unwrap();
        for (from, to) in [
            ("/b/12", "/v1.0/y?id=12"),
            ("/b/123", "/b/123"),
            ("/c", "/v1.0/z"),
        ] {
            let req = Request::builder().uri(from).body(Body::empty()).unwrap();
            assert_eq!(alias.rewrite(req).uri().to_string(), to, "{from}");
        }
    }

    #[test]
    fn bad_routes_are_refused() {
        for (pairs, part) in [
            (
                &[("routes", "[1")][..],
                "failed to decode 'routes' property as JSON or YAML",
            ),
            (&[("/a", "")], "must not be empty"),
            (&[("/a/{x", "/b")], "unclosed"),
            (&[("/a/{x:[}", "/b")], "not a valid pattern"),
        ] {
            let error = open(pairs).map(|_| ()).unwrap_err();
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}
