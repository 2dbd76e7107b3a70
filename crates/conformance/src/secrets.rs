//! The suite for secret stores. Stores are read only, so the caller puts secrets
//! into the backend and says which.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use component::ErrorKind;
use component::secrets::{Secret, SecretStore};

use crate::{Outcome, Report};

/// The keys and values of one secret.
pub type Keys = &'static [(&'static str, &'static str)];

/// What the store holds and promises.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Shown in the table.
    pub name: &'static str,
    /// Secrets that the backend holds; it may hold more.
    pub present: &'static [(&'static str, Keys)],
    /// A name that the backend does not hold.
    pub missing: &'static str,
    /// A missing secret is an empty text under its name, and no error.
    pub missing_is_empty: bool,
    /// Request metadata of every call.
    pub metadata: &'static [(&'static str, &'static str)],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "secret store",
            present: &[],
            missing: "no-such-secret",
            missing_is_empty: false,
            metadata: &[],
        }
    }
}

/// Runs the suite, prints its table, and panics when a case failed.
pub async fn check(store: Arc<dyn SecretStore>, options: Options) {
    run(store, options).await.finish();
}

/// Runs the suite.
pub async fn run(store: Arc<dyn SecretStore>, options: Options) -> Report {
    let s = Subject {
        store: store.as_ref(),
        options,
    };
    let cases = vec![
        ("a ping answers or is unsupported", outcome(s.ping().await)),
        ("secrets are found", outcome(s.found().await)),
        ("a missing secret", outcome(s.missing().await)),
        ("bulk has every secret", outcome(s.bulk().await)),
        ("one key or several, as declared", outcome(s.keys().await)),
        ("readers at the same time", outcome(s.together().await)),
    ];
    let features = if store.multiple_key_values() {
        vec!["MULTIPLE_KEY_VALUES_PER_SECRET"]
    } else {
        Vec::new()
    };
    Report {
        component: options.name.into(),
        features,
        cases,
    }
}

fn outcome(result: Result<()>) -> Outcome {
    result.map_or_else(Outcome::Failed, |()| Outcome::Passed)
}

struct Subject<'a> {
    store: &'a dyn SecretStore,
    options: Options,
}

impl Subject<'_> {
    fn metadata(&self) -> BTreeMap<String, String> {
        self.options
            .metadata
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    fn present(&self) -> impl Iterator<Item = (&'static str, Secret)> + use<> {
        self.options.present.iter().map(|(name, keys)| {
            let keys = keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            (*name, Secret(keys.collect()))
        })
    }

    async fn ping(&self) -> Result<()> {
        match self.store.ping().await {
            Err(error) if error.kind != ErrorKind::Unsupported => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn found(&self) -> Result<()> {
        ensure!(
            !self.options.present.is_empty(),
            "the options name no secret"
        );
        for (name, expected) in self.present() {
            let got = self
                .store
                .get(name, &self.metadata())
                .await
                .with_context(|| name.to_owned())?;
            ensure!(got == expected, "{name} has other keys or values: {got:?}");
        }
        Ok(())
    }

    async fn missing(&self) -> Result<()> {
        let name = self.options.missing;
        match self.store.get(name, &self.metadata()).await {
            Ok(got) if self.options.missing_is_empty => {
                let empty = Secret(BTreeMap::from([(name.to_owned(), String::new())]));
                ensure!(got == empty, "a missing secret has keys: {got:?}");
            }
            Ok(got) => anyhow::bail!("a missing secret was found with {got:?}"),
            Err(error) => ensure!(
                error.kind == ErrorKind::NotFound,
                "the error is {:?}: {error}",
                error.kind
            ),
        }
        Ok(())
    }

    async fn bulk(&self) -> Result<()> {
        let all = self.store.bulk_get(&self.metadata()).await?;
        for (name, expected) in self.present() {
            let got = all
                .get(name)
                .with_context(|| format!("{name} is missing"))?;
            ensure!(*got == expected, "{name} has other keys or values: {got:?}");
        }
        ensure!(
            !all.contains_key(self.options.missing),
            "a missing secret is listed"
        );
        Ok(())
    }

    /// A store of single values answers every secret under its own name.
    async fn keys(&self) -> Result<()> {
        if self.store.multiple_key_values() {
            return Ok(());
        }
        for (name, secret) in self.store.bulk_get(&self.metadata()).await? {
            ensure!(
                secret.0.len() == 1 && secret.0.contains_key(&name),
                "{name} has the keys {secret:?}"
            );
        }
        Ok(())
    }

    async fn together(&self) -> Result<()> {
        let metadata = self.metadata();
        let reads = (0..8)
            .flat_map(|_| self.options.present)
            .map(|(name, _)| self.store.get(name, &metadata));
        for result in futures_util::future::join_all(reads).await {
            result?;
        }
        Ok(())
    }
}
