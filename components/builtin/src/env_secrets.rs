//! `secretstores.local.env`: the environment variables of the process.

use std::collections::BTreeMap;

use async_trait::async_trait;
use component::secrets::{Secret, SecretStore};
use component::{Component, Env, JsonSchema, Result};
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
#[serde(default)]
#[derive(Default)]
pub(crate) struct Config {
    /// Put before the name of a secret; only variables that start with it are listed.
    prefix: String,
}

pub(crate) struct EnvSecrets {
    prefix: String,
}

impl Component for EnvSecrets {
    type Config = Config;

    async fn open(config: Config, _: Env) -> Result<Self> {
        Ok(Self {
            prefix: config.prefix,
        })
    }
}

#[async_trait]
impl SecretStore for EnvSecrets {
    /// A variable that is not set, or hidden, is an empty text and no error, as upstream has it.
    async fn get(&self, name: &str, _: &BTreeMap<String, String>) -> Result<Secret> {
        let variable = format!("{}{name}", self.prefix);
        let value = if hidden(&variable) {
            None
        } else {
            std::env::var_os(&variable)
        };
        Ok(single(
            name,
            value
                .map(|v| v.to_string_lossy().into_owned())
                .unwrap_or_default(),
        ))
    }

    async fn bulk_get(&self, _: &BTreeMap<String, String>) -> Result<BTreeMap<String, Secret>> {
        let lossy = |(k, v): (std::ffi::OsString, std::ffi::OsString)| {
            (
                k.to_string_lossy().into_owned(),
                v.to_string_lossy().into_owned(),
            )
        };
        Ok(select(&self.prefix, std::env::vars_os().map(lossy)))
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

fn single(name: &str, value: String) -> Secret {
    Secret(BTreeMap::from([(name.to_owned(), value)]))
}

fn select(
    prefix: &str,
    variables: impl Iterator<Item = (String, String)>,
) -> BTreeMap<String, Secret> {
    let shown = variables.filter(|(variable, _)| !hidden(variable));
    let named = shown.filter_map(|(variable, value)| {
        let name = variable
            .strip_prefix(prefix)
            .filter(|name| !name.is_empty())?;
        Some((name.to_owned(), single(name, value)))
    });
    named.collect()
}

/// Variables of the runtime's own, among them API tokens.
fn hidden(variable: &str) -> bool {
    let variable = variable.to_uppercase();
    variable == "APP_API_TOKEN" || variable.starts_with("DAPR_")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check(prefix: &str, expected: &[&str]) {
        let names = [
            "",
            "A",
            "APP_API_TOKEN",
            "app_api_token",
            "APP_KEY",
            "APP_",
            "DAPR_X",
            "dapr_y",
            "DAPRX",
        ];
        let variables = names
            .iter()
            .map(|name| ((*name).to_owned(), "v".to_owned()));
        let found = select(prefix, variables);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected, "{prefix}");
        assert!(found.iter().all(|(name, secret)| secret.0[name] == "v"));
    }

    #[test]
    fn bulk_cuts_the_prefix_and_hides_the_runtimes_own() {
        check("", &["A", "APP_", "APP_KEY", "DAPRX"]);
        check("APP_", &["KEY"]);
        check("DAPR", &["X"]);
        check("DAPR_", &[]);
    }

    #[tokio::test]
    async fn a_single_secret_is_read_under_the_prefix() {
        let open = |prefix: &str| EnvSecrets {
            prefix: prefix.into(),
        };
        let none = BTreeMap::new();
        let found = open("CARGO_PKG_").get("NAME", &none).await.unwrap();
        assert_eq!(found, single("NAME", "builtin".into()));
        let unset = open("").get("no=such", &none).await.unwrap();
        assert_eq!(unset, single("no=such", String::new()));
    }

    #[tokio::test]
    async fn it_conforms() {
        let config = Config {
            prefix: "CARGO_PKG_".into(),
        };
        let store = EnvSecrets::open(config, Env::named("env")).await.unwrap();
        let options = conformance::secrets::Options {
            present: &[("NAME", &[("NAME", "builtin")])],
            missing_is_empty: true,
            ..Default::default()
        };
        conformance::secrets::check(Arc::new(store), options).await;
    }
}
