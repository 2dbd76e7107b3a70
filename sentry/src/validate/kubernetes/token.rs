//! A service account's token: what the API server says about it, and which pod
//! it was made for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s::{Client, Kind};
use serde::{Deserialize, Serialize};

use crate::validate::request::Denied;

const REVIEWS: Kind = Kind {
    group: "authentication.k8s.io",
    version: "v1",
    plural: "tokenreviews",
};
/// The audience of tokens that are mounted for older sidecars.
const LEGACY_AUDIENCE: &str = "dapr.io/sentry";

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    spec: Question<'a>,
}

#[derive(Serialize)]
struct Question<'a> {
    token: &'a str,
    audiences: [&'a str; 2],
}

#[derive(Deserialize)]
struct Reviewed {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    error: String,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
}

/// Asks the API server whose token it is, for Sentry as its audience.
pub(super) async fn review(
    client: &Client,
    token: &str,
    audience: &str,
) -> Result<Account, Denied> {
    let review = Review {
        api_version: "authentication.k8s.io/v1",
        kind: "TokenReview",
        spec: Question {
            token,
            audiences: [LEGACY_AUDIENCE, audience],
        },
    };
    let reviewed = client.create(REVIEWS, None, &review).await;
    let Reviewed { status } = reviewed.map_err(|e| Denied(format!("token review failed: {e}")))?;
    account(&status).map_err(Denied)
}

fn account(status: &Status) -> Result<Account, String> {
    if !status.error.is_empty() {
        return Err(format!("invalid token: {}", status.error));
    }
    if !status.authenticated {
        return Err("authentication failed".into());
    }
    let parts: Vec<_> = status.user.username.split(':').collect();
    match parts[..] {
        ["system", _, namespace, name] => Ok(Account {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }),
        _ => Err("provided token is not a properly structured service account token".into()),
    }
}

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io", default)]
    kubernetes: Bound,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bound {
    pod: Named,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

/// The pod that a token is bound to; only for tokens that were reviewed.
pub(super) fn pod_of(token: &str) -> Result<String, Denied> {
    let failed = |why: &str| Denied(format!("failed to parse Kubernetes token: {why}"));
    let parts: Vec<_> = token.split('.').collect();
    let [_, claims, _] = parts[..] else {
        return Err(failed("it has not three parts"));
    };
    let claims = URL_SAFE_NO_PAD.decode(claims);
    let claims = claims.map_err(|_| failed("its claims are no base64"))?;
    let claims: Claims =
        serde_json::from_slice(&claims).map_err(|_| failed("its claims are malformed"))?;
    match claims.kubernetes.pod.name {
        name if name.is_empty() => Err(Denied(
            "kubernetes.io/pod/name claim is missing from Kubernetes token".into(),
        )),
        name => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_service_accounts_that_are_authenticated_are_known() {
        let reviewed = |status: Value| {
            let reviewed: Reviewed = serde_json::from_value(json!({"status": status})).unwrap();
            account(&reviewed.status)
        };
        let user = |name: &str| json!({"authenticated": true, "user": {"username": name}});
        let shop = Account {
            namespace: "shop".into(),
            name: "cart".into(),
        };
        let structure = "provided token is not a properly structured service account token";
        for (status, expected) in [
            (user("system:serviceaccount:shop:cart"), Ok(shop)),
            (
                json!({"error": "expired", "authenticated": true}),
                Err("invalid token: expired"),
            ),
            (
                json!({"user": {"username": "system:serviceaccount:shop:cart"}}),
                Err("authentication failed"),
            ),
            (json!({}), Err("authentication failed")),
            (user(""), Err(structure)),
            (user("system:node:a"), Err(structure)),
            (user("other:serviceaccount:shop:cart"), Err(structure)),
            (user("system:serviceaccount:shop:cart:x"), Err(structure)),
        ] {
            let found = reviewed(status);
            assert_eq!(found, expected.map_err(str::to_owned));
        }
    }

    #[test]
    fn the_pod_is_named_by_the_token() {
        let token = |claims: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
        let fine = token(r#"{"kubernetes.io":{"pod":{"name":"p","uid":"u"},"namespace":"n"}}"#);
        assert_eq!(pod_of(&fine).unwrap(), "p");
        let missing = "kubernetes.io/pod/name claim is missing from Kubernetes token";
        for (token, text) in [
            (token("{}"), missing),
            (token(r#"{"kubernetes.io":{"pod":{}}}"#), missing),
            (
                token(r#"{"kubernetes.io":7}"#),
                "failed to parse Kubernetes token: its claims are malformed",
            ),
            (
                "a.b".into(),
                "failed to parse Kubernetes token: it has not three parts",
            ),
            (
                "a.%.c".into(),
                "failed to parse Kubernetes token: its claims are no base64",
            ),
        ] {
            assert_eq!(pod_of(&token).unwrap_err().to_string(), text);
        }
    }
}
