//! What an API call does, as far as its span tells.

use super::{
    ACTOR, Attribute, DB_CONNECTION, DB_NAME, DB_STATEMENT, DB_SYSTEM, MESSAGING_SYSTEM,
    MESSAGING_TOPIC, PEER, RPC_SERVICE, SERVICE_INVOCATION, actor, call_actor, call_local,
};

/// An operation of the API over either protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    Invoke {
        app_id: &'a str,
        method: &'a str,
    },
    Actor {
        actor_type: &'a str,
        id: &'a str,
        method: &'a str,
    },
    ActorState {
        actor_type: &'a str,
        id: &'a str,
    },
    State {
        store: &'a str,
    },
    Secrets {
        store: &'a str,
    },
    Binding {
        name: &'a str,
    },
    Publish {
        topic: &'a str,
    },
    /// Described over gRPC only.
    Conversation {
        component: &'a str,
    },
    Other,
}

impl<'a> Operation<'a> {
    /// What a path of the HTTP API stands for. Its parts stay as they are
    /// written, percent signs included.
    pub fn of_path(path: &'a str) -> Self {
        let mut parts = path.trim_start_matches('/').splitn(3, '/');
        let (Some(version), Some(block), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Self::Other;
        };
        if !version.starts_with("v1.0") {
            return Self::Other;
        }
        let (first, rest) = rest.split_once('/').unwrap_or((rest, ""));
        if first.is_empty() {
            return Self::Other;
        }
        match block {
            "state" => Self::State { store: first },
            "secrets" => Self::Secrets { store: first },
            "bindings" => Self::Binding { name: first },
            "publish" => {
                let bulk = rest.split_once('/').filter(|_| first == "bulk");
                let topic = bulk.map_or(rest, |(_, topic)| topic);
                Self::Publish { topic }
            }
            "invoke" => match rest.split_once('/') {
                Some(("method", method)) => Self::Invoke {
                    app_id: first,
                    method,
                },
                _ => Self::Other,
            },
            "actors" => Self::of_actor(first, rest),
            _ => Self::Other,
        }
    }

    fn of_actor(actor_type: &'a str, rest: &'a str) -> Self {
        let Some((id, rest)) = rest.split_once('/') else {
            return Self::Other;
        };
        match rest.split_once('/').unwrap_or((rest, "")) {
            ("method", method) => Self::Actor {
                actor_type,
                id,
                method,
            },
            ("state", _) => Self::ActorState { actor_type, id },
            _ => Self::Other,
        }
    }

    /// The name that replaces the one the span began with.
    pub fn span_name(&self) -> Option<String> {
        match self {
            Self::Invoke { app_id, method } => Some(call_local(app_id, method)),
            Self::Actor {
                actor_type, method, ..
            } => Some(call_actor(actor_type, method)),
            _ => None,
        }
    }

    /// The attributes besides those of the call. `statement` is "METHOD path",
    /// or the full RPC method.
    pub fn attributes(&self, statement: &str) -> Vec<Attribute> {
        let database = |system: &str, name: &str| {
            vec![
                (DB_SYSTEM, system.to_owned()),
                (DB_NAME, name.to_owned()),
                (DB_STATEMENT, statement.to_owned()),
                (DB_CONNECTION, system.to_owned()),
            ]
        };
        let invoked =
            |peer: String| vec![(RPC_SERVICE, SERVICE_INVOCATION.to_owned()), (PEER, peer)];
        match *self {
            Self::Invoke { app_id, .. } => invoked(app_id.to_owned()),
            Self::Actor { actor_type, id, .. } => {
                let mut all = invoked(actor(actor_type, id));
                all.push((ACTOR, actor(actor_type, id)));
                all
            }
            Self::ActorState { actor_type, id } => {
                let mut all = database("state", "actor");
                all.push((ACTOR, actor(actor_type, id)));
                all
            }
            Self::State { store } => database("state", store),
            Self::Secrets { store } => database("secrets", store),
            Self::Binding { name } => database("bindings", name),
            Self::Publish { topic } => vec![
                (MESSAGING_SYSTEM, "pubsub".to_owned()),
                (MESSAGING_TOPIC, topic.to_owned()),
            ],
            Self::Conversation { component } => vec![("rpc.system", component.to_owned())],
            Self::Other => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_of_the_api_are_recognised() {
        use Operation::*;
        for (path, expected) in [
            ("/v1.0/state/s", State { store: "s" }),
            ("/v1.0/state/s/key/with/slashes", State { store: "s" }),
            ("/v1.0-alpha1/state/s/query", State { store: "s" }),
            ("/v1.0/secrets/vault/name", Secrets { store: "vault" }),
            ("/v1.0/secrets/vault/bulk", Secrets { store: "vault" }),
            ("/v1.0/bindings/out", Binding { name: "out" }),
            ("/v1.0/publish/p/t", Publish { topic: "t" }),
            ("/v1.0/publish/p/a/b", Publish { topic: "a/b" }),
            ("/v1.0-alpha1/publish/bulk/p/t", Publish { topic: "t" }),
            ("/v1.0/publish/bulk/p/t", Publish { topic: "t" }),
            ("/v1.0/publish/bulk/t", Publish { topic: "t" }),
            (
                "/v1.0/invoke/app/method/a/b",
                Invoke {
                    app_id: "app",
                    method: "a/b",
                },
            ),
            (
                "/v1.0/invoke/app.ns/method/",
                Invoke {
                    app_id: "app.ns",
                    method: "",
                },
            ),
            (
                "/v1.0/actors/cat/1/method/meow",
                Actor {
                    actor_type: "cat",
                    id: "1",
                    method: "meow",
                },
            ),
            (
                "/v1.0/actors/cat/1/state",
                ActorState {
                    actor_type: "cat",
                    id: "1",
                },
            ),
            (
                "/v1.0/actors/cat/1/state/age",
                ActorState {
                    actor_type: "cat",
                    id: "1",
                },
            ),
            ("/v1.0/actors/cat/1/reminders/r", Other),
            ("/v1.0/actors/cat", Other),
            ("/v1.0/invoke/app", Other),
            ("/v1.0/metadata", Other),
            ("/v1.0/state/", Other),
            ("/v2/state/s", Other),
            ("/", Other),
            ("", Other),
        ] {
            assert_eq!(Operation::of_path(path), expected, "{path}");
        }
    }

    #[test]
    fn names_and_attributes_are_upstreams() {
        use Operation::*;
        for (operation, name, attributes) in [
            (
                Invoke {
                    app_id: "app",
                    method: "/a/b",
                },
                Some("CallLocal/app/a/b"),
                &[
                    ("rpc.service", "ServiceInvocation"),
                    ("net.peer.name", "app"),
                ][..],
            ),
            (
                Actor {
                    actor_type: "cat",
                    id: "1",
                    method: "meow",
                },
                Some("CallActor/cat/meow"),
                &[
                    ("rpc.service", "ServiceInvocation"),
                    ("net.peer.name", "cat.1"),
                    ("dapr.actor", "cat.1"),
                ],
            ),
            (
                ActorState {
                    actor_type: "cat",
                    id: "1",
                },
                None,
                &[
                    ("db.system", "state"),
                    ("db.name", "actor"),
                    ("db.statement", "GET /x"),
                    ("db.connection_string", "state"),
                    ("dapr.actor", "cat.1"),
                ],
            ),
            (
                State { store: "s" },
                None,
                &[
                    ("db.system", "state"),
                    ("db.name", "s"),
                    ("db.statement", "GET /x"),
                    ("db.connection_string", "state"),
                ],
            ),
            (
                Secrets { store: "s" },
                None,
                &[
                    ("db.system", "secrets"),
                    ("db.name", "s"),
                    ("db.statement", "GET /x"),
                    ("db.connection_string", "secrets"),
                ],
            ),
            (
                Binding { name: "b" },
                None,
                &[
                    ("db.system", "bindings"),
                    ("db.name", "b"),
                    ("db.statement", "GET /x"),
                    ("db.connection_string", "bindings"),
                ],
            ),
            (
                Publish { topic: "t" },
                None,
                &[
                    ("messaging.system", "pubsub"),
                    ("messaging.destination.name", "t"),
                ],
            ),
            (
                Conversation { component: "c" },
                None,
                &[("rpc.system", "c")],
            ),
            (Other, None, &[]),
        ] {
            assert_eq!(operation.span_name().as_deref(), name);
            let found = operation.attributes("GET /x");
            let found: Vec<_> = found.iter().map(|(k, v)| (*k, v.as_str())).collect();
            assert_eq!(found, attributes, "{operation:?}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC{0,40}|/v1.0/(state|actors|invoke|publish)(/[a-z]{0,3}){0,6}") {
            let operation = Operation::of_path(&path);
            let _ = (operation.span_name(), operation.attributes(&path));
        }
    }
}
