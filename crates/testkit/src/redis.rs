//! A real Redis server, or a few of them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::{free_port, program};

/// A running server; stopped when dropped.
pub struct Redis {
    pub port: u16,
    folder: TempDir,
    extra: Vec<String>,
    child: Child,
}

/// Whether `redis-server` is installed.
pub fn is_installed() -> bool {
    program("redis-server").is_some()
}

impl Redis {
    /// Starts a server that keeps nothing, with more arguments of `redis-server`.
    pub fn start(extra: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let extra: Vec<String> = extra.iter().map(|a| (*a).to_owned()).collect();
        let port = free_port();
        let child = spawn(port, folder.path(), &extra)?;
        let redis = Self {
            port,
            folder,
            extra,
            child,
        };
        redis.wait()?;
        Ok(redis)
    }

    /// Starts a server from a configuration file, with more arguments; the form
    /// that a sentinel needs.
    pub fn start_with_file(file: &str, extra: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port();
        let program = program("redis-server").context("redis-server is not installed")?;
        let mut command = Command::new(program);
        command
            .arg(file)
            .args(["--port", &port.to_string()])
            .args(extra)
            .current_dir(folder.path());
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let redis = Self {
            port,
            folder,
            extra: Vec::new(),
            child,
        };
        redis.wait()?;
        Ok(redis)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends the server at once, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port, empty.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.child = spawn(self.port, self.folder.path(), &self.extra)?;
        self.wait()
    }

    fn wait(&self) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if Instant::now() > end {
                bail!(
                    "redis-server did not listen on port {} within 20 s",
                    self.port
                );
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Runs `redis-cli` with these arguments and returns what it printed.
    pub fn cli(&self, args: &[&str]) -> anyhow::Result<String> {
        let program = program("redis-cli").context("redis-cli is not installed")?;
        let out = Command::new(program)
            .arg("-p")
            .arg(self.port.to_string())
            .args(args)
            .output()?;
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, folder: &Path, extra: &[String]) -> anyhow::Result<Child> {
    let program = program("redis-server").context("redis-server is not installed")?;
    let port = port.to_string();
    Command::new(program)
        .args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ])
        .arg(folder)
        .args(extra)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start redis-server")
}
