//! What Sentry reads of the Configuration: `spec.mtls`.

use std::path::Path;
use std::time::Duration;

use resources::configuration::{Mtls, TokenValidator};

use crate::validate::jwks::JwksOptions;

const SCOPE: &str = "dapr.sentry";

/// How leaves are, and who may have one.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) leaf_ttl: Duration,
    pub(crate) clock_skew: Duration,
    pub(crate) jwks: Vec<JwksOptions>,
}

impl Config {
    /// Reads the file of this name; without one the defaults hold.
    pub(crate) fn standalone(
        name: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        if !Path::new(name).is_file() {
            return Self::of(name, None);
        }
        let read = resources::load::read_configurations(&[name], env);
        let read = read.map_err(|e| format!("error loading configuration: {e}"))?;
        Self::of(name, Some(read.spec.mtls.unwrap_or_default()))
    }

    /// Checks what the Configuration of this name says; `None` when there is none.
    pub(crate) fn of(name: &str, mtls: Option<Mtls>) -> Result<Self, String> {
        if mtls.is_none() {
            tracing::info!(
                target: SCOPE,
                "loading default config. couldn't find config name \"{name}\": config CRD not found"
            );
        }
        let mtls = mtls.unwrap_or_default();
        Ok(Self {
            leaf_ttl: duration("workloadCertTTL", &mtls.workload_cert_ttl, 24 * 3600)?,
            clock_skew: duration("allowedClockSkew", &mtls.allowed_clock_skew, 15 * 60)?,
            jwks: validators(&mtls.token_validators)?,
        })
    }
}

fn duration(name: &str, given: &str, default: u64) -> Result<Duration, String> {
    if given.is_empty() {
        return Ok(Duration::from_secs(default));
    }
    service::duration::parse(given).map_err(|e| format!("error parsing {name} duration: {e}"))
}

fn validators(configured: &[TokenValidator]) -> Result<Vec<JwksOptions>, String> {
    let mut all = Vec::new();
    for validator in configured {
        match validator.name.as_str() {
            "jwks" if all.is_empty() => all.push(JwksOptions::parse(&validator.options)?),
            "jwks" => return Err("token validator 'jwks' is configured twice".into()),
            "kubernetes" | "insecure" => {
                return Err(
                    "invalid token validator: the built-in 'kubernetes' and 'insecure' \
                     validators cannot be configured manually"
                        .into(),
                );
            }
            other => {
                return Err(format!(
                    "invalid token validator name: '{other}'; supported values: 'jwks'"
                ));
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mtls: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        let text = format!("kind: Configuration\nspec:\n  mtls: {mtls}\n");
        std::fs::write(&path, text).unwrap();
        Config::standalone(path.to_str().unwrap(), &|_| None)
    }

    #[test]
    fn a_missing_configuration_means_the_defaults() {
        for config in [
            Config::standalone("daprsystem-is-nowhere", &|_| None),
            read("{}"),
        ] {
            let config = config.unwrap();
            assert_eq!(config.leaf_ttl, Duration::from_secs(86400));
            assert_eq!(config.clock_skew, Duration::from_secs(900));
            assert!(config.jwks.is_empty());
        }
    }

    #[test]
    fn life_skew_and_validators_are_read() {
        let config = read(
            "{workloadCertTTL: 1h30m, allowedClockSkew: 10s, tokenValidators: \
             [{name: jwks, options: {source: '{\"keys\":[]}', requestTimeout: 3s}}]}",
        )
        .unwrap();
        assert_eq!(config.leaf_ttl, Duration::from_secs(5400));
        assert_eq!(config.clock_skew, Duration::from_secs(10));
        assert_eq!(config.jwks.len(), 1);
    }

    #[test]
    fn what_cannot_be_followed_ends_the_start() {
        for (mtls, text) in [
            ("{workloadCertTTL: soon}", "error parsing workloadCertTTL"),
            ("{allowedClockSkew: x}", "error parsing allowedClockSkew"),
            (
                "{tokenValidators: [{name: magic}]}",
                "invalid token validator name: 'magic'; supported values: 'jwks'",
            ),
            (
                "{tokenValidators: [{name: kubernetes}]}",
                "invalid token validator: the built-in 'kubernetes' and 'insecure' validators \
                 cannot be configured manually",
            ),
            (
                "{tokenValidators: [{name: jwks}]}",
                "option 'source' of the jwks validator is required",
            ),
            (
                "{tokenValidators: [{name: jwks, options: {source: x, requestTimeout: later}}]}",
                "option 'requestTimeout' of the jwks validator: ",
            ),
        ] {
            let error = read(mtls).unwrap_err();
            assert!(error.starts_with(text), "{error}");
        }
    }
}
