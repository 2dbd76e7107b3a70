//! The settings of a connection: its string, what the properties beside it
//! override, and what the environment adds.

use component::{Error, Result};

use crate::config::Connection;
use crate::dsn::{self, Settings};
use crate::tls::{Files, Verify};

/// libpq's environment variables that stand in for missing settings.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("host", "PGHOST"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
];

/// The connection string, what its companions override, and the environment.
pub(crate) fn settings(
    connection: &Connection,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Settings> {
    for (on, name) in [
        (connection.use_azure_ad, "useAzureAD"),
        (connection.use_aws_iam, "useAWSIAM"),
    ] {
        if on {
            return Err(Error::config(format!(
                "{name} is not supported in this build; give user and password"
            )));
        }
    }
    let mut settings = dsn::parse(&connection.connection_string.0)?;
    let overrides = [
        ("host", connection.host.clone()),
        ("hostaddr", connection.hostaddr.clone()),
        ("port", connection.port.map(|p| p.to_string())),
        ("dbname", connection.database.clone()),
        ("user", connection.user.clone()),
        (
            "password",
            connection.password.as_ref().map(|p| p.0.clone()),
        ),
        ("sslrootcert", connection.ssl_root_cert.clone()),
    ];
    for (name, value) in overrides {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            settings.insert(name.into(), value);
        }
    }
    if settings.is_empty() {
        return Err(Error::config(
            "missing connection string; set connectionString, or host and its companions",
        ));
    }
    settings.retain(|_, value| !value.is_empty());
    for (name, variable) in ENVIRONMENT {
        if !settings.contains_key(name)
            && let Some(value) = env(variable).filter(|v| !v.is_empty())
        {
            settings.insert(name.into(), value);
        }
    }
    if !settings.contains_key("host") && !settings.contains_key("hostaddr") {
        settings.insert("host".into(), "localhost".into());
    }
    Ok(settings)
}

pub(crate) fn address(settings: &Settings) -> String {
    let first = |name: &str| {
        settings
            .get(name)
            .and_then(|v| v.split(',').next())
            .filter(|v| !v.is_empty())
    };
    let host = first("host").or(first("hostaddr")).unwrap_or_default();
    format!("{host}:{}", first("port").unwrap_or("5432"))
}

/// Takes out what concerns TLS; leaves the driver's three modes.
pub(crate) fn verification(settings: &mut Settings) -> Result<(Verify, Files)> {
    let files = Files {
        root: settings.remove("sslrootcert"),
        certificate: settings.remove("sslcert"),
        key: settings.remove("sslkey"),
    };
    let mode = settings.remove("sslmode");
    let (verify, driver) = match mode.as_deref() {
        Some("disable") => (Verify::Nothing, "disable"),
        None | Some("prefer" | "allow") => (Verify::Nothing, "prefer"),
        // As libpq has it: with a file of authorities, "require" checks them.
        Some("require") if files.root.is_some() => (Verify::Authority, "require"),
        Some("require") => (Verify::Nothing, "require"),
        Some("verify-ca") => (Verify::Authority, "require"),
        Some("verify-full") => (Verify::Everything, "require"),
        Some(other) => {
            return Err(Error::config(format!(
                "sslmode '{other}' is not known; use disable, allow, prefer, require, verify-ca or verify-full"
            )));
        }
    };
    settings.insert("sslmode".into(), driver.into());
    Ok((verify, files))
}

#[cfg(test)]
mod tests {
    use component::metadata::{Properties, decode};

    use super::*;
    use crate::driver::driver;

    fn connection(properties: &[(&str, &str)]) -> Connection {
        let properties: Properties = properties.iter().map(|(k, v)| (*k, *v)).collect();
        decode(&properties).unwrap()
    }

    fn shown(properties: &[(&str, &str)], env: &[(&str, &str)]) -> Result<String> {
        let env = |name: &str| {
            env.iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        };
        let mut settings = settings(&connection(properties), env)?;
        let address = address(&settings);
        let (verify, files) = verification(&mut settings)?;
        let config = driver(settings)?;
        let password = config.get_password().map(String::from_utf8_lossy);
        Ok(format!(
            "{address} {:?} {} {} {} {:?} {verify:?} {} {}",
            config.get_ports(),
            config.get_user().unwrap_or("-"),
            password.as_deref().unwrap_or("-"),
            config.get_dbname().unwrap_or("-"),
            config.get_ssl_mode(),
            files.root.as_deref().unwrap_or("-"),
            config.get_options().unwrap_or("-"),
        ))
    }

    fn check(properties: &[(&str, &str)], expected: &str) {
        let shown = shown(properties, &[]).unwrap_or_else(|e| e.message);
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.starts_with(expected), "{properties:?}: {shown}");
    }

    #[test]
    fn strings_and_their_companions() {
        let url = ("url", "postgres://u:p@h:1/db?sslmode=disable");
        check(&[url], "h:1 [1] u p db Disable Nothing - -");
        check(
            &[
                url,
                ("host", "other"),
                ("port", "2"),
                ("user", "v"),
                ("password", "q"),
                ("database", "e"),
            ],
            "other:2 [2] v q e Disable Nothing - -",
        );
        check(
            &[("host", "h"), ("sslRootCert", "/ca")],
            "h:5432 [] - - - Prefer Nothing /ca -",
        );
        check(
            &[("connectionString", "host=a,b port=1,2")],
            "a:1 [1, 2] - - - Prefer Nothing - -",
        );
        check(
            &[("connectionString", "host=a,b port=1,2,3")],
            "host and port of the connection differ",
        );
        check(
            &[("connectionString", "host=a hostaddr=::1,::2")],
            "host and hostaddr of the connection differ",
        );
        check(
            &[("connectionString", "user=u")],
            "localhost:5432 [] u - - Prefer",
        );
        check(&[], "missing connection string");
        check(
            &[("connectionString", "host=h port=many")],
            "port 'many' of the connection is not valid",
        );
        check(
            &[("connectionString", "host=h hostaddr=here")],
            "hostaddr 'here' of the connection is not valid",
        );
    }

    #[test]
    fn tls_modes() {
        for (mode, expected) in [
            ("disable", "Disable Nothing"),
            ("allow", "Prefer Nothing"),
            ("prefer", "Prefer Nothing"),
            ("require", "Require Nothing"),
            ("require sslrootcert=/ca", "Require Authority /ca"),
            ("verify-ca sslrootcert=/ca", "Require Authority /ca"),
            ("verify-full", "Require Everything -"),
        ] {
            let text = format!("host=h sslmode={mode}");
            check(
                &[("connectionString", &text)],
                &format!("h:5432 [] - - - {expected}"),
            );
        }
        check(
            &[("connectionString", "host=h sslmode=maybe")],
            "sslmode 'maybe' is not known",
        );
    }

    #[test]
    fn the_servers_own_settings_become_options() {
        let text = "host=h search_path='a, b' statement_timeout=5s options='-c work_mem=1MB' pool_max_conns=9";
        let expected = "h:5432 [] - - - Prefer Nothing - -c work_mem=1MB -c search_path=a,\\ b -c statement_timeout=5s";
        check(&[("connectionString", text)], expected);
        check(
            &[("connectionString", "host=h password=s3cret a;b=s3cret")],
            "connectionString has a setting",
        );
    }

    #[test]
    fn the_environment_fills_gaps_only() {
        let env = [
            ("PGHOST", "e"),
            ("PGPORT", "7"),
            ("PGUSER", "v"),
            ("PGPASSWORD", "q"),
            ("PGDATABASE", "f"),
        ];
        let shown = shown(&[("connectionString", "user=u dbname=d")], &env).unwrap();
        assert_eq!(shown, "e:7 [7] u q d Prefer Nothing - -");
    }

    #[test]
    fn what_this_build_lacks_is_refused() {
        for name in ["useAzureAD", "useAWSIAM"] {
            check(
                &[("host", "h"), (name, "true")],
                &format!("{name} is not supported in this build"),
            );
        }
    }
}
