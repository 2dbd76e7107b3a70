//! Real Redis servers: one, with TLS, a cluster, or a master with its replica and a sentinel.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::{DEADLINE, free_port, program};

/// The name under which [`Sentinel`] watches its master.
pub const MASTER: &str = "mymaster";

const PAUSE: Duration = Duration::from_millis(20);

/// A running server; killed when dropped.
pub struct Redis {
    pub port: u16,
    folder: TempDir,
    args: Vec<String>,
    child: Child,
}

/// Whether `redis-server` is installed.
pub fn is_installed() -> bool {
    program("redis-server").is_some()
}

impl Redis {
    /// Starts a server that keeps nothing, with more arguments of `redis-server`.
    pub fn start(extra: &[&str]) -> anyhow::Result<Self> {
        let args = ["--save", "", "--appendonly", "no"];
        Self::launch(TempDir::new()?, free_port(), &[&args, extra].concat())
    }

    /// Starts a server from a configuration file, with more arguments; the form
    /// that a sentinel needs.
    pub fn start_with_file(file: &str, extra: &[&str]) -> anyhow::Result<Self> {
        Self::launch(TempDir::new()?, free_port(), &[&[file], extra].concat())
    }

    fn launch(folder: TempDir, port: u16, args: &[&str]) -> anyhow::Result<Self> {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let child = spawn(port, folder.path(), &args)?;
        let mut redis = Self {
            port,
            folder,
            args,
            child,
        };
        redis.listens()?;
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
        self.child = spawn(self.port, self.folder.path(), &self.args)?;
        self.listens()
    }

    /// Runs `redis-cli` with these arguments and returns what it printed.
    pub fn cli(&self, args: &[&str]) -> anyhow::Result<String> {
        let program = program("redis-cli").context("redis-cli is not installed")?;
        let out = Command::new(program)
            .args(["-p", &self.port.to_string()])
            .args(args)
            .output()?;
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    fn listens(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + DEADLINE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("redis-server {:?} ended at once: {status}", self.args);
            }
            ensure!(
                Instant::now() < end,
                "redis-server does not listen on port {} within {DEADLINE:?}",
                self.port
            );
            std::thread::park_timeout(PAUSE);
        }
        Ok(())
    }

    /// Waits until the answer of a command contains a text.
    fn says(&self, command: &[&str], part: &str) -> anyhow::Result<()> {
        let end = Instant::now() + DEADLINE;
        loop {
            let answer = self.cli(command)?;
            if answer.contains(part) {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "{command:?} has no {part:?} within {DEADLINE:?}:\n{answer}"
            );
            std::thread::park_timeout(PAUSE);
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server that speaks TLS only and demands a certificate of its clients.
pub struct Secure {
    pub server: Redis,
    /// A certificate that the server trusts, PEM.
    pub client_cert: String,
    pub client_key: String,
}

impl Secure {
    /// The certificates are made by `openssl`.
    pub fn start() -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let (cert, key) = certificate(folder.path(), "server")?;
        let client = certificate(folder.path(), "client")?;
        let client_cert = fs::read_to_string(&client.0)?;
        let client_key = fs::read_to_string(&client.1)?;
        let port = free_port();
        let text = port.to_string();
        let args = [
            "--save",
            "",
            "--tls-port",
            &text,
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &client.0,
            "--tls-auth-clients",
            "yes",
            "--port",
            "0",
        ];
        let server = Redis::launch(folder, port, &args)?;
        Ok(Self {
            server,
            client_cert,
            client_key,
        })
    }
}

/// Three masters, each with a third of the slots.
pub struct Cluster(pub Vec<Redis>);

impl Cluster {
    pub fn start() -> anyhow::Result<Self> {
        let node = || {
            // The default bus port, 10000 above, may be taken or too large.
            let bus = free_port().to_string();
            Redis::start(&["--cluster-enabled", "yes", "--cluster-port", &bus])
        };
        let nodes = [node()?, node()?, node()?];
        let addresses = nodes.each_ref().map(Redis::address);
        let mut create = vec!["--cluster", "create"];
        create.extend(addresses.iter().map(String::as_str));
        create.extend(["--cluster-yes", "--cluster-replicas", "0"]);
        nodes[0].cli(&create)?;
        for node in &nodes {
            node.says(&["CLUSTER", "INFO"], "cluster_state:ok")?;
        }
        Ok(Self(nodes.into()))
    }

    /// The addresses, separated by commas.
    pub fn addresses(&self) -> String {
        let addresses: Vec<_> = self.0.iter().map(Redis::address).collect();
        addresses.join(",")
    }
}

/// A master, its replica, and a sentinel that makes the replica master when it must.
pub struct Sentinel {
    pub master: Redis,
    pub replica: Redis,
    pub sentinel: Redis,
}

impl Sentinel {
    pub fn start() -> anyhow::Result<Self> {
        let (master, replica) = replicated()?;
        let folder = TempDir::new()?;
        let config = folder.path().join("sentinel.conf");
        let text = format!(
            "sentinel monitor {MASTER} 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds {MASTER} 500\n\
             sentinel failover-timeout {MASTER} 3000\n",
            master.port
        );
        fs::write(&config, text)?;
        let file = config.display().to_string();
        let sentinel = Redis::launch(folder, free_port(), &[&file, "--sentinel"])?;
        sentinel.says(&["INFO", "sentinel"], "slaves=1")?;
        Ok(Self {
            master,
            replica,
            sentinel,
        })
    }
}

/// A master and a replica that follows it.
pub fn replicated() -> anyhow::Result<(Redis, Redis)> {
    // Without a delay the replica gets its first copy at once.
    let master = Redis::start(&["--repl-diskless-sync-delay", "0"])?;
    let port = master.port.to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port])?;
    replica.says(&["INFO", "replication"], "master_link_status:up")?;
    master.says(&["INFO", "replication"], "state=online")?;
    Ok((master, replica))
}

/// Later arguments win, so those of the caller come last.
fn spawn(port: u16, folder: &Path, args: &[String]) -> anyhow::Result<Child> {
    let program = program("redis-server").context("redis-server is not installed")?;
    // A configuration file comes before all options.
    let file = args.first().filter(|a| !a.starts_with("--"));
    let options = &args[usize::from(file.is_some())..];
    Command::new(program)
        .args(file)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(folder)
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start redis-server")
}

/// A self-signed certificate for loopback and its key; the paths of both.
fn certificate(folder: &Path, name: &str) -> anyhow::Result<(String, String)> {
    let program = program("openssl").context("openssl is not installed")?;
    let path = |ending| {
        folder
            .join(format!("{name}.{ending}"))
            .display()
            .to_string()
    };
    let (cert, key) = (path("crt"), path("key"));
    let out = Command::new(program)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-out", &cert, "-keyout", &key])
        .output()?;
    ensure!(
        out.status.success(),
        "openssl made no certificate: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok((cert, key))
}
