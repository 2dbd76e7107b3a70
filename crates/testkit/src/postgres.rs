//! A PostgreSQL server of its own, from Debian's packages.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::{free_port, program};

/// How long initialising and starting may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The only account, a superuser.
pub const USER: &str = "dapr";
/// Its password, which the server demands.
pub const PASSWORD: &str = "pg p@ss/word";

/// A running server with empty databases; it ends with the value, and at the
/// latest with the process that started it.
#[derive(Debug)]
pub struct Postgres {
    /// A URL with account and password that leads to the database `postgres`.
    pub url: String,
    /// The TCP port on 127.0.0.1.
    pub port: u16,
    shell: Child,
    _folder: TempDir,
}

/// A certificate and its key, both in PEM.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// The server's certificate, followed by its issuers.
    pub chain: &'a str,
    /// Its private key.
    pub key: &'a str,
}

/// Whether the server's programs are on this machine.
pub fn installed() -> bool {
    program("initdb").is_some() && program("postgres").is_some()
}

/// Starts a server without TLS.
///
/// # Errors
/// When the programs are not installed or do not start.
pub fn start() -> anyhow::Result<Postgres> {
    start_with(None)
}

/// Starts a server that offers TLS with this certificate.
///
/// # Errors
/// As [`start`].
pub fn start_tls(certificate: Certificate<'_>) -> anyhow::Result<Postgres> {
    start_with(Some(certificate))
}

fn start_with(certificate: Option<Certificate<'_>>) -> anyhow::Result<Postgres> {
    let missing = "PostgreSQL is not installed; apt-get install postgresql";
    let initdb = program("initdb").context(missing)?;
    let server = program("postgres").context(missing)?;
    let account = account()?;
    let folder = tempfile::tempdir().context("cannot make a folder for PostgreSQL")?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let password = folder.path().join("password");
    std::fs::write(&password, PASSWORD)?;
    let mut owned = vec![folder.path().to_owned(), data.clone(), password.clone()];
    let mut settings = vec![
        // It is thrown away: nothing need survive.
        ("fsync", "off".to_owned()),
        ("synchronous_commit", "off".to_owned()),
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("unix_socket_directories", String::new()),
        ("shared_buffers", "16MB".to_owned()),
        ("max_connections", "100".to_owned()),
    ];
    if let Some(Certificate { chain, key }) = certificate {
        let files = [
            ("ssl_cert_file", "server.crt", chain),
            ("ssl_key_file", "server.key", key),
        ];
        settings.push(("ssl", "on".to_owned()));
        for (setting, name, pem) in files {
            let path = folder.path().join(name);
            private_file(&path, pem)?;
            settings.push((setting, path.display().to_string()));
            owned.push(path);
        }
    }
    if let Some((uid, gid)) = account {
        for path in owned {
            chown(&path, Some(uid), Some(gid))?;
        }
    }

    let output = command(&initdb, account)
        .args([
            "--no-sync",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
        ])
        .arg(format!("--username={USER}"))
        .arg(format!("--pwfile={}", password.display()))
        .arg("--pgdata")
        .arg(&data)
        .output()
        .context("cannot run initdb")?;
    ensure!(
        output.status.success(),
        "initdb failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );

    let port = free_port();
    // The shell ends the server when its own standard input ends, and so also
    // when the test program is killed or leaves without dropping its values.
    let mut shell = command(Path::new("/bin/sh"), account)
        .args([
            "-c",
            r#"exec 3<&0; "$@" <&- & exec 2>&-; read -r _ <&3; kill -QUIT $!; wait $!"#,
            "sh",
        ])
        .arg(server)
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string()])
        .args(
            settings
                .iter()
                .map(|(name, value)| format!("--{name}={value}")),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start postgres")?;
    let log = shell
        .stderr
        .take()
        .context("the server has no standard error")?;
    let password = PASSWORD
        .replace(' ', "%20")
        .replace('@', "%40")
        .replace('/', "%2F");
    let server = Postgres {
        url: format!("postgres://{USER}:{password}@127.0.0.1:{port}/postgres"),
        port,
        shell,
        _folder: folder,
    };
    wait_ready(log)?;
    Ok(server)
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.shell.stdin.take() {
            // The end of the input is the sign; the line is for shells that read on.
            let _ = stdin.write_all(b"\n");
        }
        let _ = self.shell.wait();
    }
}

fn private_file(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

/// PostgreSQL refuses to run as root: then it runs as Debian's own user.
fn account() -> anyhow::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("cannot read the list of users")?;
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    for user in fields.filter(|f| f.first() == Some(&"postgres")) {
        if let [_, _, uid, gid, ..] = user.as_slice() {
            return Ok(Some((uid.parse()?, gid.parse()?)));
        }
    }
    bail!("user postgres does not exist; PostgreSQL refuses to run as root")
}

fn command(program: &Path, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").current_dir(PathBuf::from("/"));
    if let Some((uid, gid)) = account {
        command.uid(uid).gid(gid);
    }
    command
}

/// Reads the log to its end, so that the server never waits for a full pipe.
fn wait_ready(log: ChildStderr) -> anyhow::Result<()> {
    let (ready, waiting) = mpsc::channel();
    std::thread::spawn(move || {
        let mut seen = String::new();
        let mut ready = Some(ready);
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if line.contains("ready to accept connections")
                && let Some(ready) = ready.take()
            {
                // Nobody waits any more when the start took too long.
                let _ = ready.send(Ok(()));
            }
            if ready.is_some() {
                seen.push_str(&line);
                seen.push('\n');
            }
        }
        if let Some(ready) = ready {
            let _ = ready.send(Err(seen));
        }
    });
    match waiting.recv_timeout(PATIENCE) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(log)) => bail!("PostgreSQL ended at once:\n{log}"),
        Err(_) => bail!("PostgreSQL was not ready within {PATIENCE:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_listens_and_ends_with_its_value() {
        if !installed() {
            return crate::skip("PostgreSQL is not installed; apt-get install postgresql");
        }
        let server = start().unwrap();
        let connect = |port| std::net::TcpStream::connect(("127.0.0.1", port));
        let port = server.port;
        assert!(connect(port).is_ok());
        drop(server);
        assert!(connect(port).is_err());
    }
}
