//! From connection properties to a pool of connections.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use component::{Error, Result};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres::NoTls;
use tokio_postgres::config::{Config, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::Connection;

const CONNECT: Duration = Duration::from_secs(10);

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verify {
    Nothing,
    Authority,
    Everything,
}

/// What a connection string holds, ours and the driver's parts.
#[derive(Debug)]
struct Parsed {
    config: Config,
    verify: Verify,
    root: Option<String>,
}

/// A pool and the address for messages. Connects to nothing yet.
pub(crate) fn pool(connection: &Connection) -> Result<(Pool, String)> {
    for (on, name) in [
        (connection.use_azure_ad, "useAzureAD"),
        (connection.use_aws_iam, "useAWSIAM"),
    ] {
        if on {
            return Err(Error::config(format!(
                "{name} is not supported by this build; give user and password"
            )));
        }
    }
    let mut parsed = parse(&connection.connection_string.0)?;
    apply(connection, &mut parsed)?;
    let address = address(&parsed.config);
    let root = connection
        .ssl_root_cert
        .clone()
        .filter(|p| !p.is_empty())
        .or(parsed.root.take());
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = if parsed.config.get_ssl_mode() == SslMode::Disable {
        Manager::from_config(parsed.config, NoTls, recycling)
    } else {
        let tls = MakeRustlsConnect::new(tls(parsed.verify, root.as_deref())?);
        Manager::from_config(parsed.config, tls, recycling)
    };
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let most = connection
        .max_conns
        .filter(|n| *n > 1)
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(4 * processors);
    let pool = Pool::builder(manager)
        .max_size(most)
        .create_timeout(Some(CONNECT))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|e| Error::config(format!("cannot make a pool of connections: {e}")))?;
    Ok((pool, address))
}

fn apply(connection: &Connection, parsed: &mut Parsed) -> Result<()> {
    let given = |value: &Option<String>| value.clone().filter(|v| !v.is_empty());
    let config = &mut parsed.config;
    let mut fresh = None;
    if let Some(host) = given(&connection.host) {
        // The driver only adds hosts.
        let mut other = without_hosts(config);
        other.host(host);
        fresh = Some(other);
    }
    if let Some(other) = fresh {
        *config = other;
    }
    if let Some(address) = given(&connection.hostaddr) {
        let ip = IpAddr::from_str(&address)
            .map_err(|_| Error::config(format!("hostaddr '{address}' is no IP address")))?;
        config.hostaddr(ip);
    }
    if let Some(port) = connection.port {
        let mut other = without_ports(config);
        other.port(port);
        *config = other;
    }
    if let Some(database) = given(&connection.database) {
        config.dbname(database);
    }
    if let Some(user) = given(&connection.user) {
        config.user(user);
    }
    if let Some(password) = connection.password.as_ref().filter(|p| !p.0.is_empty()) {
        config.password(&password.0);
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(Error::config(
            "missing connection string; set connectionString, or host and its companions",
        ));
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_application_name().is_none() {
        config.application_name("dapr");
    }
    Ok(())
}

fn copy(config: &Config, hosts: bool, ports: bool) -> Config {
    let mut out = Config::new();
    if hosts {
        for host in config.get_hosts() {
            match host {
                tokio_postgres::config::Host::Tcp(name) => out.host(name),
                tokio_postgres::config::Host::Unix(path) => out.host_path(path),
            };
        }
        for ip in config.get_hostaddrs() {
            out.hostaddr(*ip);
        }
    }
    if ports {
        for port in config.get_ports() {
            out.port(*port);
        }
    }
    if let Some(user) = config.get_user() {
        out.user(user);
    }
    if let Some(password) = config.get_password() {
        out.password(password);
    }
    if let Some(database) = config.get_dbname() {
        out.dbname(database);
    }
    if let Some(options) = config.get_options() {
        out.options(options);
    }
    if let Some(name) = config.get_application_name() {
        out.application_name(name);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        out.connect_timeout(*timeout);
    }
    out.ssl_mode(config.get_ssl_mode());
    out
}

fn without_hosts(config: &Config) -> Config {
    copy(config, false, true)
}

fn without_ports(config: &Config) -> Config {
    copy(config, true, false)
}

/// Takes out what the driver does not know: the stricter TLS modes and the
/// settings of upstream's pool. The text itself is never shown: it holds a password.
fn parse(text: &str) -> Result<Parsed> {
    let text = text.trim();
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let (base, pairs) = if is_url {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let pairs = query
            .split('&')
            .filter(|p| !p.is_empty())
            .map(|p| p.split_once('=').unwrap_or((p, "")));
        (
            base.to_owned(),
            pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        )
    } else {
        (String::new(), words(text)?)
    };
    let (mut mode, mut root, mut rest) = (None, None, Vec::new());
    for (key, value) in pairs {
        match key.as_str() {
            "sslmode" => mode = Some(value),
            "sslrootcert" => root = Some(value),
            "sslcert"
            | "sslkey"
            | "sslpassword"
            | "sslsni"
            | "sslnegotiation"
            | "default_query_exec_mode" => {}
            "statement_cache_capacity" | "description_cache_capacity" => {}
            pool if pool.starts_with("pool_") => {}
            _ => rest.push((key, value)),
        }
    }
    let (verify, driver) = match mode.as_deref() {
        Some("disable") => (Verify::Nothing, "disable"),
        None | Some("" | "prefer" | "allow") => (Verify::Nothing, "prefer"),
        // As libpq has it: with a file of authorities, "require" checks them.
        Some("require") if root.is_some() => (Verify::Authority, "require"),
        Some("require") => (Verify::Nothing, "require"),
        Some("verify-ca") => (Verify::Authority, "require"),
        Some("verify-full") => (Verify::Everything, "require"),
        Some(other) => {
            let text = format!(
                "sslmode '{other}' is not known; use disable, allow, prefer, require, verify-ca or verify-full"
            );
            return Err(Error::config(text));
        }
    };
    rest.push(("sslmode".into(), driver.into()));
    let text = if is_url {
        let query: Vec<String> = rest.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{base}?{}", query.join("&"))
    } else {
        let quoted = |v: &str| v.replace('\\', "\\\\").replace('\'', "\\'");
        let pairs: Vec<String> = rest
            .into_iter()
            .map(|(k, v)| format!("{k}='{}'", quoted(&v)))
            .collect();
        pairs.join(" ")
    };
    let config = Config::from_str(&text).map_err(|e| {
        Error::config(format!(
            "connectionString is neither a URL nor key=value pairs: {}",
            e.into_source()
                .map_or_else(|| "it cannot be parsed".into(), |s| s.to_string())
        ))
    })?;
    Ok(Parsed {
        config,
        verify,
        root,
    })
}

/// `key=value` pairs; values may be quoted, with backslash escapes.
fn words(text: &str) -> Result<Vec<(String, String)>> {
    let bad = || {
        Error::config(
            "connectionString is neither a URL nor key=value pairs; check its quotes and blanks",
        )
    };
    let mut pairs = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(pairs);
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| !c.is_whitespace() && *c != '=') {
            key.push(c);
        }
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        chars.next_if_eq(&'=').ok_or_else(bad)?;
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next_if(|c| quoted || !c.is_whitespace()) {
                Some('\'') if quoted => break,
                Some('\\') => value.push(chars.next().ok_or_else(bad)?),
                Some(c) => value.push(c),
                None if quoted => return Err(bad()),
                None => break,
            }
        }
        pairs.push((key, value));
    }
}

fn address(config: &Config) -> String {
    let name = config.get_hosts().first().map(|host| match host {
        tokio_postgres::config::Host::Tcp(name) => name.clone(),
        tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
    });
    let ip = || config.get_hostaddrs().first().map(ToString::to_string);
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{}:{port}", name.or_else(ip).unwrap_or_default())
}

fn tls(verify: Verify, root: Option<&str>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = Arc::new(roots(verify, root)?);
    let authority = match verify {
        Verify::Nothing => None,
        _ => {
            let built =
                WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
            Some(built.map_err(|e| Error::config(format!("sslrootcert cannot be used: {e}")))?)
        }
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal(format!("TLS is not available: {e}")))?;
    let verifier: Arc<dyn ServerCertVerifier> = match (verify, authority) {
        (Verify::Everything, Some(authority)) => authority,
        (_, authority) => Arc::new(Lenient {
            authority,
            provider,
        }),
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn roots(verify: Verify, file: Option<&str>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if verify == Verify::Nothing {
        return Ok(roots);
    }
    let Some(file) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let fail = |e: String| Error::config(format!("sslrootcert '{file}' cannot be read: {e}"));
    let certificates = CertificateDer::pem_file_iter(file).map_err(|e| fail(e.to_string()))?;
    for certificate in certificates {
        roots
            .add(certificate.map_err(|e| fail(e.to_string()))?)
            .map_err(|e| fail(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fail("it holds no certificate".into()));
    }
    Ok(roots)
}

/// Checks the authority at most, not the name.
#[derive(Debug)]
struct Lenient {
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        match authority.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Ok(p) => {
                let user = p.config.get_user().unwrap_or("-").to_owned();
                let password = p
                    .config
                    .get_password()
                    .map(|p| String::from_utf8_lossy(p).into_owned());
                let password = password.unwrap_or_else(|| "-".into());
                format!(
                    "{} {user} {password} {:?} {:?}",
                    address(&p.config),
                    p.config.get_ssl_mode(),
                    p.verify
                )
            }
            Err(e) => e.message,
        }
    }

    #[test]
    fn connection_strings_are_understood() {
        for (text, expected) in [
            ("postgres://u:p%20w@h:1/db", "h:1 u p w Prefer Nothing"),
            (
                "postgresql://u@h/db?sslmode=verify-full&pool_max_conns=3",
                "h:5432 u - Require Everything",
            ),
            (
                "host=h port=2 user=u password='p \\'w' sslmode=disable",
                "h:2 u p 'w Disable Nothing",
            ),
            (
                "host=h user=u sslmode=verify-ca sslrootcert=/x",
                "h:5432 u - Require Authority",
            ),
            ("host = h  user=u", "h:5432 u - Prefer Nothing"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn bad_strings_are_refused_without_showing_them() {
        for text in [
            "s3cret",
            "host=h password='s3cret",
            "postgres://u:s3cret@h:notaport/db",
            "host=h sslmode=s0me",
        ] {
            let error = parse(text).unwrap_err().message;
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
