//! Mutual TLS on one machine: certificates, and runs whose sidecars trust each other.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use anyhow::ensure;
use rustix::process::Signal;
use testkit::{App, DEADLINE, Http, Process, Response, eventually};

use crate::tool::{dapr, home_with_sentry, id, listed, run, text};

const FILES: [&str; 3] = ["ca.crt", "issuer.crt", "issuer.key"];
const RENEW: [&str; 2] = ["mtls", "renew-certificate"];

fn fails(output: &Output, code: i32, part: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
    assert!(text(output).contains(part), "{part}: {}", text(output));
}

fn succeeds(output: &Output, part: &str) {
    fails(output, 0, part);
}

fn certificates(path: &Path) -> usize {
    let text = fs::read_to_string(path).expect("readable");
    text.matches("BEGIN CERTIFICATE").count()
}

#[test]
fn certificates_are_made_shown_copied_and_renewed() {
    let home = tempfile::tempdir().expect("folder");
    let home = home.path();
    let certs = home.join(".dapr/certs");
    succeeds(&dapr(home, &["mtls"]), "There are no certificates in ");
    fails(
        &dapr(home, &["mtls", "expiry"]),
        1,
        "there are no certificates in ",
    );
    fails(
        &dapr(home, &["mtls", "export"]),
        1,
        "there are no certificates in ",
    );
    let made = dapr(home, &RENEW);
    succeeds(&made, "Certificate rotation is successful!");
    assert!(!text(&made).contains("restart"), "{}", text(&made));
    succeeds(
        &dapr(home, &["mtls", "expiry"]),
        "Root certificate expires in 8759 hours.",
    );
    succeeds(
        &dapr(home, &["mtls", "export", "-o", "out"]),
        "successfully exported to ",
    );
    for name in FILES {
        let copy = home.join("out").join(name);
        assert_eq!(
            fs::read(&copy).expect("copied"),
            fs::read(certs.join(name)).expect("there")
        );
        assert_eq!(
            copy.metadata().expect("there").permissions().mode() & 0o777,
            0o600
        );
    }

    let renewed = dapr(home, &[RENEW.as_slice(), &["--valid-until", "30"]].concat());
    succeeds(&renewed, "Nothing needs a restart");
    let expiry = dapr(home, &["mtls", "expiry"]);
    succeeds(&expiry, "Issuer certificate expires in 719 hours.");
    succeeds(&expiry, "Earlier root certificate expires in 8759 hours.");
    assert_eq!(certificates(&certs.join("ca.crt")), 2);

    // Back to those that were copied, as somebody with an authority of his own would.
    let given = [
        "--ca-root-certificate=out/ca.crt",
        "--issuer-public-certificate=out/issuer.crt",
        "--issuer-private-key=out/issuer.key",
    ];
    let taken = dapr(home, &[RENEW.as_slice(), &given].concat());
    succeeds(&taken, "Restart what `dapr run --mtls` has started");
    let copy = fs::read(home.join("out/issuer.key")).expect("readable");
    assert_eq!(fs::read(certs.join("issuer.key")).expect("readable"), copy);
}

#[test]
fn what_cannot_be_an_authority_is_refused_and_changes_nothing() {
    let home = tempfile::tempdir().expect("folder");
    let home = home.path();
    for out in ["one", "two"] {
        succeeds(&dapr(home, &RENEW), "successful");
        succeeds(&dapr(home, &["mtls", "export", "-o", out]), "exported");
    }
    let key = home.join(".dapr/certs/issuer.key");
    let before = fs::read(&key).expect("readable");
    let check = |args: &[&str], code: i32, part: &str| {
        fails(&dapr(home, &[RENEW.as_slice(), args].concat()), code, part);
        assert_eq!(fs::read(&key).expect("readable"), before, "{args:?}");
    };
    let given = |root: &str, issuer: &str, key: &str, part: &str| {
        let root = format!("--ca-root-certificate={root}");
        let issuer = format!("--issuer-public-certificate={issuer}");
        let key = format!("--issuer-private-key={key}");
        check(&[&root, &issuer, &key], 1, part);
    };
    given(
        "one/ca.crt",
        "one/issuer.crt",
        "two/issuer.key",
        "issuer key: it does not belong",
    );
    given(
        "one/ca.crt",
        "two/ca.crt",
        "two/issuer.key",
        "issuer key: it does not belong",
    );
    given(
        "one/issuer.crt",
        "one/issuer.crt",
        "one/issuer.key",
        "root certificate: it is not",
    );
    given(
        "gone.crt",
        "one/issuer.crt",
        "one/issuer.key",
        "gone.crt does not exist",
    );
    given(
        "one/issuer.key",
        "one/issuer.crt",
        "one/issuer.key",
        "has no certificate",
    );
    check(
        &["--ca-root-certificate", "one/ca.crt"],
        255,
        "--issuer-private-key",
    );
    check(&["--private-key", "one/ca.crt"], 1, "has no private key");
    check(&["--valid-until", "0"], 255, "--valid-until");
}

#[tokio::test]
async fn applications_of_different_runs_call_each_other_also_after_a_renewal() {
    let Some(home) = home_with_sentry() else {
        return;
    };
    let home = home.path();
    let app = App::start(|_| Response::ok("hello")).await.expect("starts");
    let port = app.port().to_string();
    let callee = id("callee");
    let mut first = run(home, &["-a", &callee, "-p", &port, "--mtls"]);
    first.wait_line("You're up and running!", DEADLINE).await;
    first.wait_line("== SENTRY == ", DEADLINE).await;

    let call = async |name: &str, flags: &[&str]| {
        let caller = id(name);
        let mut run = run(home, &[["-a", &caller].as_slice(), flags].concat());
        run.wait_line("You're up and running!", DEADLINE).await;
        let item = listed(home, &caller).expect("listed");
        let port = item["httpPort"]
            .as_u64()
            .and_then(|port| port.try_into().ok());
        let api = Http::port(port.expect("a port")).within(DEADLINE);
        let path = format!("/v1.0/invoke/{callee}/method/hello");
        let reply = api.get(&path).await.expect("answers");
        run.signal(Signal::TERM);
        run.wait(DEADLINE).await.expect("ends");
        (reply.status.as_u16(), reply.text())
    };
    assert_eq!(call("caller", &["--mtls"]).await, (200, "hello".to_owned()));
    let (status, body) = call("plain", &[]).await;
    assert_eq!(status, 500, "without mutual TLS: {body}");
    let status = dapr(home, &["mtls"]);
    succeeds(&status, &callee);
    succeeds(&status, "Mutual TLS is enabled for ");

    // The callee knows the first root only; the new caller's certificate has the bridge to it.
    succeeds(&dapr(home, &RENEW), "Nothing needs a restart");
    assert_eq!(
        call("renewed", &["--mtls"]).await,
        (200, "hello".to_owned())
    );
    first.signal(Signal::TERM);
    first.wait(DEADLINE).await.expect("ends");
}

/// The process of the Sentry that this `dapr run` has started.
fn sentry_of(run: &Process) -> Option<i32> {
    let parent = format!("PPid:\t{}", run.id());
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.starts_with("Name:\tsentry\n") && status.lines().any(|line| line == parent)
    })
}

#[tokio::test]
async fn sentry_is_started_again_and_ends_with_the_run() {
    let Some(home) = home_with_sentry() else {
        return;
    };
    let mut run = run(
        home.path(),
        &["-a", &id("kept"), "--mtls", "--", "sleep", "1000"],
    );
    run.wait_line("You're up and running!", DEADLINE).await;
    let first = sentry_of(&run).expect("it runs");
    let pid = rustix::process::Pid::from_raw(first).expect("a process");
    rustix::process::kill_process(pid, Signal::KILL).expect("killed");
    run.wait_line("and is started again", DEADLINE).await;
    let second = eventually(DEADLINE, async || {
        let found = sentry_of(&run).filter(|pid| *pid != first);
        found.ok_or_else(|| anyhow::anyhow!("not yet"))
    })
    .await;
    assert!(run.is_running());
    run.signal(Signal::TERM);
    run.wait(DEADLINE).await.expect("ends");
    eventually(DEADLINE, async || {
        let gone = !Path::new(&format!("/proc/{second}")).exists();
        ensure!(gone, "Sentry {second} still runs");
        Ok(())
    })
    .await;
}

#[test]
fn a_sentry_that_cannot_start_ends_the_run_and_says_why() {
    let Some(home) = home_with_sentry() else {
        return;
    };
    let home = home.path();
    let config = "kind: Configuration\nspec:\n  mtls: {workloadCertTTL: soon}\n";
    fs::write(home.join(".dapr/config.yaml"), config).expect("written");
    let without = ["--placement-host-address=", "--scheduler-host-address="];
    let run = [
        ["run", "--mtls", "-a", "x"].as_slice(),
        &without,
        &["--", "true"],
    ]
    .concat();
    let output = dapr(home, &run);
    fails(&output, 1, "Sentry ended at its start");
    fails(&output, 1, "== SENTRY == ");
    fails(&output, 1, "workloadCertTTL");
    fs::write(home.join(".dapr/certs/issuer.key"), "x").expect("written");
    fails(
        &dapr(home, &run),
        1,
        "are not usable: issuer key: the PEM text has no private key",
    );
    fs::remove_file(home.join(".dapr/certs/issuer.key")).expect("removed");
    fails(&dapr(home, &run), 1, "put back what is missing");
}
