//! The arguments that daprd gets, for what the user asks.

use std::fs;

use clap::Parser;

use super::*;
use crate::{run::sentry::Sentry, services::Secured};

#[derive(Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(flatten)]
    spec: Spec,
}

struct Folder {
    parent: tempfile::TempDir,
    home: Home,
}

/// A `.dapr` folder with a daprd and the given other files.
fn folder(files: &[(&str, &str)]) -> Folder {
    let parent = tempfile::tempdir().expect("folder");
    let home = Home::below(parent.path()).expect("usable");
    for (name, text) in [("bin/daprd", "")].iter().chain(files) {
        let path = home.root().join(name);
        fs::create_dir_all(path.parent().expect("below")).expect("folder");
        fs::write(path, text).expect("written");
    }
    Folder { parent, home }
}

fn plan(line: &str, folder: &Folder) -> Result<Plan> {
    let spec = Line::parse_from(line.split_whitespace()).spec;
    Plan::new(spec, &folder.home, &mut Ports::default(), None, false)
}

/// The arguments as one line, with ports that were chosen and the folder made recognizable.
fn args(line: &str, folder: &Folder) -> String {
    let plan = plan(line, folder).expect("valid");
    let mut words: Vec<String> = plan
        .daprd_args
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    for index in 1..words.len() {
        if words[index - 1].ends_with("-port") && words[index].parse().is_ok_and(|n: u32| n > 9999)
        {
            words[index] = "FREE".to_owned();
        }
    }
    words
        .join(" ")
        .replace(&folder.parent.path().display().to_string(), "~")
}

#[test]
fn the_plainest_run_has_upstreams_arguments_in_upstreams_order() {
    let folder = folder(&[("config.yaml", "spec: {}"), ("components/a.yaml", "")]);
    assert_eq!(
        args("--app-id orders", &folder),
        "--config ~/.dapr/config.yaml --app-protocol http --log-level info \
         --app-max-concurrency -1 --placement-host-address localhost:50005 \
         --resources-path ~/.dapr/components --max-body-size 4Mi --read-buffer-size 4Ki \
         --scheduler-host-address localhost:50006 --app-id orders --app-port 0 \
         --dapr-http-port FREE --dapr-grpc-port FREE --metrics-port FREE \
         --dapr-internal-grpc-port FREE"
    );
}

#[test]
fn every_flag_reaches_daprd() {
    let folder = folder(&[]);
    let check = |line: &str, expected: &str| {
        let args = args(&format!("--app-id a {line}"), &folder);
        assert!(args.contains(expected), "{line}: {args}");
    };
    check("-p 8080", "--app-port 8080");
    check("--app-port -1", "--app-port 0");
    check("--enable-profiling", "--enable-profiling --log-level info");
    check("--enable-profiling", "--profile-port FREE");
    check("--max-body-size -5", "--max-body-size -1");
    check(
        "--placement-host-address=10.0.0.1:6050",
        "--placement-host-address 10.0.0.1:6050",
    );
    check(
        "--app-health-threshold 2",
        "--app-health-threshold 2 --scheduler",
    );
    check("-d /nowhere", "--components-path /nowhere");
    check("-u /tmp", "--unix-domain-socket /tmp");
    check(
        "--app-channel-address ::1",
        "--app-id a --app-channel-address ::1 --app-port",
    );
    let off = args(
        "--app-id a --scheduler-host-address= --placement-host-address=",
        &folder,
    );
    assert!(
        !off.contains("scheduler") && !off.contains("placement"),
        "{off}"
    );
}

#[test]
fn mtls_in_the_configuration_names_sentry() {
    let folder = folder(&[("config.yaml", "spec:\n  mtls:\n    enabled: true\n")]);
    let args = args("--app-id a", &folder);
    assert!(
        args.ends_with("--enable-mtls --sentry-address localhost:50001"),
        "{args}"
    );
}

#[tokio::test]
async fn with_mtls_a_sidecar_knows_its_sentry_and_the_services_under_tls() {
    // What the Configuration says of a Sentry elsewhere does not count then.
    let config = "spec:\n  mtls:\n    enabled: true\n";
    let folder = folder(&[("bin/sentry", ""), ("config.yaml", config)]);
    let mut ports = Ports::default();
    let sentry = Sentry::prepare(&folder.home, &mut ports, "info", false).await;
    let mtls = Mtls {
        sentry: sentry.expect("prepared"),
        services: Secured {
            placement: "127.0.0.1:7".to_owned(),
            scheduler: "127.0.0.1:8".to_owned(),
        },
    };
    let anchors = fs::read_to_string(folder.home.certs().join("ca.crt")).expect("made");
    let mut with = |line: &str| {
        let spec = Line::parse_from(line.split_whitespace()).spec;
        let plan = Plan::new(spec, &folder.home, &mut ports, Some(&mtls), false);
        plan.expect("valid")
    };
    let wants = with("--app-id a --mtls");
    let last: Vec<_> = wants.daprd_args.iter().rev().take(3).rev().collect();
    assert_eq!(
        last,
        ["--enable-mtls", "--sentry-address", &mtls.sentry.address()]
    );
    let of = |name: &str| wants.daprd_env.iter().find(|(n, _)| *n == name);
    assert_eq!(of("DAPR_TRUST_ANCHORS").map(|(_, pem)| pem), Some(&anchors));
    let has = |plan: &Plan, flag: &str, value: &str| {
        plan.daprd_args.windows(2).any(|pair| pair == [flag, value])
    };
    assert!(has(&wants, "--placement-host-address", "127.0.0.1:7"));
    assert!(has(&wants, "--scheduler-host-address", "127.0.0.1:8"));
    let elsewhere = with("--app-id c --mtls --placement-host-address=x --scheduler-host-address=");
    assert!(has(&elsewhere, "--placement-host-address", "x:50005"));
    assert!(
        !elsewhere
            .daprd_args
            .contains(&"--scheduler-host-address".into())
    );
    // Another application of the same template may do without.
    let without = with("--app-id b");
    assert!(without.daprd_env.is_empty());
    assert!(has(&without, "--placement-host-address", "localhost:50005"));
}

#[test]
fn what_cannot_work_is_refused() {
    let folder = folder(&[]);
    let check = |line: &str, expected: &str| {
        let error = plan(line, &folder).expect_err("refused");
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    };
    check(
        "--config /nowhere.yaml",
        "configuration file: /nowhere.yaml does not exist",
    );
    check(
        "--resources-path /nowhere",
        "resources path: /nowhere does not exist",
    );
    check(
        "--max-body-size 4MB",
        "--max-body-size \"4MB\" is not a size",
    );
    check(
        "--app-port 70000",
        "invalid configuration for AppPort. 70000 is not a port number",
    );
}

#[test]
fn the_application_is_told_where_its_sidecar_is() {
    let plan = plan("-p 8080 -P grpc -- ./app --flag", &folder(&[])).expect("valid");
    assert_eq!(plan.command, ["./app", "--flag"]);
    assert!(plan.app_id.contains('-'), "{}", plan.app_id);
    let env: std::collections::BTreeMap<_, _> = plan.app_env.into_iter().collect();
    assert_eq!(env["APP_ID"], plan.app_id);
    assert_eq!(env["APP_PORT"], "8080");
    assert_eq!(env["APP_PROTOCOL"], "grpc");
    assert_eq!(env["APP_CHANNEL_ADDRESS"], "127.0.0.1");
    assert_eq!(env["DAPR_HTTP_PORT"], plan.http_port.to_string());
    assert_eq!(env["DAPR_GRPC_PORT"], plan.grpc_port.to_string());
    assert!(env.contains_key("DAPR_METRICS_PORT"));
}

#[test]
fn a_broken_resource_file_is_named_before_anything_starts() {
    let folder = folder(&[("components/bad.yaml", "kind: Component\nspec: [1, {\n")]);
    let plan = plan("-a a", &folder).expect("the sidecar goes on without it");
    assert!(plan.problems[0].contains("bad.yaml"), "{:?}", plan.problems);
}
