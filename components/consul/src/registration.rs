//! What the sidecar tells the agent of its app.

use component::resolution::Instance;
use component::{Error, Result};
use serde_json::{Map, Value, json};

use crate::config::Config;

/// A registration in the form of the agent's API, and its id.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) id: String,
    pub(crate) body: Value,
}

impl Registration {
    /// The advanced registration as it is, or one made of the instance; none
    /// when neither is wanted. The internal port is in the metadata of both.
    pub(crate) fn new(config: &Config, instance: &Instance) -> Result<Option<Self>> {
        let mut fields = match &config.advanced_registration {
            Some(advanced) => advanced.clone(),
            None if config.self_register => simple(config, instance)?,
            None => return Ok(None),
        };
        let port = needed("DAPR_PORT", instance.internal_port)?.to_string();
        let meta = field(&mut fields, "Meta");
        match meta {
            Value::Object(meta) => {
                meta.insert(config.dapr_port_meta_key.clone(), port.into());
            }
            other => *other = json!({ config.dapr_port_meta_key.clone(): port }),
        }
        let number = field(&mut fields, "Port");
        if let Some(parsed) = number.as_str().and_then(|text| text.parse::<u16>().ok()) {
            *number = parsed.into();
        }
        let mut text = |name| {
            field(&mut fields, name)
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let (id, name) = (text("ID"), text("Name"));
        // The agent takes the name for a missing id.
        let id = if id.is_empty() { name } else { id };
        fields.retain(|_, value| !value.is_null());
        let body = Value::Object(fields);
        Ok(Some(Self { id, body }))
    }
}

fn simple(config: &Config, instance: &Instance) -> Result<Map<String, Value>> {
    let missing = |name: &str| Error::config(format!("metadata property missing: {name}"));
    if instance.app_id.is_empty() {
        return Err(missing("APP_ID"));
    }
    if instance.address.is_empty() {
        return Err(missing("HOST_ADDRESS"));
    }
    let (app, host) = (&instance.app_id, instance.address.trim_matches(['[', ']']));
    let http = needed("DAPR_HTTP_PORT", instance.http_port)?;
    let id = format!("{app}-{host}-{http}");
    let checks = config.checks.clone().map_or_else(
        || {
            let authority = join(host, http);
            json!([{
                "CheckID": format!("daprHealth:{id}"),
                "Name": "Dapr Health Status",
                "HTTP": format!("http://{authority}/v1.0/healthz?appid={app}"),
                "Interval": "15s",
            }])
        },
        |checks| checks.into_iter().map(Value::Object).collect(),
    );
    let fields = [
        ("ID", json!(id)),
        ("Name", json!(app)),
        ("Address", json!(host)),
        ("Port", json!(needed("APP_PORT", instance.app_port)?)),
        ("Tags", json!(config.tags)),
        ("Meta", json!(config.meta)),
        ("Checks", checks),
    ];
    Ok(fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

fn needed(name: &str, port: u16) -> Result<u16> {
    if port == 0 {
        return Err(Error::config(format!("metadata property missing: {name}")));
    }
    Ok(port)
}

/// `host:port`, an IPv6 address in brackets.
pub(crate) fn join(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// A field by its name in any case, null when it is new.
fn field<'a>(fields: &'a mut Map<String, Value>, name: &str) -> &'a mut Value {
    let given = fields
        .keys()
        .find(|key| key.eq_ignore_ascii_case(name))
        .cloned();
    fields
        .entry(given.unwrap_or_else(|| name.to_owned()))
        .or_insert(Value::Null)
}

#[cfg(test)]
mod tests {
    use component::metadata::decode_json;

    use super::*;

    fn instance() -> Instance {
        Instance {
            app_id: "app".into(),
            address: "10.0.0.1".into(),
            internal_port: 50002,
            http_port: 3500,
            app_port: 8080,
            ..Instance::default()
        }
    }

    fn made(configuration: &Value, instance: &Instance) -> Result<Option<Registration>> {
        Registration::new(&decode_json(configuration).unwrap(), instance)
    }

    #[test]
    fn a_registration_is_made_of_the_instance() {
        assert!(made(&json!({}), &instance()).unwrap().is_none());
        let given = json!({ "SelfRegister": true, "tags": ["t"], "meta": { "k": "v" } });
        let got = made(&given, &instance()).unwrap().unwrap();
        assert_eq!(got.id, "app-10.0.0.1-3500");
        let expected = json!({
            "ID": "app-10.0.0.1-3500",
            "Name": "app",
            "Address": "10.0.0.1",
            "Port": 8080,
            "Tags": ["t"],
            "Meta": { "k": "v", "DAPR_PORT": "50002" },
            "Checks": [{
                "CheckID": "daprHealth:app-10.0.0.1-3500",
                "Name": "Dapr Health Status",
                "HTTP": "http://10.0.0.1:3500/v1.0/healthz?appid=app",
                "Interval": "15s",
            }],
        });
        assert_eq!(got.body, expected);
        let checks =
            json!({ "selfRegister": "true", "daprPortMetaKey": "P", "checks": [{ "ttl": "5s" }] });
        let v6 = Instance {
            address: "[fd00::1]".into(),
            ..instance()
        };
        let got = made(&checks, &v6).unwrap().unwrap();
        assert_eq!(got.body["Checks"], json!([{ "ttl": "5s" }]));
        assert_eq!(got.body["Meta"], json!({ "P": "50002" }));
        assert_eq!(got.body["Address"], "fd00::1");
    }

    #[test]
    fn an_advanced_registration_replaces_all_but_the_port() {
        let given = json!({ "advancedRegistration": { "name": "n", "port": "81", "Meta": { "a": "b" }, "weights": { "passing": 1 } } });
        let got = made(&given, &instance()).unwrap().unwrap();
        assert_eq!(got.id, "n");
        let expected = json!({ "name": "n", "port": 81, "Meta": { "a": "b", "DAPR_PORT": "50002" }, "weights": { "passing": 1 } });
        assert_eq!(got.body, expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |change: fn(&mut Instance), name: &str| {
            let mut instance = instance();
            change(&mut instance);
            let error = made(&json!({ "selfRegister": true }), &instance).unwrap_err();
            assert_eq!(error.message, format!("metadata property missing: {name}"));
        };
        check(|i| i.app_id.clear(), "APP_ID");
        check(|i| i.address.clear(), "HOST_ADDRESS");
        check(|i| i.app_port = 0, "APP_PORT");
        check(|i| i.http_port = 0, "DAPR_HTTP_PORT");
        check(|i| i.internal_port = 0, "DAPR_PORT");
    }
}
