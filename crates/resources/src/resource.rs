//! Any resource, as read from a file or a stream.

use std::fmt;

use serde::Deserializer;
use serde::de::DeserializeOwned;

use crate::lenient;
use crate::meta::{Object, ObjectMeta};
use crate::subscription::SubscriptionV1;
use crate::{
    Component, Configuration, HttpEndpoint, McpServer, Resiliency, Subscription,
    WorkflowAccessPolicy, validate_name,
};

/// The kinds of resources, in upstream's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Component,
    Configuration,
    HttpEndpoint,
    McpServer,
    Resiliency,
    Subscription,
    WorkflowAccessPolicy,
}

impl Kind {
    /// The word in `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Component => Component::KIND,
            Self::Configuration => Configuration::KIND,
            Self::HttpEndpoint => HttpEndpoint::KIND,
            Self::McpServer => McpServer::KIND,
            Self::Resiliency => Resiliency::KIND,
            Self::Subscription => Subscription::KIND,
            Self::WorkflowAccessPolicy => WorkflowAccessPolicy::KIND,
        }
    }

    /// The kind of an `apiVersion` and a `kind`, compared exactly.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let all = [
            Self::Component,
            Self::Configuration,
            Self::HttpEndpoint,
            Self::McpServer,
            Self::Resiliency,
            Self::Subscription,
            Self::WorkflowAccessPolicy,
        ];
        let found = all.into_iter().find(|k| k.as_str() == kind)?;
        let known = match found {
            Self::Subscription => {
                [Subscription::API_VERSION, SubscriptionV1::API_VERSION].contains(&api_version)
            }
            _ => api_version == Component::API_VERSION,
        };
        known.then_some(found)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One resource. Subscriptions are in their newer form.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    Component(Box<Component>),
    Configuration(Box<Configuration>),
    HttpEndpoint(Box<HttpEndpoint>),
    McpServer(Box<McpServer>),
    Resiliency(Box<Resiliency>),
    Subscription(Box<Subscription>),
    WorkflowAccessPolicy(Box<WorkflowAccessPolicy>),
}

impl Resource {
    /// Decodes a resource whose type is known, with upstream's leniency.
    pub fn decode<'de, D: Deserializer<'de>>(
        kind: Kind,
        api_version: &str,
        from: D,
    ) -> Result<Self, D::Error> {
        fn of<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<Box<T>, D::Error> {
            lenient::decode(from).map(Box::new)
        }
        Ok(match kind {
            Kind::Component => Self::Component(of(from)?),
            Kind::Configuration => Self::Configuration(of(from)?),
            Kind::HttpEndpoint => Self::HttpEndpoint(of(from)?),
            Kind::McpServer => Self::McpServer(of(from)?),
            Kind::Resiliency => Self::Resiliency(of(from)?),
            Kind::Subscription if api_version == SubscriptionV1::API_VERSION => {
                Self::Subscription(Box::new((*of::<SubscriptionV1, D>(from)?).into()))
            }
            Kind::Subscription => Self::Subscription(of(from)?),
            Kind::WorkflowAccessPolicy => Self::WorkflowAccessPolicy(of(from)?),
        })
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Component(_) => Kind::Component,
            Self::Configuration(_) => Kind::Configuration,
            Self::HttpEndpoint(_) => Kind::HttpEndpoint,
            Self::McpServer(_) => Kind::McpServer,
            Self::Resiliency(_) => Kind::Resiliency,
            Self::Subscription(_) => Kind::Subscription,
            Self::WorkflowAccessPolicy(_) => Kind::WorkflowAccessPolicy,
        }
    }

    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Component(r) => &r.metadata,
            Self::Configuration(r) => &r.metadata,
            Self::HttpEndpoint(r) => &r.metadata,
            Self::McpServer(r) => &r.metadata,
            Self::Resiliency(r) => &r.metadata,
            Self::Subscription(r) => &r.metadata,
            Self::WorkflowAccessPolicy(r) => &r.metadata,
        }
    }

    /// The checks made for every source: the name, and for the kinds that
    /// upstream holds against their schema, the schema's rules.
    pub fn validate(&self) -> Result<(), String> {
        validate_name(&self.meta().name)?;
        match self {
            Self::McpServer(r) => r.validate(),
            Self::WorkflowAccessPolicy(r) => r.validate(),
            _ => Ok(()),
        }
    }
}
