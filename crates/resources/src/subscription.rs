//! Subscription, in both of its versions. Everything downstream uses
//! v2alpha1; v1alpha1 is converted when it is read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::meta::object;

object!(
    /// Which topic is delivered to which path of the app.
    Subscription, "Subscription", "v2alpha1", SubscriptionSpec, scopes: true
);

object!(
    /// The older form with a single route.
    SubscriptionV1, "Subscription", "v1alpha1", SubscriptionV1Spec, scopes: true
);

/// A topic and the routes of its messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["pubsubname", "routes", "topic"]))]
pub struct SubscriptionSpec {
    pub pubsubname: String,
    pub topic: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    pub routes: Routes,
    #[serde(rename = "deadLetterTopic", skip_serializing_if = "String::is_empty")]
    pub dead_letter_topic: String,
    #[serde(rename = "bulkSubscribe", skip_serializing_if = "Option::is_none")]
    pub bulk_subscribe: Option<BulkSubscribe>,
}

/// Rules in order, then the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Routes {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// The path when no rule matches.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default: String,
}

/// One route: a CEL condition over the event and a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["match", "path"]))]
pub struct Rule {
    #[serde(rename = "match")]
    pub condition: String,
    pub path: String,
}

/// Delivery of several messages in one call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("required" = ["enabled"]))]
pub struct BulkSubscribe {
    pub enabled: bool,
    /// 0 means 100.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_messages_count: i32,
    /// Milliseconds; 0 means 1000.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_await_duration_ms: i32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's calling convention"
)]
fn is_zero(n: &i32) -> bool {
    *n == 0
}

/// The older spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["pubsubname", "route", "topic"]))]
pub struct SubscriptionV1Spec {
    pub pubsubname: String,
    pub topic: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The path that messages are delivered to.
    pub route: String,
    #[serde(rename = "deadLetterTopic", skip_serializing_if = "String::is_empty")]
    pub dead_letter_topic: String,
    #[serde(rename = "bulkSubscribe", skip_serializing_if = "Option::is_none")]
    pub bulk_subscribe: Option<BulkSubscribe>,
}

impl From<SubscriptionV1> for Subscription {
    fn from(old: SubscriptionV1) -> Self {
        Self {
            metadata: old.metadata,
            spec: SubscriptionSpec {
                pubsubname: old.spec.pubsubname,
                topic: old.spec.topic,
                metadata: old.spec.metadata,
                routes: Routes {
                    rules: Vec::new(),
                    default: old.spec.route,
                },
                dead_letter_topic: old.spec.dead_letter_topic,
                bulk_subscribe: old.spec.bulk_subscribe,
            },
            scopes: old.scopes,
            ..Self::default()
        }
    }
}

impl From<Subscription> for SubscriptionV1 {
    /// Rules have no place in the older form; the default route is kept.
    fn from(new: Subscription) -> Self {
        Self {
            metadata: new.metadata,
            spec: SubscriptionV1Spec {
                pubsubname: new.spec.pubsubname,
                topic: new.spec.topic,
                metadata: new.spec.metadata,
                route: new.spec.routes.default,
                dead_letter_topic: new.spec.dead_letter_topic,
                bulk_subscribe: new.spec.bulk_subscribe,
            },
            scopes: new.scopes,
            ..Self::default()
        }
    }
}
