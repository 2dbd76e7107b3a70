//! The text of a connection: a URL or `key=value` pairs, as settings by name.
//!
//! Errors never show the text, because it holds the password.

use std::collections::BTreeMap;

use component::{Error, Result};
use percent_encoding::percent_decode_str;

/// Settings under libpq's names. Lists, such as several hosts, have commas.
pub(crate) type Settings = BTreeMap<String, String>;

/// Reads a connection string; an empty one has no settings.
pub(crate) fn parse(text: &str) -> Result<Settings> {
    let text = text.trim();
    let url = text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"));
    match url {
        Some(rest) => parse_url(rest),
        None => parse_pairs(text),
    }
}

/// `user:password@host:port,host:port/database?name=value&...`
fn parse_url(rest: &str) -> Result<Settings> {
    let bad =
        || Error::config("connectionString is not a valid URL; check its user, hosts and ports");
    let mut settings = Settings::new();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (Some(user), hosts),
        None => (None, authority),
    };
    if let Some(user) = user {
        let (user, password) = match user.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (user, None),
        };
        settings.insert("user".into(), decode(user));
        if let Some(password) = password {
            settings.insert("password".into(), decode(password));
        }
    }
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',').filter(|h| !h.is_empty()) {
        let (name, port) = match host.strip_prefix('[') {
            Some(v6) => {
                let (name, port) = v6.split_once(']').ok_or_else(bad)?;
                (name, port.strip_prefix(':').unwrap_or(port))
            }
            None => host.split_once(':').unwrap_or((host, "")),
        };
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        names.push(decode(name));
        ports.push(port);
    }
    if !names.is_empty() {
        settings.insert("host".into(), names.join(","));
    }
    if ports.iter().any(|p| !p.is_empty()) {
        settings.insert("port".into(), ports.join(","));
    }
    if !database.is_empty() {
        settings.insert("dbname".into(), decode(database));
    }
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(bad)?;
        settings.insert(canonical(&decode(name)), decode(&value.replace('+', " ")));
    }
    Ok(settings)
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// `key=value` with blanks around; values may be quoted, with backslash escapes.
fn parse_pairs(text: &str) -> Result<Settings> {
    let bad = || {
        Error::config(
            "connectionString is neither a URL nor key=value pairs; check its quotes and blanks",
        )
    };
    let mut settings = Settings::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(settings);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != '=') {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        chars.next_if_eq(&'=').ok_or_else(bad)?;
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next_if(|c| quoted || !c.is_whitespace()) {
                Some('\'') if quoted => break,
                Some('\\') => value.push(chars.next().ok_or_else(bad)?),
                Some(c) => value.push(c),
                None if quoted => return Err(bad()),
                None => break,
            }
        }
        settings.insert(canonical(&key), value);
    }
}

fn canonical(name: &str) -> String {
    match name {
        "database" => "dbname".into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match parse(text) {
            Ok(settings) => settings
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect::<Vec<_>>()
                .join(" "),
            Err(e) => {
                assert!(!e.message.contains("s3cret"), "{e}");
                e.message
            }
        };
        assert!(shown.starts_with(expected), "{text}: {shown}");
    }

    #[test]
    fn urls() {
        check(
            "postgres://u:p%20%40w@h:1/db",
            "dbname=db host=h password=p @w port=1 user=u",
        );
        check(
            "postgresql://u@h/db?sslmode=verify-full&a=b%3Dc",
            "a=b=c dbname=db host=h sslmode=verify-full user=u",
        );
        check("postgres://a:1,b,c:3/db", "dbname=db host=a,b,c port=1,,3");
        check(
            "postgres://u@[::1]:7/db",
            "dbname=db host=::1 port=7 user=u",
        );
        check("postgres://%2Frun%2Fpg/db", "dbname=db host=/run/pg");
        check(
            "postgres://u:s3cret@h/d?host=x&database=y",
            "dbname=y host=x password=s3cret user=u",
        );
        check(
            "postgres://u:s3cret@h:port/db",
            "connectionString is not a valid URL",
        );
        check(
            "postgres://u:s3cret@[::1/db",
            "connectionString is not a valid URL",
        );
    }

    #[test]
    fn pairs() {
        check(
            "host=h port=2 user=u password='p \\'w'",
            "host=h password=p 'w port=2 user=u",
        );
        check(" host = h  database=d ", "dbname=d host=h");
        check("host=a\\ b empty=''", "empty= host=a b");
        check("", "");
        check("s3cret", "connectionString is neither");
        check("host=h password='s3cret", "connectionString is neither");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(postgres://)?.*") {
            let _ = parse(&text);
        }

        #[test]
        fn quoting_keeps_every_value(value in ".*") {
            let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
            let settings = parse(&format!("password='{quoted}' host=h")).unwrap();
            prop_assert_eq!(&settings["password"], &value);
        }
    }
}
