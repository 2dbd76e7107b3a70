use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;

use crate::pubsub::PubSub;
use crate::resolution::{Instance, NameResolver, Resolver};
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

/// What the catalogue says of one component type and version. Written as a
/// literal over [`Descriptor::new`].
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// For example `state`. Set by the registry.
    pub block: &'static str,
    /// For example `redis`.
    pub name: &'static str,
    /// Other names of the same type and version.
    pub aliases: &'static [&'static str],
    /// `v1`, `v2` ...
    pub version: &'static str,
    /// Used when a resource gives no version of a type that has several.
    pub default_version: bool,
    /// For example `Redis`.
    pub title: &'static str,
    pub status: Status,
    /// The words of the metadata API for what it always can do.
    pub features: &'static [&'static str],
    /// What the tests run it against, for example `redis 7 (Debian)`.
    pub tested_with: &'static str,
    /// The metadata's schema. Set by the registry.
    pub schema: fn() -> Schema,
}

impl Descriptor {
    /// Version `v1`, status stable, no features.
    pub const fn new(name: &'static str, title: &'static str) -> Self {
        Self {
            block: "",
            name,
            aliases: &[],
            version: "v1",
            default_version: false,
            title,
            status: Status::Stable,
            features: &[],
            tested_with: "itself",
            schema: Schema::default,
        }
    }
}

type Opening<T> = Pin<Box<dyn Future<Output = Result<Arc<T>>> + Send>>;
/// Decodes metadata, opens the component and erases its type.
pub type Open<T> = fn(metadata::Properties, Env) -> Opening<T>;
/// The same for a resolver, which has a JSON object in place of properties.
pub type OpenResolver = fn(serde_json::Value, Env, Instance) -> Opening<dyn NameResolver>;

struct Entry<F> {
    descriptor: Descriptor,
    open: F,
}

/// The types of one building block; `F` is how one is opened.
struct Kind<T: ?Sized, F = Open<T>>(BTreeMap<&'static str, Vec<Entry<F>>>, PhantomData<fn(&T)>);

impl<T: ?Sized, F> Default for Kind<T, F> {
    fn default() -> Self {
        Self(BTreeMap::new(), PhantomData)
    }
}

/// The versions that a resource without one means.
fn initial(version: &str) -> bool {
    matches!(version, "" | "v0" | "v1")
}

impl<T: ?Sized, F: Copy> Kind<T, F> {
    fn add(&mut self, descriptor: Descriptor, open: F) {
        for name in descriptor.aliases.iter().copied().chain([descriptor.name]) {
            self.0
                .entry(name)
                .or_default()
                .push(Entry { descriptor, open });
        }
    }

    /// Types and versions are matched in lower case. Versions ``, `v0` and `v1`
    /// are the same, unless the type has several: then an empty one is its default.
    fn find(&self, name: &str, version: &str) -> Option<F> {
        let entries = self.0.get(name.to_ascii_lowercase().as_str())?;
        let version = version.to_ascii_lowercase();
        let several = entries.len() > 1;
        let found = entries.iter().find(|e| {
            e.descriptor.version == version
                || if several {
                    version.is_empty() && e.descriptor.default_version
                } else {
                    initial(&version)
                }
        });
        found.map(|e| e.open)
    }

    fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        let all = self
            .0
            .iter()
            .flat_map(|(name, entries)| entries.iter().map(move |e| (name, &e.descriptor)));
        all.filter(|(name, d)| d.name == **name).map(|(_, d)| d)
    }
}

/// Every component type this build can open. Filled once, by explicit calls,
/// before anything is loaded; an entry is two pointers and costs nothing else.
#[derive(Default)]
pub struct Registry {
    pubsub: Kind<dyn PubSub>,
    state: Kind<dyn StateStore>,
    secrets: Kind<dyn SecretStore>,
    resolvers: Kind<dyn NameResolver, OpenResolver>,
}

impl Registry {
    /// Adds a state store type.
    pub fn state<T: Component + StateStore>(&mut self, descriptor: Descriptor) {
        self.state
            .add(described::<T>("state", descriptor), |properties, env| {
                Box::pin(
                    async move { Ok(open::<T>(&properties, env).await? as Arc<dyn StateStore>) },
                )
            });
    }

    /// Adds a message broker type.
    pub fn pubsub<T: Component + PubSub>(&mut self, descriptor: Descriptor) {
        self.pubsub
            .add(described::<T>("pubsub", descriptor), |properties, env| {
                Box::pin(async move { Ok(open::<T>(&properties, env).await? as Arc<dyn PubSub>) })
            });
    }

    /// Adds a secret store type.
    pub fn secrets<T: Component + SecretStore>(&mut self, descriptor: Descriptor) {
        self.secrets.add(
            described::<T>("secretstores", descriptor),
            |properties, env| {
                Box::pin(
                    async move { Ok(open::<T>(&properties, env).await? as Arc<dyn SecretStore>) },
                )
            },
        );
    }

    /// Adds a name resolver type.
    pub fn resolver<T: Resolver>(&mut self, descriptor: Descriptor) {
        let descriptor = Descriptor {
            block: "nameresolution",
            schema: || schema_for!(T::Config),
            ..descriptor
        };
        self.resolvers
            .add(descriptor, |configuration, env, instance| {
                Box::pin(async move {
                    let config = metadata::decode_json(&configuration)?;
                    let resolver = T::open(config, env, instance).await?;
                    Ok(Arc::new(resolver) as Arc<dyn NameResolver>)
                })
            });
    }

    /// How to open a name resolver, from `spec.nameResolution` of a Configuration.
    pub fn name_resolver(&self, name: &str, version: &str) -> Option<OpenResolver> {
        self.resolvers.find(name, version)
    }

    /// How to open a message broker; `name` without the `pubsub.` in front.
    pub fn message_bus(&self, name: &str, version: &str) -> Option<Open<dyn PubSub>> {
        self.pubsub.find(name, version)
    }

    /// How to open a state store; `name` without the `state.` in front.
    pub fn state_store(&self, name: &str, version: &str) -> Option<Open<dyn StateStore>> {
        self.state.find(name, version)
    }

    /// How to open a secret store; `name` without the `secretstores.` in front.
    pub fn secret_store(&self, name: &str, version: &str) -> Option<Open<dyn SecretStore>> {
        self.secrets.find(name, version)
    }

    /// Every type and version once, by block and name.
    pub fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        let brokers = self.pubsub.descriptors();
        self.resolvers
            .descriptors()
            .chain(brokers)
            .chain(self.secrets.descriptors())
            .chain(self.state.descriptors())
    }
}

fn described<T: Component>(block: &'static str, descriptor: Descriptor) -> Descriptor {
    Descriptor {
        block,
        schema: || schema_for!(T::Config),
        ..descriptor
    }
}

async fn open<T: Component>(properties: &metadata::Properties, env: Env) -> Result<Arc<T>> {
    Ok(Arc::new(T::open(metadata::decode(properties)?, env).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(_: metadata::Properties, env: Env) -> Opening<String> {
        Box::pin(async move { Ok(Arc::new(env.name)) })
    }

    fn kind(versions: &[(&'static str, bool)], aliases: &'static [&'static str]) -> Kind<String> {
        let mut kind: Kind<String> = Kind::default();
        for (version, default_version) in versions {
            let descriptor = Descriptor {
                aliases,
                version,
                default_version: *default_version,
                ..Descriptor::new("thing", "Thing")
            };
            kind.add(descriptor, opens);
        }
        kind
    }

    #[track_caller]
    fn check(kind: &Kind<String>, name: &str, found: &[&str], not_found: &[&str]) {
        for version in found {
            assert!(kind.find(name, version).is_some(), "{name}/{version}");
        }
        for version in not_found {
            assert!(kind.find(name, version).is_none(), "{name}/{version}");
        }
    }

    #[test]
    fn a_single_version_answers_to_the_initial_ones() {
        check(
            &kind(&[("v1", false)], &[]),
            "Thing",
            &["", "v0", "v1", "V1"],
            &["v2", "1"],
        );
        check(
            &kind(&[("v2", false)], &[]),
            "thing",
            &["", "v0", "v1", "v2"],
            &["v3"],
        );
        check(&kind(&[], &[]), "thing", &[], &["", "v1"]);
    }

    #[test]
    fn several_versions_have_a_default() {
        let several = kind(&[("v1", true), ("v2", false)], &["old.thing"]);
        check(&several, "thing", &["", "v1", "v2"], &["v0", "v3"]);
        check(&several, "old.Thing", &["", "v1", "v2"], &["v0", "v3"]);
        let listed: Vec<_> = several.descriptors().map(|d| (d.name, d.version)).collect();
        assert_eq!(listed, [("thing", "v1"), ("thing", "v2")]);
    }
}
