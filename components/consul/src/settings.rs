//! Where the agent is and who asks: the configuration, and for what it leaves
//! open Consul's own environment variables and defaults.

use component::metadata::Sensitive;
use component::{Error, Result};

use crate::config::{ClientConfig, HttpAuth};

const ADDRESS: &str = "127.0.0.1:8500";

/// The same section with nothing left open. `env` reads a variable.
pub(crate) fn complete(
    mut config: ClientConfig,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<ClientConfig> {
    let fill = |value: &mut String, name: &str| {
        if value.is_empty() {
            *value = env(name).unwrap_or_default();
        }
    };
    let on = |name: &str| {
        env(name).map(|text| matches!(text.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
    };
    fill(&mut config.address, "CONSUL_HTTP_ADDR");
    if config.address.is_empty() {
        config.address = ADDRESS.into();
    }
    if config.scheme.is_empty() {
        let tls = on("CONSUL_HTTP_SSL").unwrap_or(false);
        config.scheme = if tls { "https" } else { "http" }.into();
    }
    if let Some((scheme, rest)) = config.address.split_once("://") {
        (config.scheme, config.address) = (scheme.to_owned(), rest.to_owned());
    }
    if !matches!(config.scheme.as_str(), "http" | "https") {
        return Err(Error::config(format!(
            "consul scheme {:?} is not supported; use http or https",
            config.scheme
        )));
    }
    // A file wins over a text, and what is configured over the environment.
    if config.token.0.is_empty() {
        fill(&mut config.token_file, "CONSUL_HTTP_TOKEN_FILE");
    }
    if !config.token_file.is_empty() {
        let path = &config.token_file;
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::config(format!("couldn't read consul token from {path}: {e}")))?;
        config.token = Sensitive(text.trim().to_owned());
    }
    fill(&mut config.token.0, "CONSUL_HTTP_TOKEN");
    if config.http_auth.is_none() {
        config.http_auth = env("CONSUL_HTTP_AUTH")
            .filter(|auth| !auth.is_empty())
            .map(|auth| {
                let (username, password) = auth.split_once(':').unwrap_or((&auth, ""));
                HttpAuth {
                    username: username.to_owned(),
                    password: Sensitive(password.to_owned()),
                }
            });
    }
    let tls = &mut config.tls;
    fill(&mut tls.address, "CONSUL_TLS_SERVER_NAME");
    fill(&mut tls.ca_file, "CONSUL_CACERT");
    fill(&mut tls.ca_path, "CONSUL_CAPATH");
    fill(&mut tls.cert_file, "CONSUL_CLIENT_CERT");
    fill(&mut tls.key_file, "CONSUL_CLIENT_KEY");
    tls.insecure_skip_verify |= on("CONSUL_HTTP_SSL_VERIFY") == Some(false);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(config: ClientConfig, env: &[(&str, &str)], expected: &str) {
        let env = |name: &str| {
            let found = env.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let got = complete(config, &env).map(|c| {
            let auth = c.http_auth.map_or(String::new(), |a| {
                format!(" {}/{}", a.username, a.password.0)
            });
            format!("{}://{} {}{auth}", c.scheme, c.address, c.token.0)
        });
        let got = got.unwrap_or_else(|e| format!("error: {e}"));
        assert_eq!(got.trim_end(), expected);
    }

    fn at(address: &str) -> ClientConfig {
        ClientConfig {
            address: address.into(),
            token: Sensitive("t".into()),
            ..ClientConfig::default()
        }
    }

    #[test]
    fn the_environment_fills_what_the_configuration_leaves_open() {
        let none = ClientConfig::default;
        check(none(), &[], "http://127.0.0.1:8500");
        let env = [
            ("CONSUL_HTTP_ADDR", "c:1"),
            ("CONSUL_HTTP_SSL", "true"),
            ("CONSUL_HTTP_TOKEN", "e"),
            ("CONSUL_HTTP_AUTH", "u:p"),
        ];
        check(none(), &env, "https://c:1 e u/p");
        check(at("a:2"), &env[2..3], "http://a:2 t");
        check(at("https://a:2"), &[], "https://a:2 t");
        check(
            at("unix:///run/consul"),
            &[],
            "error: consul scheme \"unix\" is not supported; use http or https",
        );
        let file = [("CONSUL_HTTP_TOKEN_FILE", "/none")];
        check(at("a:2"), &file, "http://a:2 t");
        let expected =
            "error: couldn't read consul token from /none: No such file or directory (os error 2)";
        check(none(), &file, expected);
    }
}
