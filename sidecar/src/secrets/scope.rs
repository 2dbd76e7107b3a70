//! Which secrets the API may hand out (`spec.secrets.scopes` of the Configuration).

use std::collections::{BTreeMap, BTreeSet};

/// The scope of each store that has one; the others are open.
#[derive(Debug, Default)]
pub(crate) struct Scopes(BTreeMap<String, Scope>);

#[derive(Debug, Default)]
struct Scope {
    deny_by_default: bool,
    allowed: BTreeSet<String>,
    denied: BTreeSet<String>,
}

/// One entry as it is written: store, default access, allowed and denied names.
pub(crate) struct Entry<'a> {
    pub(crate) store: &'a str,
    pub(crate) default_access: &'a str,
    pub(crate) allowed: &'a [String],
    pub(crate) denied: &'a [String],
}

impl Scopes {
    pub(crate) fn new<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Result<Self, String> {
        let mut scopes = BTreeMap::new();
        for entry in entries {
            let deny_by_default = match entry.default_access.to_ascii_lowercase().as_str() {
                "" | "allow" => false,
                "deny" => true,
                _ => {
                    return Err(format!(
                        "defaultAccess {} can be either allow or deny",
                        entry.default_access
                    ));
                }
            };
            let scope = Scope {
                deny_by_default,
                allowed: entry.allowed.iter().cloned().collect(),
                denied: entry.denied.iter().cloned().collect(),
            };
            if scopes.insert(entry.store.to_owned(), scope).is_some() {
                return Err(format!(
                    "{} storeName is repeated in secrets configuration",
                    entry.store
                ));
            }
        }
        Ok(Self(scopes))
    }

    /// A list of allowed names decides alone; then the denied ones, then the default.
    pub(crate) fn allows(&self, store: &str, secret: &str) -> bool {
        let Some(scope) = self.0.get(store) else {
            return true;
        };
        if !scope.allowed.is_empty() {
            return scope.allowed.contains(secret);
        }
        !scope.denied.contains(secret) && !scope.deny_by_default
    }
}
