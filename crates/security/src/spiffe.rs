//! SPIFFE ids as Dapr forms them: `spiffe://<trust domain>/ns/<namespace>/<app id>`.

use std::fmt;
use std::str::FromStr;

/// The identity of an app or of a service of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    pub trust_domain: String,
    pub namespace: String,
    pub app_id: String,
}

/// The text that is no id of this form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed SPIFFE ID: {0}")]
pub struct Malformed(pub String);

impl SpiffeId {
    pub fn new(trust_domain: &str, namespace: &str, app_id: &str) -> Self {
        Self {
            trust_domain: trust_domain.to_owned(),
            namespace: namespace.to_owned(),
            app_id: app_id.to_owned(),
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trust_domain,
            namespace,
            app_id,
        } = self;
        write!(f, "spiffe://{trust_domain}/ns/{namespace}/{app_id}")
    }
}

impl FromStr for SpiffeId {
    type Err = Malformed;

    /// Elements after the app id are tolerated, as upstream does.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed(text.to_owned());
        let rest = text.strip_prefix("spiffe://").ok_or_else(malformed)?;
        let mut parts = rest.split('/');
        let mut next = || parts.next().filter(|p| !p.is_empty());
        match (next(), next(), next(), next()) {
            (Some(domain), Some("ns"), Some(namespace), Some(app_id)) if trust_domain(domain) => {
                Ok(Self::new(domain, namespace, app_id))
            }
            _ => Err(malformed()),
        }
    }
}

/// Whether a name may be a trust domain: letters in lower case, digits, `.`, `-`, `_`.
pub fn trust_domain(name: &str) -> bool {
    let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-' | '_');
    !name.is_empty() && name.len() <= 255 && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_written() {
        let id = SpiffeId::new("public", "default", "cart");
        assert_eq!(id.to_string(), "spiffe://public/ns/default/cart");
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        assert_eq!("spiffe://public/ns/default/cart/more".parse(), Ok(id));
        for text in [
            "",
            "public/ns/default/cart",
            "spiffe://public/ns/default",
            "spiffe://public/ns//cart",
            "spiffe://public/ns/default/",
            "spiffe://public/namespace/default/cart",
            "spiffe:///ns/default/cart",
            "spiffe://Public/ns/default/cart",
        ] {
            let error = text.parse::<SpiffeId>().unwrap_err();
            assert_eq!(error.to_string(), format!("malformed SPIFFE ID: {text}"));
        }
    }
}
