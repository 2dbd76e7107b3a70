use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;

use crate::secrets::SecretStore;
use crate::state::StateStore;
use crate::{Env, Result, metadata};

/// A component type: how its metadata looks and how it is opened.
pub trait Component: Sized + Send + Sync + 'static {
    type Config: DeserializeOwned + JsonSchema + Send;

    /// Connects and checks. Must end when `env.shutdown` is cancelled.
    fn open(config: Self::Config, env: Env) -> impl Future<Output = Result<Self>> + Send;
}

/// How far a component can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Alpha,
    Beta,
    Stable,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Beta => "beta",
            Self::Stable => "stable",
        }
    }
}

/// What the catalogue says of one component type and version.
#[derive(Clone, Copy)]
pub struct Descriptor {
    /// For example `state`.
    pub block: &'static str,
    /// For example `redis`.
    pub name: &'static str,
    /// `v1`, `v2` ...
    pub version: &'static str,
    /// Used when a resource gives no version.
    pub default_version: bool,
    pub title: &'static str,
    pub status: Status,
    /// What the tests run it against, for example `redis 7 (Debian)`.
    pub tested_with: &'static str,
    pub schema: fn() -> Schema,
}

type Opening<T> = Pin<Box<dyn Future<Output = Result<Arc<T>>> + Send>>;
/// Decodes metadata, opens the component and erases its type.
pub type Open<T> = fn(metadata::Properties, Env) -> Opening<T>;

struct Entry<T: ?Sized> {
    descriptor: Descriptor,
    open: Open<T>,
}

/// Every component type this build can open. Filled once, by explicit calls,
/// before anything is loaded; an entry is two pointers and costs nothing else.
#[derive(Default)]
pub struct Registry {
    state: Kind<dyn StateStore>,
    secrets: Kind<dyn SecretStore>,
}

struct Kind<T: ?Sized>(BTreeMap<&'static str, Vec<Entry<T>>>);

impl<T: ?Sized> Default for Kind<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: ?Sized> Kind<T> {
    fn add(&mut self, descriptor: Descriptor, open: Open<T>) {
        self.0.entry(descriptor.name).or_default().push(Entry { descriptor, open });
    }

    /// Types are matched in lower case. Versions ``, `v0` and `v1` are the same
    /// unless the type marks another default.
    fn find(&self, name: &str, version: &str) -> Option<Open<T>> {
        let entries = self.0.get(name.to_ascii_lowercase().as_str())?;
        let version = version.to_ascii_lowercase();
        let initial = matches!(version.as_str(), "" | "v0" | "v1");
        entries
            .iter()
            .find(|e| match version.as_str() {
                "" => e.descriptor.default_version || entries.len() == 1,
                v => e.descriptor.version == v || (initial && e.descriptor.version == "v1"),
            })
            .map(|e| e.open)
    }
}

impl Registry {
    pub fn state<T: Component + StateStore>(&mut self, descriptor: Descriptor) {
        let descriptor = Descriptor { block: "state", schema: || schema_for!(T::Config), ..descriptor };
        self.state.add(descriptor, |properties, env| {
            Box::pin(async move {
                let config = metadata::decode(&properties)?;
                Ok(Arc::new(T::open(config, env).await?) as Arc<dyn StateStore>)
            })
        });
    }
}
