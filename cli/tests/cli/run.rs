//! Running, listing and stopping; what is wrong on the command line.

use std::fs;

use serde_json::Value;
use testkit::{DEADLINE, Process, eventually};

use crate::tool::{DAPR, dapr, home, id, listed, run, text};

const FLAGS: [&str; 4] = [
    "run",
    "--dapr-listen-addresses=127.0.0.1",
    "--placement-host-address=",
    "--scheduler-host-address=",
];

#[test]
fn the_exit_code_of_the_application_is_passed_on() {
    let Some(home) = home() else { return };
    let check = |script: &str, expected: i32, part: &str| {
        let args = [FLAGS.as_slice(), &["--", "sh", "-c", script]].concat();
        let output = dapr(home.path(), &args);
        assert_eq!(output.status.code(), Some(expected), "{}", text(&output));
        assert!(text(&output).contains(part), "{script}: {}", text(&output));
    };
    check("exit 0", 0, "Exited App successfully");
    check(
        "exit 7",
        7,
        "The App process exited with error: exit status: 7",
    );
    check("kill -9 $$", 137, "signal: 9");
    check(
        "echo hello $APP_ID >&2; echo $DAPR_HTTP_PORT",
        0,
        "== APP == hello ",
    );
}

#[test]
fn a_program_that_is_not_there_ends_the_run() {
    let Some(home) = home() else { return };
    let args = [FLAGS.as_slice(), &["--", "no-such-program"]].concat();
    let output = dapr(home.path(), &args);
    assert_eq!(output.status.code(), Some(127), "{}", text(&output));
}

#[tokio::test]
async fn a_run_is_listed_and_stopped() {
    let Some(home) = home() else { return };
    let id = id("stopped");
    let mut running = run(home.path(), &["--app-id", &id, "--", "sleep", "1000"]);
    running
        .wait_line("You're up and running! Both Dapr", DEADLINE)
        .await;
    let item = listed(home.path(), &id).expect("listed");
    assert_eq!(item["command"], "sleep 1000");
    assert_eq!(item["cliPid"], running.id());
    let table = dapr(home.path(), &["list"]);
    assert!(text(&table).contains("APP ID"), "{}", text(&table));

    let output = dapr(home.path(), &["stop", &id]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains(&format!("app stopped successfully: {id}")));
    eventually(DEADLINE, async || {
        anyhow::ensure!(!running.is_running(), "still running");
        Ok(())
    })
    .await;
    assert!(listed(home.path(), &id).is_none());
    let output = dapr(home.path(), &["stop", &id]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}

#[tokio::test]
async fn an_application_that_ignores_the_signal_is_killed_with_all_it_started() {
    let Some(home) = home() else { return };
    let id = id("stubborn");
    let script = "trap '' TERM; sleep 1234 & echo child $!; wait; sleep 1000";
    let mut running = run(home.path(), &["--app-id", &id, "--", "sh", "-c", script]);
    let line = running.wait_line("== APP == child ", DEADLINE).await;
    let child = line.rsplit(' ').next().expect("a number").trim().to_owned();
    // The second signal does not wait for the grace time.
    for _ in 0..2 {
        running.signal(rustix::process::Signal::TERM);
        running
            .wait_line("terminated signal received", DEADLINE)
            .await;
    }
    eventually(DEADLINE, async || {
        anyhow::ensure!(!running.is_running(), "still running");
        let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        anyhow::ensure!(
            state.is_empty() || state.contains(") Z "),
            "the child runs: {state}"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_applications_of_a_template_run_and_end_together() {
    let Some(home) = home() else { return };
    let (one, two) = (id("one"), id("two"));
    let template = format!(
        "\
version: 1
common:
  placementHostAddress: \"\"
  apiListenAddresses: 127.0.0.1
  env: {{ GREETING: hello }}
apps:
- appID: {one}
  appDirPath: .
  command: [sh, -c, 'echo $GREETING from one; exec sleep 1000']
- appID: {two}
  appDirPath: .
  command: [sleep, '1000']
  daprdLogDestination: console
"
    );
    fs::write(home.path().join("dapr.yaml"), template).expect("written");
    let running = Process::builder(DAPR)
        .args(["run", "-f", "."])
        .inherit_env()
        .env("HOME", home.path())
        .current_dir(home.path())
        .start();
    let mut running = running.expect("starts");
    running
        .wait_line(&format!("== APP - {one} == hello from one"), DEADLINE)
        .await;
    running
        .wait_line(&format!("== DAPR - {two} == "), DEADLINE)
        .await;
    let both = eventually(DEADLINE, async || {
        let both = [&one, &two].map(|id| listed(home.path(), id));
        let logged = |item: &Option<Value>| {
            item.as_ref()
                .is_some_and(|item| item["appLogPath"].as_str() != Some(""))
        };
        anyhow::ensure!(both.iter().all(logged), "not yet: {both:?}");
        Ok(both)
    })
    .await;
    let path = both[0]
        .as_ref()
        .and_then(|item| item["runTemplatePath"].as_str());
    assert!(
        path.is_some_and(|path| path.ends_with("/dapr.yaml")),
        "{both:?}"
    );

    let output = dapr(home.path(), &["logs", "-a", &one]);
    assert!(
        text(&output).contains(&format!("== APP - {one} == hello from one")),
        "{}",
        text(&output)
    );
    assert!(
        text(&output).contains(&format!("== DAPR - {one} == time=")),
        "{}",
        text(&output)
    );

    let output = dapr(home.path(), &["stop", "-f", "dapr.yaml"]);
    assert!(output.status.success(), "{}", text(&output));
    eventually(DEADLINE, async || {
        anyhow::ensure!(!running.is_running(), "still running");
        Ok(())
    })
    .await;
    assert!(listed(home.path(), &one).is_none() && listed(home.path(), &two).is_none());
}

#[test]
fn one_failing_application_ends_the_others_and_gives_the_exit_code() {
    let Some(home) = home() else { return };
    let template = format!(
        "version: 1\ncommon: {{ placementHostAddress: \"\", apiListenAddresses: 127.0.0.1 }}\n\
         apps:\n\
         - {{ appID: {}, appDirPath: ., command: [sleep, '1000'] }}\n\
         - {{ appID: {}, appDirPath: ., command: [sh, -c, 'exit 5'] }}\n",
        id("waits"),
        id("fails"),
    );
    fs::write(home.path().join("dapr.yaml"), template).expect("written");
    let output = dapr(
        home.path(),
        &["run", "-f", "dapr.yaml", "--log-level", "debug"],
    );
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    assert!(text(&output).contains("ignored when --run-file flag is used: --log-level"));
}

#[tokio::test]
async fn a_sidecar_on_sockets_is_found_and_called() {
    let Some(home) = home() else { return };
    let id = id("sockets");
    let dir = home.path().to_str().expect("UTF-8");
    let mut running = run(home.path(), &["-a", &id, "-u", dir, "--", "sleep", "1000"]);
    running.wait_line("You're up and running!", DEADLINE).await;
    let item = listed(home.path(), &id).expect("listed");
    assert_eq!(item["cliPid"], running.id());
    let output = dapr(home.path(), &["invoke", "-a", &id, "-m", "x", "-u", dir]);
    // There is no application to answer; but the sidecar does.
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("error invoking app"),
        "{}",
        text(&output)
    );
    assert!(!text(&output).contains("cannot reach"), "{}", text(&output));
    // Killed, it could not end its sidecar.
    running.signal(rustix::process::Signal::INT);
    running
        .wait_line("Exited Dapr successfully", DEADLINE)
        .await;
}

#[test]
fn init_may_be_repeated_and_undone() {
    let Some(home) = home() else { return };
    let root = home.path().join(".dapr");
    for _ in 0..2 {
        let output = dapr(home.path(), &["init", "--slim"]);
        assert!(output.status.success(), "{}", text(&output));
        fs::write(root.join("config.yaml"), "# mine\n").expect("written");
    }
    let sentry = testkit::binary("sentry").is_ok();
    assert_eq!(root.join("bin/sentry").is_file(), sentry);
    dapr(home.path(), &["mtls", "renew-certificate"]);
    assert_eq!(
        fs::read_to_string(root.join("config.yaml")).expect("kept"),
        "# mine\n"
    );
    assert!(dapr(home.path(), &["uninstall"]).status.success());
    assert!(!root.join("bin").exists() && root.join("components").exists());
    assert!(root.join("certs/ca.crt").exists());
    assert!(dapr(home.path(), &["uninstall", "--all"]).status.success());
    assert!(!root.exists());
}

#[test]
fn mistakes_have_upstreams_exit_codes() {
    let home = tempfile::tempdir().expect("folder");
    let check = |args: &[&str], code: i32, part: &str| {
        let output = dapr(home.path(), args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            text(&output)
        );
        assert!(text(&output).contains(part), "{args:?}: {}", text(&output));
    };
    check(&["--help"], 0, "Examples:");
    check(&["run", "--help"], 0, "--app-port <PORT>");
    check(&["completion", "bash"], 0, "complete -F");
    check(&["no-such-command"], 255, "unrecognized subcommand");
    check(&["run", "--no-such-flag"], 255, "unexpected argument");
    check(&["upgrade", "-k"], 255, "needs Kubernetes");
    check(&["status", "-k"], 1, "leave -k out");
    check(&["list", "-k"], 1, "leave -k out");
    check(&["stop"], 1, "nothing to stop");
    check(
        &["invoke", "-a", "no-such-app", "-m", "x"],
        1,
        "app ID no-such-app not found",
    );
    check(
        &["run", "-f", "/no/such.yaml"],
        1,
        "run file /no/such.yaml does not exist",
    );
}
