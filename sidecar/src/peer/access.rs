//! Who may call which operation of this app: `spec.accessControl` of the callee.

mod operations;

use std::collections::HashMap;
use std::sync::Arc;

use resources::configuration::{AccessControl, AppOperation};
use security::spiffe::SpiffeId;
use service::metrics::{Counter, Family, Registry};

use self::operations::{Operations, Rule};

const LABELS: [&str; 3] = ["app_id", "namespace", "trustDomain"];
/// The most segments of an operation's name: its tree is walked by recursion.
const DEEPEST: usize = 256;

/// The policies, compiled once. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct AccessList {
    inner: Arc<Inner>,
}

struct Inner {
    allow: bool,
    /// Operations of an HTTP app are compared without case, and by verb.
    http: bool,
    /// By app id, then namespace.
    policies: HashMap<String, HashMap<String, Policy>>,
    counts: Option<Counts>,
}

struct Policy {
    trust_domain: String,
    default: Option<bool>,
    operations: Operations,
}

/// What a decision rests on, as the metrics tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    App,
    Global,
}

/// Decisions by the calling app, allowed and blocked.
struct Counts {
    app: [Family<Counter>; 2],
    global: [Family<Counter>; 2],
}

impl Counts {
    fn new(registry: &Registry) -> Self {
        let family = |basis: &str, what: &str| {
            let name = format!("runtime/acl/{basis}_policy_action_{what}_total");
            let help = format!("Calls {what} by the {basis} action of the access policy.");
            registry.counter(&name, &help, &LABELS)
        };
        let pair = |basis| [family(basis, "blocked"), family(basis, "allowed")];
        Self {
            app: pair("app"),
            global: pair("global"),
        }
    }
}

/// `allow` in any case; everything else denies.
fn allows(action: &str) -> bool {
    action.eq_ignore_ascii_case("allow")
}

fn given(action: &str) -> Option<bool> {
    (!action.is_empty()).then(|| allows(action))
}

impl AccessList {
    /// `None` when nothing is restricted or counted. A policy that names nobody
    /// is an error, which ends the start.
    pub(crate) fn compile(
        spec: &AccessControl,
        http: bool,
        metrics: Option<&Registry>,
    ) -> Result<Option<Self>, String> {
        spec.validate()?;
        let policies = spec.policies.as_deref();
        if spec.default_action.is_empty() && spec.trust_domain.is_empty() && policies.is_none() {
            return Ok(None);
        }
        let allow = given(&spec.default_action).unwrap_or_else(|| {
            let open = policies.is_some_and(<[_]>::is_empty);
            if !open {
                tracing::warn!(
                    target: "dapr.acl",
                    "No global default action has been specified. Setting default global action as Deny"
                );
            }
            open
        });
        let mut by_app: HashMap<String, HashMap<String, Policy>> = HashMap::new();
        for policy in policies.unwrap_or_default() {
            let deep = |o: &AppOperation| o.name.split('/').count() > DEEPEST;
            if policy.operations.iter().any(deep) {
                return Err(format!(
                    "invalid access control spec. an operation of app {} has more than {DEEPEST} path segments",
                    policy.app_id
                ));
            }
            let operations = policy.operations.iter().map(|o| {
                let verbs = o.http_verb.clone();
                let name = if http {
                    o.name.to_lowercase()
                } else {
                    o.name.clone()
                };
                (
                    name,
                    Rule {
                        allow: allows(&o.action),
                        verbs,
                    },
                )
            });
            let compiled = Policy {
                trust_domain: policy.trust_domain.clone(),
                default: given(&policy.default_action),
                operations: operations.collect(),
            };
            let of_app = by_app.entry(policy.app_id.clone()).or_default();
            of_app.insert(policy.namespace.clone(), compiled);
        }
        let inner = Inner {
            allow,
            http,
            policies: by_app,
            counts: metrics.map(Counts::new),
        };
        Ok(Some(Self {
            inner: Arc::new(inner),
        }))
    }

    /// Refuses in upstream's words. `verb` is `None` for calls without one, and
    /// for gRPC.
    pub(crate) fn check(
        &self,
        caller: Option<&SpiffeId>,
        operation: &str,
        verb: Option<&str>,
    ) -> Result<(), String> {
        let (allowed, basis) = self.decide(caller, operation, verb);
        if let (Some(counts), Some(id)) = (&self.inner.counts, caller) {
            let pair = match basis {
                Basis::App => &counts.app,
                Basis::Global => &counts.global,
            };
            let labels = [&*id.app_id, &*id.namespace, &*id.trust_domain];
            pair[usize::from(allowed)].with(&labels).inc();
        }
        if allowed {
            return Ok(());
        }
        let id = caller.map(ToString::to_string).unwrap_or_default();
        let verb = verb.unwrap_or("NONE");
        Err(format!(
            "access control policy has denied access to id: {id} operation: {operation} verb: {verb}"
        ))
    }

    fn decide(
        &self,
        caller: Option<&SpiffeId>,
        operation: &str,
        verb: Option<&str>,
    ) -> (bool, Basis) {
        let me = &*self.inner;
        let global = (me.allow, Basis::Global);
        let of_caller = caller.and_then(|id| {
            let policy = me.policies.get(&id.app_id)?.get(&id.namespace)?;
            (policy.trust_domain == id.trust_domain).then_some(policy)
        });
        let Some(policy) = of_caller else {
            return global;
        };
        let (base, basis) = match policy.default {
            Some(allow) => (allow, Basis::App),
            None => global,
        };
        let rule = if me.http {
            policy.operations.find(&operation.to_lowercase())
        } else {
            policy.operations.find(operation)
        };
        let allowed = match (rule, verb) {
            (None, _) => base,
            (Some(rule), _) if !me.http => rule.allow,
            (Some(_), None) => policy.default.unwrap_or(false),
            (Some(rule), Some(verb)) if rule.covers(verb) => rule.allow,
            (Some(_), Some(_)) => base,
        };
        (allowed, basis)
    }
}

#[cfg(test)]
mod tests {
    use resources::configuration::AccessPolicy;

    use super::*;

    fn operation(name: &str, verbs: &[&str], action: &str) -> AppOperation {
        AppOperation {
            name: name.into(),
            http_verb: verbs.iter().map(|v| (*v).to_owned()).collect(),
            action: action.into(),
        }
    }

    fn policy(app_id: &str, default_action: &str, operations: Vec<AppOperation>) -> AccessPolicy {
        AccessPolicy {
            app_id: app_id.into(),
            default_action: default_action.into(),
            trust_domain: "public".into(),
            namespace: "default".into(),
            operations,
        }
    }

    fn list(default: &str, policies: Vec<AccessPolicy>, http: bool) -> AccessList {
        let spec = AccessControl {
            default_action: default.into(),
            trust_domain: "public".into(),
            policies: Some(policies),
        };
        AccessList::compile(&spec, http, None).unwrap().unwrap()
    }

    fn id(app: &str) -> SpiffeId {
        SpiffeId::new("public", "default", app)
    }

    #[test]
    fn the_verb_of_an_http_app_decides() {
        let operations = vec![
            operation("/op", &["GET", "PUT"], "allow"),
            operation("/all", &["*"], "allow"),
            operation("/nothing", &[], "allow"),
            operation("/Case", &["GET"], "Allow"),
        ];
        let list = list("deny", vec![policy("a", "", operations)], true);
        for (app, operation, verb, allowed) in [
            ("a", "op", Some("GET"), true),
            ("a", "/op", Some("PUT"), true),
            ("a", "op", Some("get"), false),
            ("a", "op", Some("POST"), false),
            ("a", "op/below", Some("GET"), true),
            ("a", "all", Some("DELETE"), true),
            ("a", "nothing", Some("GET"), false),
            ("a", "cASE", Some("GET"), true),
            ("a", "other", Some("GET"), false),
            ("a", "op", None, false),
            ("b", "op", Some("GET"), false),
        ] {
            let got = list.check(Some(&id(app)), operation, verb);
            assert_eq!(got.is_ok(), allowed, "{app} {operation} {verb:?}: {got:?}");
        }
    }

    #[test]
    fn a_grpc_app_knows_no_verbs_and_minds_the_case() {
        let operations = vec![
            operation("/pkg.Service/Open", &[], "allow"),
            operation("/pkg.Service/*", &["POST"], "deny"),
        ];
        let list = list("deny", vec![policy("a", "allow", operations)], false);
        for (operation, allowed) in [
            ("/pkg.Service/Open", true),
            ("/pkg.Service/Close", false),
            ("/pkg.service/Close", true),
        ] {
            let got = list.check(Some(&id("a")), operation, None);
            assert_eq!(got.is_ok(), allowed, "{operation}");
        }
    }

    #[test]
    fn whoever_has_no_policy_gets_the_global_action() {
        let other_domain = SpiffeId::new("elsewhere", "default", "a");
        let other_namespace = SpiffeId::new("public", "prod", "a");
        for (default, allowed) in [
            ("allow", true),
            ("Allow", true),
            ("deny", false),
            ("x", false),
        ] {
            let list = list(default, vec![policy("a", "allow", vec![])], true);
            for caller in [
                None,
                Some(&id("b")),
                Some(&other_domain),
                Some(&other_namespace),
            ] {
                assert_eq!(
                    list.check(caller, "x", Some("GET")).is_ok(),
                    allowed,
                    "{caller:?}"
                );
            }
            assert!(list.check(Some(&id("a")), "x", Some("GET")).is_ok());
        }
    }

    #[test]
    fn an_absent_global_action_denies_unless_the_list_is_empty() {
        let compile = |policies: Option<Vec<AccessPolicy>>, trust_domain: &str| {
            let spec = AccessControl {
                policies,
                trust_domain: trust_domain.into(),
                ..AccessControl::default()
            };
            AccessList::compile(&spec, true, None).unwrap()
        };
        assert!(compile(None, "").is_none());
        let open = |list: Option<AccessList>| list.unwrap().check(None, "x", Some("GET")).is_ok();
        assert!(!open(compile(None, "public")));
        assert!(open(compile(Some(vec![]), "public")));
        assert!(!open(compile(
            Some(vec![policy("a", "", vec![])]),
            "public"
        )));
    }

    #[test]
    fn a_refusal_says_who_asked_for_what() {
        let list = list("deny", vec![], true);
        let refused = list
            .check(Some(&id("a")), "orders", Some("POST"))
            .unwrap_err();
        assert_eq!(
            refused,
            "access control policy has denied access to id: spiffe://public/ns/default/a \
             operation: orders verb: POST"
        );
    }

    #[test]
    fn the_later_of_two_policies_for_one_app_counts() {
        let policies = vec![policy("a", "deny", vec![]), policy("a", "allow", vec![])];
        assert!(
            list("deny", policies, true)
                .check(Some(&id("a")), "x", Some("GET"))
                .is_ok()
        );
    }

    #[test]
    fn a_name_of_too_many_segments_ends_the_start() {
        for (segments, fine) in [(DEEPEST, true), (DEEPEST + 1, false)] {
            let name = vec!["a"; segments].join("/");
            let spec = AccessControl {
                policies: Some(vec![policy("a", "", vec![operation(&name, &[], "allow")])]),
                ..AccessControl::default()
            };
            assert_eq!(AccessList::compile(&spec, true, None).is_ok(), fine);
        }
    }

    #[test]
    fn decisions_are_counted_by_what_they_rest_on() {
        let registry = Registry::new(&[]);
        let spec = AccessControl {
            default_action: "deny".into(),
            trust_domain: "public".into(),
            policies: Some(vec![policy("a", "allow", vec![]), policy("c", "", vec![])]),
        };
        let list = AccessList::compile(&spec, true, Some(&registry))
            .unwrap()
            .unwrap();
        for app in ["a", "b", "c"] {
            let _ = list.check(Some(&id(app)), "x", Some("GET"));
        }
        let page = registry.render();
        for line in [
            r#"dapr_runtime_acl_app_policy_action_allowed_total{app_id="a",namespace="default",trustDomain="public"} 1"#,
            r#"dapr_runtime_acl_global_policy_action_blocked_total{app_id="b",namespace="default",trustDomain="public"} 1"#,
            r#"dapr_runtime_acl_global_policy_action_blocked_total{app_id="c",namespace="default",trustDomain="public"} 1"#,
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
