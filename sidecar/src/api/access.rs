//! `spec.api` of the Configuration: which API groups may be used.

use std::collections::BTreeSet;

use super::http::Group;

#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    http: Lists,
    grpc: Lists,
}

#[derive(Clone, Debug, Default)]
struct Lists {
    /// `version/name`.
    allowed: BTreeSet<String>,
    denied: BTreeSet<String>,
}

/// One rule as it is written.
pub(crate) struct Rule<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) protocol: &'a str,
}

impl Access {
    /// Rules without a known protocol are ignored; `http` matches in any case,
    /// `grpc` exactly.
    pub(crate) fn new<'a>(
        allowed: impl IntoIterator<Item = Rule<'a>>,
        denied: impl IntoIterator<Item = Rule<'a>>,
    ) -> Self {
        let mut access = Self::default();
        for rule in allowed {
            if let Some(lists) = access.lists(rule.protocol) {
                lists
                    .allowed
                    .insert(format!("{}/{}", rule.version, rule.name));
            }
        }
        for rule in denied {
            if let Some(lists) = access.lists(rule.protocol) {
                lists
                    .denied
                    .insert(format!("{}/{}", rule.version, rule.name));
            }
        }
        access.grpc.keep_known();
        access
    }

    fn lists(&mut self, protocol: &str) -> Option<&mut Lists> {
        match protocol {
            "grpc" => Some(&mut self.grpc),
            other if other.eq_ignore_ascii_case("http") => Some(&mut self.http),
            _ => None,
        }
    }

    /// Whether a route is registered. Health routes always are.
    pub(crate) fn http(&self, group: Group, path: &str) -> bool {
        if group.name == "healthz" {
            return true;
        }
        let key = format!("{}/{}", group.version, group.name);
        // The older form names the start of the route: `v1.0/state`.
        let route = path.trim_start_matches('/');
        let listed = |set: &BTreeSet<String>| {
            set.contains(&key) || set.iter().any(|rule| route.starts_with(rule.as_str()))
        };
        self.http.permits(listed)
    }

    pub(crate) fn restricts_grpc(&self) -> bool {
        !self.grpc.allowed.is_empty() || !self.grpc.denied.is_empty()
    }

    /// Whether a gRPC method, as its full path, may be called.
    pub(crate) fn grpc(&self, path: &str) -> bool {
        let ours = path.strip_prefix("/dapr_rs.state.v1alpha1.StateKeys/");
        let Some(method) = path.strip_prefix("/dapr.proto.runtime.v1.Dapr/").or(ours) else {
            return !path.starts_with("/dapr.proto.runtime.") || self.grpc.allowed.is_empty();
        };
        let groups = || {
            GRPC.iter()
                .filter(|(_, methods)| methods.contains(&method))
                .map(|(group, _)| *group)
        };
        self.grpc
            .permits(|set| groups().any(|group| set.contains(group)))
    }
}

impl Lists {
    fn permits(&self, listed: impl Fn(&BTreeSet<String>) -> bool) -> bool {
        !listed(&self.denied) && (self.allowed.is_empty() || listed(&self.allowed))
    }

    fn keep_known(&mut self) {
        let known = |rule: &String| GRPC.iter().any(|(group, _)| group == rule);
        self.allowed.retain(known);
        self.denied.retain(known);
    }
}

const WORKFLOWS_ALPHA1: &[&str] = &[
    "StartWorkflowAlpha1",
    "GetWorkflowAlpha1",
    "PurgeWorkflowAlpha1",
    "TerminateWorkflowAlpha1",
    "PauseWorkflowAlpha1",
    "ResumeWorkflowAlpha1",
    "RaiseEventWorkflowAlpha1",
];

const WORKFLOWS_BETA1: &[&str] = &[
    "StartWorkflowBeta1",
    "GetWorkflowBeta1",
    "PurgeWorkflowBeta1",
    "TerminateWorkflowBeta1",
    "PauseWorkflowBeta1",
    "ResumeWorkflowBeta1",
    "RaiseEventWorkflowBeta1",
];

/// The methods of each group.
const GRPC: &[(&str, &[&str])] = &[
    ("v1/invoke", &["InvokeService"]),
    (
        "v1/state",
        &[
            "GetState",
            "GetBulkState",
            "SaveState",
            "DeleteState",
            "DeleteBulkState",
            "ExecuteStateTransaction",
        ],
    ),
    ("v1alpha1/state", &["QueryStateAlpha1", "ListKeysAlpha1"]),
    ("v1/publish", &["PublishEvent", "BulkPublishEvent"]),
    ("v1alpha1/publish", &["BulkPublishEventAlpha1"]),
    ("v1alpha1/subscribe", &["SubscribeTopicEventsAlpha1"]),
    ("v1/bindings", &["InvokeBinding"]),
    ("v1/secrets", &["GetSecret", "GetBulkSecret"]),
    (
        "v1/actors",
        &[
            "RegisterActorTimer",
            "UnregisterActorTimer",
            "RegisterActorReminder",
            "UnregisterActorReminder",
            "UnregisterActorRemindersByType",
            "ListActorReminders",
            "GetActorReminder",
            "GetActorState",
            "ExecuteActorStateTransaction",
            "InvokeActor",
        ],
    ),
    ("v1alpha1/actors", &["SubscribeActorEventsAlpha1"]),
    ("v1/metadata", &["GetMetadata", "SetMetadata"]),
    (
        "v1/configuration",
        &[
            "GetConfiguration",
            "SubscribeConfiguration",
            "UnsubscribeConfiguration",
        ],
    ),
    (
        "v1alpha1/configuration",
        &[
            "GetConfigurationAlpha1",
            "SubscribeConfigurationAlpha1",
            "UnsubscribeConfigurationAlpha1",
        ],
    ),
    ("v1alpha1/lock", &["TryLockAlpha1"]),
    ("v1alpha1/unlock", &["UnlockAlpha1"]),
    ("v1alpha1/crypto", &["EncryptAlpha1", "DecryptAlpha1"]),
    (
        "v1alpha1/subtlecrypto",
        &[
            "SubtleGetKeyAlpha1",
            "SubtleEncryptAlpha1",
            "SubtleDecryptAlpha1",
            "SubtleWrapKeyAlpha1",
            "SubtleUnwrapKeyAlpha1",
            "SubtleSignAlpha1",
            "SubtleVerifyAlpha1",
        ],
    ),
    ("v1alpha1/workflows", WORKFLOWS_ALPHA1),
    ("v1beta1/workflows", WORKFLOWS_BETA1),
    (
        "v1/jobs",
        &[
            "ScheduleJob",
            "GetJob",
            "DeleteJob",
            "DeleteJobsByPrefix",
            "ListJobs",
        ],
    ),
    (
        "v1alpha1/jobs",
        &[
            "ScheduleJobAlpha1",
            "GetJobAlpha1",
            "DeleteJobAlpha1",
            "DeleteJobsByPrefixAlpha1",
            "ListJobsAlpha1",
        ],
    ),
    ("v1alpha1/conversation", &["ConverseAlpha1"]),
    ("v1alpha2/conversation", &["ConverseAlpha2"]),
    ("v1/shutdown", &["Shutdown"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rules<'a>(names: &'a [&'a str]) -> impl Iterator<Item = Rule<'a>> {
        names.iter().map(|text| {
            let mut parts = text.split(' ');
            let mut next = || parts.next().unwrap_or("");
            Rule {
                name: next(),
                version: next(),
                protocol: next(),
            }
        })
    }

    #[test]
    fn denied_beats_allowed_and_health_is_always_there() {
        for (allowed, denied, group, path, expected) in [
            (
                &[][..],
                &[][..],
                ("state", "v1"),
                "/v1.0/state/{store}",
                true,
            ),
            (
                &["state v1 http"][..],
                &[],
                ("state", "v1"),
                "/v1.0/state/{store}",
                true,
            ),
            (
                &["state v1 HTTP"],
                &[],
                ("secrets", "v1"),
                "/v1.0/secrets/{store}/{key}",
                false,
            ),
            (
                &["state v1.0 http"],
                &[],
                ("state", "v1"),
                "/v1.0/state/{store}",
                true,
            ),
            (
                &["state v1 http"],
                &["state v1 http"],
                ("state", "v1"),
                "/v1.0/state/{store}",
                false,
            ),
            (
                &["unknown v1 http"],
                &[],
                ("state", "v1"),
                "/v1.0/state/{store}",
                false,
            ),
            (
                &["unknown v1 http"],
                &[],
                ("healthz", "v1"),
                "/v1.0/healthz",
                true,
            ),
            (
                &["secrets v1 grpc", "secrets v1"],
                &[],
                ("state", "v1"),
                "/v1.0/state/{store}",
                true,
            ),
        ] {
            let access = Access::new(rules(allowed), rules(denied));
            assert_eq!(
                access.http(Group::new(group.0, group.1), path),
                expected,
                "{allowed:?} {denied:?} {path}"
            );
        }
    }

    #[test]
    fn grpc_methods_follow_their_group() {
        let state = "/dapr.proto.runtime.v1.Dapr/GetState";
        let secret = "/dapr.proto.runtime.v1.Dapr/GetSecret";
        let keys = "/dapr_rs.state.v1alpha1.StateKeys/ListKeysAlpha1";
        for (allowed, denied, path, expected) in [
            (&[][..], &[][..], state, true),
            (&["state v1 grpc"][..], &[], state, true),
            (&["state v1 grpc"], &[], secret, false),
            (&["state v1 GRPC"], &[], secret, true),
            (&["unknown v1 grpc"], &[], secret, true),
            (&[], &["secrets v1 grpc"], secret, false),
            (&["state v1 grpc"], &[], "/orders.Orders/Get", true),
            (&["state v1 grpc"], &[], keys, false),
            (&["state v1alpha1 grpc"], &[], keys, true),
        ] {
            let access = Access::new(rules(allowed), rules(denied));
            assert_eq!(access.grpc(path), expected, "{allowed:?} {denied:?} {path}");
        }
    }
}
