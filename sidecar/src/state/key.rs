//! How keys of the API become keys of the store.

const SEPARATOR: &str = "||";

/// The text in front of every key of one store, its separator included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(String);

impl Prefix {
    /// `strategy` is the component's `keyPrefix`; `namespace` is empty when the
    /// process has none.
    pub(crate) fn new(
        strategy: &str,
        component: &str,
        app_id: &str,
        namespace: &str,
    ) -> Result<Self, String> {
        let strategy = strategy.trim().to_lowercase();
        if strategy.contains(SEPARATOR) {
            return Err(format!(
                "input key/keyPrefix '{strategy}' can't contain '{SEPARATOR}'"
            ));
        }
        let text = match strategy.as_str() {
            "none" => "",
            "name" => component,
            "namespace" if !namespace.is_empty() && !app_id.is_empty() => {
                return Ok(Self(format!("{namespace}.{app_id}{SEPARATOR}")));
            }
            "" | "appid" | "namespace" => app_id,
            other => other,
        };
        Ok(Self(if text.is_empty() {
            String::new()
        } else {
            format!("{text}{SEPARATOR}")
        }))
    }

    /// `None` for a key that holds the separator.
    pub(crate) fn apply(&self, key: &str) -> Option<String> {
        if key.contains(SEPARATOR) {
            return None;
        }
        let mut stored = String::with_capacity(self.0.len() + key.len());
        stored.push_str(&self.0);
        stored.push_str(key);
        Some(stored)
    }

    /// The user's part of a stored key: the second of at most three parts.
    pub(crate) fn strip<'a>(&self, stored: &'a str) -> &'a str {
        let mut parts = stored.splitn(3, SEPARATOR);
        let first = parts.next().unwrap_or(stored);
        parts.next().unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_give_the_documented_keys() {
        for (strategy, app, namespace, expected) in [
            ("", "app", "", "app||k"),
            ("appid", "app", "ns", "app||k"),
            ("APPID", "", "", "k"),
            ("namespace", "app", "ns", "ns.app||k"),
            ("namespace", "app", "", "app||k"),
            ("name", "app", "", "store||k"),
            ("none", "app", "", "k"),
            ("Shared", "app", "", "shared||k"),
        ] {
            let prefix = Prefix::new(strategy, "store", app, namespace).unwrap();
            assert_eq!(prefix.apply("k").as_deref(), Some(expected), "{strategy}");
            assert_eq!(prefix.strip(expected), "k");
        }
    }

    #[test]
    fn the_separator_is_refused_in_keys_and_prefixes() {
        assert_eq!(
            Prefix::new("a||b", "s", "app", "").unwrap_err(),
            "input key/keyPrefix 'a||b' can't contain '||'"
        );
        assert_eq!(Prefix::new("", "s", "app", "").unwrap().apply("a||b"), None);
    }
}
