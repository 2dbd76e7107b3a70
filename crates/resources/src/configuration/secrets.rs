//! Which secrets the secrets API gives out.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["scopes"]))]
pub struct Secrets {
    pub scopes: Vec<SecretScope>,
}

/// The rules of one store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["storeName"]))]
pub struct SecretScope {
    pub store_name: String,
    /// `allow` or `deny` in any case; empty means allow.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default_access: String,
    /// When not empty, only these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_secrets: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied_secrets: Vec<String>,
}

impl Secrets {
    /// A repeated store or an unknown access word ends the start, with upstream's texts.
    pub fn validate(&self) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for scope in &self.scopes {
            if !seen.insert(&scope.store_name) {
                return Err(format!(
                    "{} storeName is repeated in secrets configuration",
                    scope.store_name
                ));
            }
            let access = &scope.default_access;
            if !access.is_empty()
                && !["allow", "deny"]
                    .iter()
                    .any(|a| access.eq_ignore_ascii_case(a))
            {
                return Err(format!(
                    "defaultAccess {access} can be either allow or deny"
                ));
            }
        }
        Ok(())
    }

    /// Whether a secret of a store may be given out. A store without a scope is open.
    pub fn allows(&self, store: &str, secret: &str) -> bool {
        self.scopes
            .iter()
            .find(|s| s.store_name == store)
            .is_none_or(|s| s.allows(secret))
    }
}

impl SecretScope {
    /// The allow list decides alone when it is not empty; then the deny list; then the default.
    pub fn allows(&self, secret: &str) -> bool {
        let listed = |list: &[String]| list.iter().any(|s| s == secret);
        if !self.allowed_secrets.is_empty() {
            return listed(&self.allowed_secrets);
        }
        !listed(&self.denied_secrets) && !self.default_access.eq_ignore_ascii_case("deny")
    }
}
