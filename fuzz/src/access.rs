//! Access policies, and the calls that they judge.

use std::collections::BTreeSet;

use resources::Resource;
use resources::configuration::{AccessControl, AccessPolicy};
use security::SpiffeId;
use sidecar::fuzzing::Access;

/// A call that asks to pass.
struct Asked {
    caller: Option<SpiffeId>,
    operation: String,
    verb: Option<String>,
}

/// Configurations in YAML. Each line `#? app namespace domain operation verb` is
/// a call besides those that the policies themselves suggest.
pub fn access(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let written: Vec<Asked> = text.lines().filter_map(Asked::read).take(64).collect();
    for located in resources::load::parse_documents(data, "fuzz.yaml").resources {
        let Resource::Configuration(configuration) = located.resource else {
            continue;
        };
        let Some(spec) = configuration.spec.access_control else {
            continue;
        };
        let suggested: Vec<Asked> = suggested(&spec).take(256).collect();
        for http in [true, false] {
            if let Ok(Some(list)) = Access::compile(&spec, http) {
                let asked = written.iter().chain(&suggested);
                asked.for_each(|call| judge(&list, &spec, http, call));
            }
        }
    }
}

impl Asked {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("#? ")?.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let (app, namespace, domain) = (word(), word(), word());
        let caller = SpiffeId::new(domain, namespace, app);
        Some(Self {
            caller: (!app.is_empty()).then_some(caller),
            operation: word().to_owned(),
            verb: Some(word().to_owned()).filter(|verb| !verb.is_empty()),
        })
    }
}

/// The operations that are named, and what is below and beside them.
fn suggested(spec: &AccessControl) -> impl Iterator<Item = Asked> {
    let policies = spec.policies.iter().flatten();
    policies.flat_map(|policy| {
        let id = SpiffeId::new(&policy.trust_domain, &policy.namespace, &policy.app_id);
        policy.operations.iter().flat_map(move |operation| {
            let name = &operation.name;
            let paths = [
                name.clone(),
                format!("{name}/below"),
                name.replace('*', "x"),
            ];
            let verbs = operation.http_verb.iter().cloned().map(Some);
            let verbs: Vec<_> = verbs.chain([None, Some("GET".into())]).collect();
            let id = id.clone();
            paths.into_iter().flat_map(move |path| {
                let id = id.clone();
                verbs.clone().into_iter().map(move |verb| Asked {
                    caller: Some(id.clone()),
                    operation: path.clone(),
                    verb,
                })
            })
        })
    })
}

fn judge(list: &Access, spec: &AccessControl, http: bool, call: &Asked) {
    let ask = |operation: &str| list.check(call.caller.as_ref(), operation, call.verb.as_deref());
    let decision = ask(&call.operation);
    let allowed = decision.is_ok();
    let possible = possible(spec, http, call);
    assert!(possible.contains(&allowed), "nobody said {allowed}");

    if let Err(text) = decision {
        let id = call.caller.as_ref().map(ToString::to_string);
        assert!(text.contains(&id.unwrap_or_default()) && text.contains(&call.operation));
    }
    if !call.operation.starts_with('/') {
        let slashed = format!("/{}", call.operation);
        assert_eq!(ask(&slashed).is_ok(), allowed, "a leading slash changes it");
    }
    if http {
        let lower = call.operation.to_lowercase();
        assert_eq!(ask(&lower).is_ok(), allowed, "the case changes it");
    }
}

/// The actions that some part of the list, which concerns the call, asks for.
fn possible(spec: &AccessControl, http: bool, call: &Asked) -> BTreeSet<bool> {
    let allows = |action: &str| action.eq_ignore_ascii_case("allow");
    let open = spec.policies.as_ref().is_some_and(Vec::is_empty);
    let global = match spec.default_action.as_str() {
        "" => open,
        action => allows(action),
    };
    let concerns = |policy: &&AccessPolicy| {
        let caller = call.caller.as_ref();
        caller.is_some_and(|id| (&policy.app_id, &policy.namespace) == (&id.app_id, &id.namespace))
    };
    // Of two policies for one app the later counts.
    let policy = spec.policies.iter().flatten().rfind(concerns);
    let domain = call.caller.as_ref().map(|id| &id.trust_domain);
    let policy = policy.filter(|policy| Some(&policy.trust_domain) == domain);
    let Some(policy) = policy else {
        return BTreeSet::from([global]);
    };
    let default = match policy.default_action.as_str() {
        "" => global,
        action => allows(action),
    };
    let of_rules = policy
        .operations
        .iter()
        .filter(|_| !http || call.verb.is_some());
    let mut possible: BTreeSet<bool> = of_rules.map(|o| allows(&o.action)).collect();
    possible.insert(default);
    if http && call.verb.is_none() {
        // Without a verb a rule that fits leaves the policy's own action.
        possible.insert(allows(&policy.default_action));
    }
    possible
}
