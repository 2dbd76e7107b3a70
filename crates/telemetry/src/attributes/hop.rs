//! Spans of what is not an API call: between sidecars, and towards the app.

use super::{
    ACTOR, Attribute, DAPR, DB_CONNECTION, DB_NAME, DB_SYSTEM, MESSAGING_SYSTEM, MESSAGING_TOPIC,
    RPC_SERVICE, SERVICE_INVOCATION, actor, call_actor, call_local,
};
use crate::{Kind, Span, TraceContext, Tracer};

/// One step of a call inside Dapr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop<'a> {
    /// CallLocal and CallLocalStream, on the called side.
    Invoked { app_id: &'a str, method: &'a str },
    /// CallActor, on the called side.
    ActorInvoked {
        actor_type: &'a str,
        id: &'a str,
        method: &'a str,
    },
    /// A call of an app's own gRPC service; `rpc` is the full method.
    Proxied { rpc: &'a str, to_this_app: bool },
    /// A message on its way to the app.
    Delivery { topic: &'a str },
    /// An event of an input binding on its way to the app; `method` is the path.
    InputBinding { name: &'a str, method: &'a str },
    /// One entry of a bulk publish, named like the call it came with.
    BulkEntry { call: &'a str },
    /// The stream of workflow work items.
    WorkflowStream { rpc: &'a str },
}

impl Hop<'_> {
    /// Starts its span.
    pub fn start(&self, tracer: &Tracer, parent: Option<&TraceContext>) -> Span {
        let mut span = tracer.start(parent, self.kind(), || self.span_name());
        span.record(|record| record.extend(self.attributes()));
        span
    }

    pub fn span_name(&self) -> String {
        match *self {
            Self::Invoked { app_id, method } => call_local(app_id, method),
            Self::ActorInvoked {
                actor_type, method, ..
            } => call_actor(actor_type, method),
            Self::Delivery { topic } => format!("pubsub/{topic}"),
            Self::InputBinding { name, .. } => format!("bindings/{name}"),
            Self::Proxied { rpc: name, .. }
            | Self::BulkEntry { call: name }
            | Self::WorkflowStream { rpc: name } => name.to_owned(),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Invoked { .. }
            | Self::ActorInvoked { .. }
            | Self::WorkflowStream { .. }
            | Self::Proxied {
                to_this_app: true, ..
            } => Kind::Server,
            Self::Proxied { .. } | Self::Delivery { .. } | Self::InputBinding { .. } => {
                Kind::Client
            }
            Self::BulkEntry { .. } => Kind::Producer,
        }
    }

    pub fn attributes(&self) -> Vec<Attribute> {
        match *self {
            Self::Invoked { method, .. } => vec![
                (RPC_SERVICE, SERVICE_INVOCATION.to_owned()),
                ("dapr.invoke_method", method.to_owned()),
            ],
            Self::ActorInvoked { actor_type, id, .. } => vec![(ACTOR, actor(actor_type, id))],
            Self::Delivery { topic } => vec![
                (MESSAGING_SYSTEM, "pubsub".to_owned()),
                (MESSAGING_TOPIC, topic.to_owned()),
            ],
            Self::InputBinding { name, method } => vec![
                (DB_NAME, name.to_owned()),
                (RPC_SERVICE, DAPR.to_owned()),
                (DB_SYSTEM, "bindings".to_owned()),
                (DB_CONNECTION, method.to_owned()),
            ],
            Self::Proxied { .. } | Self::BulkEntry { .. } | Self::WorkflowStream { .. } => {
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_kinds_and_attributes_are_upstreams() {
        use Hop::*;
        for (hop, name, kind, attributes) in [
            (
                Invoked {
                    app_id: "app",
                    method: "a/b",
                },
                "CallLocal/app/a/b",
                Kind::Server,
                &[
                    ("rpc.service", "ServiceInvocation"),
                    ("dapr.invoke_method", "a/b"),
                ][..],
            ),
            (
                ActorInvoked {
                    actor_type: "cat",
                    id: "1",
                    method: "meow",
                },
                "CallActor/cat/meow",
                Kind::Server,
                &[("dapr.actor", "cat.1")],
            ),
            (
                Proxied {
                    rpc: "/shop.Cart/Add",
                    to_this_app: true,
                },
                "/shop.Cart/Add",
                Kind::Server,
                &[],
            ),
            (
                Proxied {
                    rpc: "/shop.Cart/Add",
                    to_this_app: false,
                },
                "/shop.Cart/Add",
                Kind::Client,
                &[],
            ),
            (
                Delivery { topic: "orders" },
                "pubsub/orders",
                Kind::Client,
                &[
                    ("messaging.system", "pubsub"),
                    ("messaging.destination.name", "orders"),
                ],
            ),
            (
                InputBinding {
                    name: "cron",
                    method: "/tick",
                },
                "bindings/cron",
                Kind::Client,
                &[
                    ("db.name", "cron"),
                    ("rpc.service", "Dapr"),
                    ("db.system", "bindings"),
                    ("db.connection_string", "/tick"),
                ],
            ),
            (
                BulkEntry { call: "/v1.0/x" },
                "/v1.0/x",
                Kind::Producer,
                &[],
            ),
            (WorkflowStream { rpc: "/a/b" }, "/a/b", Kind::Server, &[]),
        ] {
            assert_eq!((hop.span_name().as_str(), hop.kind()), (name, kind));
            let found = hop.attributes();
            let found: Vec<_> = found.iter().map(|(k, v)| (*k, v.as_str())).collect();
            assert_eq!(found, attributes, "{hop:?}");
        }
    }
}
