//! A real etcd of one member, in plain text.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::{DEADLINE, free_port, program};

const PAUSE: Duration = Duration::from_millis(20);

/// A running etcd; killed when dropped.
pub struct Etcd {
    pub port: u16,
    peer_port: u16,
    folder: TempDir,
    args: Vec<String>,
    child: Child,
}

/// Whether `etcd` and `etcdctl` are installed.
pub fn is_installed() -> bool {
    program("etcd").is_some() && program("etcdctl").is_some()
}

impl Etcd {
    /// Starts a member with more arguments of `etcd` and waits until it serves.
    ///
    /// # Errors
    /// When it is not installed or does not serve.
    pub fn start(extra: &[&str]) -> anyhow::Result<Self> {
        let (port, peer_port) = (free_port(), free_port());
        let folder = TempDir::new()?;
        let args: Vec<String> = extra.iter().map(|a| (*a).to_owned()).collect();
        let child = spawn(port, peer_port, &folder, &args)?;
        let mut etcd = Self {
            port,
            peer_port,
            folder,
            args,
            child,
        };
        etcd.serves()?;
        Ok(etcd)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a crash does; what it stored stays.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, with what it stored.
    ///
    /// # Errors
    /// When it does not serve.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.child = spawn(self.port, self.peer_port, &self.folder, &self.args)?;
        self.serves()
    }

    /// Runs `etcdctl` with these arguments and returns what it printed.
    ///
    /// # Errors
    /// With what it printed when it fails.
    pub fn ctl(&self, args: &[&str]) -> anyhow::Result<String> {
        ctl(&self.address(), args)
    }

    fn serves(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + DEADLINE;
        loop {
            // Listening is not enough: it has no leader yet.
            let Err(error) = self.ctl(&["endpoint", "status"]) else {
                return Ok(());
            };
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.folder.path().join("log"));
                bail!("etcd ended at once: {status}\n{}", log.unwrap_or_default());
            }
            ensure!(
                Instant::now() < end,
                "etcd does not serve on port {} within {DEADLINE:?}: {error:#}",
                self.port
            );
            std::thread::park_timeout(PAUSE);
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `etcdctl` against an address and returns what it printed.
///
/// # Errors
/// With what it printed when it fails.
pub fn ctl(address: &str, args: &[&str]) -> anyhow::Result<String> {
    let program = program("etcdctl").context("etcdctl is not installed")?;
    let out = Command::new(program)
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", address])
        .args(args)
        .output()?;
    ensure!(
        out.status.success(),
        "etcdctl {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn spawn(port: u16, peer_port: u16, folder: &TempDir, args: &[String]) -> anyhow::Result<Child> {
    let program = program("etcd").context("etcd is not installed")?;
    let client = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    let log = File::create(folder.path().join("log"))?;
    Command::new(program)
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .args(["--name", "one", "--initial-cluster"])
        .arg(format!("one={peer}"))
        .args(["--listen-client-urls", &client])
        .args(["--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer])
        .args(args)
        .stdout(log.try_clone()?)
        .stderr(Stdio::from(log))
        .spawn()
        .context("cannot start etcd")
}
