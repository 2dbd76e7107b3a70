//! From flags and environment to a checked [`Config`].

use std::time::Duration;

use service::flags::Parsed;

use crate::flags::{
    AppConfig, Config, HealthConfig, IdentityConfig, PlacementConfig, SchedulerConfig,
};

/// Of triggers, to one scheduler.
const MOST_STREAMS: usize = 64;

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Flags whose values cannot be used, found before the runtime starts; the text
/// follows `Failed to parse flags: `.
pub(crate) fn sizes(flags: &Parsed) -> Result<(Option<usize>, usize), String> {
    let quantity = |name: &str, legacy: &str, unit: i64| -> Result<i64, String> {
        if !flags.given(name) && flags.given(legacy) {
            return Ok(flags.int(legacy).saturating_mul(unit));
        }
        let text = flags.string(name);
        let (sign, digits) = text
            .strip_prefix('-')
            .map_or((1, text), |digits| (-1, digits));
        let size = component::metadata::quantity(digits).and_then(|n| i64::try_from(n).ok());
        size.map(|n| n * sign).ok_or_else(|| {
            let cause = "use a number of bytes with an optional suffix, such as 16Mi";
            format!("invalid value for '{name}' option: '{text}' is not a quantity; {cause}")
        })
    };
    let body = match quantity("max-body-size", "dapr-http-max-request-size", 1 << 20)? {
        -1 => Some(4 << 20),
        n => usize::try_from(n).ok().filter(|n| *n > 0),
    };
    let head = quantity("read-buffer-size", "dapr-http-read-buffer-size", 1 << 10)?;
    let dissemination = flags.nanos("actors-disseminate-timeout");
    if dissemination <= 0 {
        let shown = service::duration::format_nanos(dissemination);
        return Err(format!(
            "invalid value for 'actors-disseminate-timeout' option: must be positive, got {shown}"
        ));
    }
    Ok((
        body,
        usize::try_from(head)
            .ok()
            .filter(|n| *n > 0)
            .unwrap_or(4 << 10),
    ))
}

/// The rest; the text follows `Fatal error from runtime: `.
pub(crate) fn config(
    flags: &Parsed,
    env: Env<'_>,
    (max_body, read_buffer): (Option<usize>, usize),
) -> Result<Config, String> {
    let app_id = flags.string("app-id").to_owned();
    let mode = flags.string("mode");
    match mode {
        "standalone" if app_id.is_empty() => return Err("parameter app-id cannot be empty".into()),
        "standalone" if app_id.contains('.') => {
            return Err("parameter app-id cannot contain dots".into());
        }
        "standalone" => {}
        "kubernetes" => {
            return Err(
                "mode kubernetes is not part of this release yet; use --mode standalone".into(),
            );
        }
        other => return Err(format!("invalid mode: {other}")),
    }
    let http_port = port(
        flags.string("dapr-http-port"),
        "error parsing dapr-http-port flag",
    )?;
    let grpc_port = port(
        flags.string("dapr-grpc-port"),
        "error parsing dapr-grpc-port flag",
    )?;
    let profile = port(
        flags.string("profile-port"),
        "error parsing profile-port flag",
    )?;
    let internal = optional_port(flags, "dapr-internal-grpc-port")?;
    let public_port = optional_port(flags, "dapr-public-port")?;
    let app_port = optional_port(flags, "app-port")?;
    for (name, number) in [("dapr-http-port", http_port), ("dapr-grpc-port", grpc_port)] {
        if number == app_port.unwrap_or(0) {
            return Err(format!(
                "the '{name}' argument value {number} conflicts with 'app-port'"
            ));
        }
    }
    let init = init_endpoints(flags.strings("disable-init-endpoints"))?;
    let metrics = flags
        .boolean("enable-metrics")
        .then(|| flags.string("metrics-port"));
    let metrics = metrics.map(|text| {
        let number = port(text, "failed to parse metrics port")?;
        Ok::<_, String>((flags.string("metrics-listen-address").to_owned(), number))
    });
    Ok(Config {
        app: app(flags, env, app_port, init)?,
        app_id,
        namespace: env("NAMESPACE").unwrap_or_default(),
        http_port,
        grpc_port,
        internal_port: internal.filter(|p| *p != 0),
        public_port,
        listen_addresses: addresses(flags.string("dapr-listen-addresses")),
        internal_address: flags.string("dapr-internal-grpc-listen-address").into(),
        public_address: flags.string("dapr-public-listen-address").into(),
        unix_folder: Some(flags.string("unix-domain-socket").to_owned()).filter(|f| !f.is_empty()),
        max_body,
        read_buffer,
        allowed_origins: flags.string("allowed-origins").into(),
        api_logging: flags.tristate("enable-api-logging"),
        resources: match flags.strings("resources-path") {
            [] => Some(flags.string("components-path").to_owned())
                .filter(|p| !p.is_empty())
                .into_iter()
                .collect(),
            paths => paths.to_vec(),
        },
        configurations: flags.strings("config").to_vec(),
        reconcile: match flags.nanos("hot-reload-reconcile-interval") {
            n if n > 0 => flags.duration("hot-reload-reconcile-interval"),
            _ => Duration::from_secs(60),
        },
        graceful: match flags.int("dapr-graceful-shutdown-seconds") {
            0 => None,
            n => Some(Duration::from_secs(u64::try_from(n).unwrap_or(5))),
        },
        block: flags
            .given("dapr-block-shutdown-duration")
            .then(|| flags.duration("dapr-block-shutdown-duration"))
            .filter(|d| !d.is_zero()),
        metrics: metrics.transpose()?,
        profile: flags.boolean("enable-profiling").then_some(profile),
        api_token: env("DAPR_API_TOKEN").unwrap_or_default(),
        identity: IdentityConfig {
            mtls: flags.boolean("enable-mtls"),
            sentry_address: flags.string("sentry-address").into(),
            trust_domain: flags.string("control-plane-trust-domain").into(),
            namespace: flags.string("control-plane-namespace").into(),
            jwt_audiences: flags.strings("sentry-request-jwt-audiences").to_vec(),
        },
        scheduler: SchedulerConfig {
            addresses: {
                let given = flags.strings("scheduler-host-address").iter();
                let trimmed = given.map(|address| address.trim().to_owned());
                trimmed.filter(|address| !address.is_empty()).collect()
            },
            streams: usize::try_from(flags.uint("scheduler-job-streams"))
                .unwrap_or(MOST_STREAMS)
                .clamp(1, MOST_STREAMS),
        },
        placement: PlacementConfig {
            addresses: placement(flags),
            timeout: flags.duration("actors-disseminate-timeout"),
        },
    })
}

/// The old flag may name the service before its addresses.
fn placement(flags: &Parsed) -> Vec<String> {
    let addresses = match flags.string("placement-host-address") {
        "" => {
            let old = flags.string("actors-service");
            old.strip_prefix("placement:").unwrap_or(old)
        }
        given => given,
    };
    let addresses = addresses.split(',').map(str::trim);
    let addresses = addresses.filter(|address| !address.is_empty());
    addresses.map(str::to_owned).collect()
}

fn app(
    flags: &Parsed,
    env: Env<'_>,
    port: Option<u16>,
    ask_config: bool,
) -> Result<AppConfig, String> {
    let given = flags.string("app-protocol").to_lowercase();
    let ssl = flags.boolean("app-ssl");
    let protocol = match given.as_str() {
        "" | "http" if ssl => "https",
        "grpc" if ssl => "grpcs",
        "" => "http",
        "http" | "https" | "h2c" | "grpc" | "grpcs" => &given,
        other => return Err(format!("invalid value for 'app-protocol': {other}")),
    };
    let or = |number: i64, default: u64| {
        u64::try_from(number)
            .ok()
            .filter(|n| *n > 0)
            .unwrap_or(default)
    };
    let interval = Duration::from_secs(or(flags.int("app-health-probe-interval"), 5));
    let timeout = Duration::from_millis(or(flags.int("app-health-probe-timeout"), 500));
    let enabled = flags.boolean("enable-app-health-check");
    if enabled && timeout > interval {
        return Err(
            "value for 'health-probe-timeout' must be smaller than 'health-probe-interval'".into(),
        );
    }
    let threshold = match flags.int("app-health-threshold") {
        n if n >= 1 && n != i64::from(i32::MAX) => u32::try_from(n).unwrap_or(3),
        _ => 3,
    };
    Ok(AppConfig {
        port: port.filter(|p| *p != 0),
        protocol: protocol.into(),
        address: flags.string("app-channel-address").into(),
        max_concurrency: usize::try_from(flags.int("app-max-concurrency"))
            .ok()
            .filter(|n| *n > 0),
        token: env("APP_API_TOKEN").unwrap_or_default(),
        ask_config,
        health: enabled.then(|| HealthConfig {
            path: match flags.string("app-health-check-path") {
                "" => "/healthz".into(),
                path => path.into(),
            },
            interval,
            timeout,
            threshold,
        }),
    })
}

/// Whether `/dapr/config` is asked for.
fn init_endpoints(names: &[String]) -> Result<bool, String> {
    let mut ask = true;
    for name in names {
        match name.trim().to_lowercase().as_str() {
            "config" => ask = false,
            "subscribe" => {}
            _ => {
                return Err(format!(
                    "invalid value for 'disable-init-endpoints': {name}"
                ));
            }
        }
    }
    Ok(ask)
}

fn addresses(list: &str) -> Vec<String> {
    list.split(',').map(|a| a.trim().to_owned()).collect()
}

fn optional_port(flags: &Parsed, name: &str) -> Result<Option<u16>, String> {
    match flags.string(name) {
        "" => Ok(None),
        text => port(text, &format!("error parsing {name}")).map(Some),
    }
}

/// Go's words for a text that is no number; a number that is no port is ours.
fn port(text: &str, what: &str) -> Result<u16, String> {
    let number: i64 = text
        .parse()
        .map_err(|_| format!("{what}: strconv.Atoi: parsing \"{text}\": invalid syntax"))?;
    u16::try_from(number).map_err(|_| format!("{what}: {number} is not a port; use 0 to 65535"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn parse(args: &[&str], env: &[(&str, &str)]) -> Result<Config, String> {
        let env: BTreeMap<&str, &str> = env.iter().copied().collect();
        let env = move |name: &str| env.get(name).map(|v| (*v).to_owned());
        let args = std::iter::once("daprd")
            .chain(args.iter().copied())
            .map(Into::into);
        let flags = crate::flags::flags().parse(args.skip(1), &env).unwrap();
        config(&flags, &env, sizes(&flags)?)
    }

    #[test]
    fn defaults_are_upstreams() {
        let config = parse(&["--app-id", "a"], &[]).unwrap();
        assert_eq!(
            (config.http_port, config.grpc_port, config.internal_port),
            (3500, 50001, None)
        );
        assert_eq!((config.max_body, config.read_buffer), (Some(4 << 20), 4096));
        assert_eq!(config.metrics, Some(("0.0.0.0".into(), 9090)));
        assert_eq!(config.graceful, Some(Duration::from_secs(5)));
        assert_eq!(
            (
                config.app.protocol.as_str(),
                config.app.port,
                config.app.max_concurrency
            ),
            ("http", None, None)
        );
    }

    #[test]
    fn values_are_read_in_all_their_forms() {
        let size = |args: &[&str]| {
            parse(&[&["-app-id", "a"], args].concat(), &[])
                .unwrap()
                .max_body
        };
        assert_eq!(size(&["--max-body-size", "16Mi"]), Some(16 << 20));
        assert_eq!(size(&["--dapr-http-max-request-size", "2"]), Some(2 << 20));
        assert_eq!(
            size(&[
                "--max-body-size",
                "1Mi",
                "--dapr-http-max-request-size",
                "2"
            ]),
            Some(1 << 20)
        );
        assert_eq!(size(&["--max-body-size=0"]), None);
        assert_eq!(size(&["--max-body-size=-1"]), Some(4 << 20));
        let app = |args: &[&str]| parse(&[&["-app-id", "a"], args].concat(), &[]).unwrap().app;
        assert_eq!(
            app(&["--app-protocol", "GRPC", "--app-ssl"]).protocol,
            "grpcs"
        );
        assert_eq!(
            app(&["--app-max-concurrency", "7"]).max_concurrency,
            Some(7)
        );
        assert!(!app(&["--disable-init-endpoints", " Config ,subscribe"]).ask_config);
        let health = app(&["--enable-app-health-check", "--app-health-threshold", "0"])
            .health
            .unwrap();
        assert_eq!((health.path.as_str(), health.threshold), ("/healthz", 3));
    }

    #[test]
    fn schedulers_come_from_the_flag_or_else_the_environment() {
        let env = &[("DAPR_SCHEDULER_HOST_ADDRESS_DNS_A", "e:1, f:2")][..];
        for (args, env, addresses, streams) in [
            (&[][..], &[][..], &[][..], 3),
            (&[], env, &["e:1", "f:2"], 3),
            (
                &["--scheduler-host-address", "a:1, ,b:2"],
                env,
                &["a:1", "b:2"],
                3,
            ),
            (&["--scheduler-job-streams", "0"], &[], &[], 1),
            (&["--scheduler-job-streams", "9999"], &[], &[], 64),
        ] {
            let config = parse(&[&["--app-id", "a"], args].concat(), env).unwrap();
            let found = (config.scheduler.addresses, config.scheduler.streams);
            assert_eq!(
                found,
                (addresses.iter().map(|a| (*a).to_owned()).collect(), streams)
            );
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_upstreams_words() {
        for (args, expected) in [
            (&[][..], "parameter app-id cannot be empty"),
            (&["--app-id", "a.b"], "parameter app-id cannot contain dots"),
            (&["--app-id", "a", "--mode", "x"], "invalid mode: x"),
            (
                &["--app-id", "a", "--dapr-http-port", "x"],
                "error parsing dapr-http-port flag: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (
                &["--app-id", "a", "--app-port", "3500"],
                "the 'dapr-http-port' argument value 3500 conflicts with 'app-port'",
            ),
            (
                &["--app-id", "a", "--dapr-grpc-port", "0"],
                "the 'dapr-grpc-port' argument value 0 conflicts with 'app-port'",
            ),
            (
                &["--app-id", "a", "--app-protocol", "ftp"],
                "invalid value for 'app-protocol': ftp",
            ),
            (
                &["--app-id", "a", "--disable-init-endpoints", "x"],
                "invalid value for 'disable-init-endpoints': x",
            ),
            (
                &[
                    "--app-id",
                    "a",
                    "--enable-app-health-check",
                    "--app-health-probe-timeout",
                    "6000",
                ],
                "value for 'health-probe-timeout' must be smaller than 'health-probe-interval'",
            ),
            (
                &["--app-id", "a", "--actors-disseminate-timeout", "0s"],
                "invalid value for 'actors-disseminate-timeout' option: must be positive, got 0s",
            ),
        ] {
            assert_eq!(parse(args, &[]).unwrap_err(), expected);
        }
    }
}
