//! What `dapr init` leaves running, seen from outside. The services are stand-ins that answer
//! on their health port and end when they are told to.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use testkit::{DEADLINE, Process, eventually};

use crate::tool::{DAPR, command, dapr, text};

const FREE: &str = "--port=placement=0,placement-health=0,placement-metrics=0,scheduler=0,\
                    scheduler-health=0,scheduler-metrics=0,scheduler-etcd=0";

const STAND_IN: &str = r#"
import http.server, sys
if "BROKEN" in open(sys.argv[0] + ".mode").read():
    sys.exit("this service is broken")
class Well(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
port = int(sys.argv[sys.argv.index("--healthz-port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Well).serve_forever()
"#;

/// A home with stand-ins for all programs; what runs there ends with the value.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Option<Self> {
        let Some(python) = testkit::program("python3") else {
            testkit::skip("python3 is not installed");
            return None;
        };
        let program = format!("#!{}\n{STAND_IN}", python.display());
        let home = Self(tempfile::tempdir().expect("folder"));
        let bin = home.root().join("bin");
        fs::create_dir_all(&bin).expect("folder");
        for name in ["daprd", "placement", "scheduler"] {
            let path = bin.join(name);
            fs::write(&path, &program).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
            fs::write(bin.join(format!("{name}.mode")), "").expect("written");
        }
        Some(home)
    }

    fn root(&self) -> PathBuf {
        self.path().join(".dapr")
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn status(&self) -> Vec<Value> {
        let output = dapr(self.path(), &["status", "-o", "json"]);
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn pids(&self) -> Vec<Option<u64>> {
        let pid = |row: &Value| row["pid"].as_u64();
        self.status().iter().map(pid).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        dapr(self.path(), &["uninstall"]);
    }
}

fn runs(pid: u64) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Its parent may be slow to take notice that it has ended.
    !state.is_empty() && !state.contains(") Z ")
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", text(output));
}

#[tokio::test]
async fn init_starts_the_services_once_and_uninstall_ends_them_and_nothing_else() {
    let Some(home) = Home::new() else { return };
    assert_eq!(home.pids(), [None, None]);
    let first = dapr(home.path(), &["init", FREE]);
    succeeds(&first);
    assert!(
        text(&first).contains("placement runs on port"),
        "{}",
        text(&first)
    );
    let pids = home.pids();
    assert!(pids.iter().all(|pid| pid.is_some_and(runs)), "{pids:?}");
    assert!(home.status().iter().all(|row| row["healthy"] == true));
    let store = home.root().join("components/statestore.yaml");
    let store = fs::read_to_string(store).expect("written");
    assert!(store.contains("state.sqlite"), "{store}");

    let again = dapr(home.path(), &["init"]);
    succeeds(&again);
    assert!(
        text(&again).contains("scheduler runs already"),
        "{}",
        text(&again)
    );
    assert_eq!(home.pids(), pids);

    // The same program, but of somebody else.
    let health = testkit::free_port().to_string();
    let other = Process::builder(home.root().join("bin/placement"))
        .args(["--healthz-port", &health])
        .inherit_env()
        .start()
        .expect("starts");
    succeeds(&dapr(home.path(), &["uninstall"]));
    assert!(pids.iter().flatten().all(|pid| !runs(*pid)));
    assert!(runs(other.id().into()));
    assert_eq!(home.pids(), [None, None]);
    assert!(!home.root().join("bin").exists() && home.root().join("logs").exists());
    succeeds(&dapr(home.path(), &["uninstall", "--all"]));
    assert!(!home.root().exists());
    let nothing = dapr(home.path(), &["uninstall", "--all"]);
    succeeds(&nothing);
    assert!(!home.root().exists(), "{}", text(&nothing));
}

#[test]
fn inits_at_the_same_time_start_the_services_once() {
    let Some(home) = Home::new() else { return };
    let start = || {
        command(home.path(), &["init", FREE])
            .stdout(std::process::Stdio::piped())
            .spawn()
    };
    let inits: Vec<_> = (0..4).map(|_| start().expect("starts")).collect();
    let outputs: Vec<Output> = inits
        .into_iter()
        .map(|init| init.wait_with_output().expect("ends"))
        .collect();
    outputs.iter().for_each(succeeds);
    let started = outputs
        .iter()
        .filter(|output| text(output).contains("placement runs on"));
    assert_eq!(started.count(), 1);
}

#[test]
fn a_service_that_does_not_start_is_shown_with_its_last_words() {
    let Some(home) = Home::new() else { return };
    fs::write(home.root().join("bin/scheduler.mode"), "BROKEN").expect("written");
    let output = dapr(home.path(), &["init", FREE]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("scheduler ended at its start, exit status: 1"));
    assert!(
        text(&output).contains("this service is broken"),
        "{}",
        text(&output)
    );
    let [placement, scheduler] = home.pids()[..] else {
        panic!("two services")
    };
    assert!(placement.is_some() && scheduler.is_none());
    // Once it is repaired, the same command does what is left.
    fs::write(home.root().join("bin/scheduler.mode"), "").expect("written");
    succeeds(&dapr(home.path(), &["init", FREE]));
    assert_eq!(home.pids()[0], placement);
    assert!(home.pids()[1].is_some());
}

#[test]
fn nothing_is_started_when_a_port_is_taken() {
    let Some(home) = Home::new() else { return };
    let holder = TcpListener::bind(("127.0.0.1", 0)).expect("free");
    let port = holder.local_addr().expect("bound").port();
    let choice = format!("--port=scheduler-etcd={port}");
    let output = dapr(home.path(), &["init", FREE, &choice]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let expected = format!("port {port} (scheduler-etcd) is not available");
    assert!(text(&output).contains(&expected), "{}", text(&output));
    assert_eq!(home.pids(), [None, None]);
    // Slim asks for no ports.
    succeeds(&dapr(home.path(), &["init", "--slim", &choice]));
    assert_eq!(home.pids(), [None, None]);
}

#[test]
fn a_service_is_in_a_session_of_its_own_and_inherits_nothing() {
    let Some(home) = Home::new() else { return };
    if !Path::new("/proc/self/fd").exists() {
        testkit::skip("there is no /proc to look at");
        return;
    }
    let kept_open = home.path().join("kept-open");
    let script = format!("exec 8>{}; {DAPR} init {FREE}", kept_open.display());
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-c", &script])
        .env("HOME", home.path())
        .output();
    succeeds(&output.expect("starts"));
    for pid in home.pids().into_iter().flatten() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("runs");
        let fields: Vec<&str> = stat.split(' ').collect();
        // The process group and the session.
        assert_eq!(fields[4..6], [pid.to_string(), pid.to_string()], "{stat}");
        let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("readable");
        let files: Vec<PathBuf> = open
            .filter_map(|entry| fs::read_link(entry.expect("readable").path()).ok())
            .collect();
        assert!(!files.contains(&kept_open), "{files:?}");
        assert!(files.contains(&PathBuf::from("/dev/null")), "{files:?}");
    }
}

#[tokio::test]
async fn a_service_that_was_killed_is_stopped_and_started_anew() {
    let Some(home) = Home::new() else { return };
    succeeds(&dapr(home.path(), &["init", FREE]));
    let before = home.pids()[0].expect("runs");
    let pid = rustix::process::Pid::from_raw(i32::try_from(before).expect("a pid"));
    rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::KILL)
        .expect("killed");
    eventually(DEADLINE, async || {
        anyhow::ensure!(home.status()[0]["status"] == "Stopped", "still running");
        Ok(())
    })
    .await;
    let ports = home.root().join("run/placement.json");
    let ports =
        || serde_json::from_slice::<Value>(&fs::read(&ports).expect("there")).expect("JSON");
    let old = ports();
    succeeds(&dapr(home.path(), &["init"]));
    assert_ne!(home.pids()[0], Some(before));
    assert_eq!(ports()["ports"], old["ports"], "the ports of the last time");
    assert!(home.root().join("logs/placement.log.old").exists());
}
