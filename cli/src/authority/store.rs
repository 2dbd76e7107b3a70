//! The folder of the three files, which Sentry reads, watches and, when they end soon, renews.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use security::pem;
use tokio::time::Instant;

use super::{Authority, LOCAL, Validity, make};

/// Root certificates, issuer certificate, issuer key: the names that Sentry looks for.
pub(crate) const FILES: [&str; 3] = ["ca.crt", "issuer.crt", "issuer.key"];
/// Sentry finishes a replacement that this file says is complete.
const COMPLETE: &str = "issuer.key.next-complete";
/// How long a root and an issuer that are made without being asked for live.
const LIFE_IN_DAYS: u16 = 365;
/// How long another `dapr` may be at work in the folder.
const LOCK: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// Held while the files are changed. Readers do not need it.
pub(crate) struct Lock {
    // Closing the folder gives the lock back.
    _folder: File,
}

impl Store {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The authority of the folder; none when no file is there.
    pub(crate) fn load(&self) -> Result<Option<Authority>> {
        let [root, issuer, key] = FILES.map(|name| read(&self.folder.join(name)));
        match (root?, issuer?, key?) {
            (None, None, None) => Ok(None),
            (Some(root), Some(issuer), Some(key)) => Authority::parse(&root, &issuer, &key)
                .map(Some)
                .with_context(|| {
                    format!(
                        "the certificates in {} are not usable",
                        self.folder.display()
                    )
                }),
            _ => bail!(
                "{} must hold {}; put back what is missing, or remove the folder to start anew",
                self.folder.display(),
                FILES.join(", ")
            ),
        }
    }

    /// The authority of the folder, made if there is none.
    pub(crate) async fn open(&self) -> Result<Authority> {
        let lock = self.lock().await?;
        let now = Timestamp::now();
        let Some(authority) = self.load()? else {
            let authority = make(LOCAL, None, Validity::days(now, LIFE_IN_DAYS), None)?;
            self.save(&lock, &authority)?;
            return Ok(authority);
        };
        if authority.ends() < now {
            bail!(
                "the certificates in {} have expired; run `dapr mtls renew-certificate`",
                self.folder.display()
            );
        }
        Ok(authority)
    }

    /// Makes the folder and keeps other `dapr` processes from changing it.
    pub(crate) async fn lock(&self) -> Result<Lock> {
        let named = || format!("cannot use folder {}", self.folder.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .with_context(named)?;
        let folder = File::open(&self.folder).with_context(named)?;
        let begun = Instant::now();
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(Lock { _folder: folder }),
                Err(TryLockError::Error(error)) => return Err(error).with_context(named),
                Err(TryLockError::WouldBlock) if begun.elapsed() > LOCK => bail!(
                    "another process has locked {}; try again when it has ended",
                    self.folder.display()
                ),
                Err(TryLockError::WouldBlock) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// Replaces the files, in the steps by which Sentry does: a crash leaves the old ones, or new
    /// ones that the next Sentry puts in their place.
    pub(crate) fn save(&self, _lock: &Lock, authority: &Authority) -> Result<()> {
        let texts = [
            authority.anchors_pem(),
            authority.chain_pem(),
            authority.key_pem(),
        ];
        let replace = || {
            for (name, text) in FILES.iter().zip(&texts) {
                write(&self.next(name), text.as_bytes())?;
            }
            let complete = self.folder.join(COMPLETE);
            write(&complete, b"")?;
            for name in FILES {
                fs::rename(self.next(name), self.folder.join(name))?;
            }
            fs::remove_file(complete)
        };
        replace().with_context(|| format!("cannot write to {}", self.folder.display()))
    }

    fn next(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.next"))
    }
}

/// A file of certificates or a key; none when it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| cannot_read(path)),
    };
    let mut content = Vec::new();
    // One byte more than is allowed tells the reader of PEM that it is too long.
    let mut file = file.take(pem::MAX_LEN as u64 + 1);
    file.read_to_end(&mut content)
        .with_context(|| cannot_read(path))?;
    Ok(Some(content))
}

/// Writes a file that only this user can read.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    // The mode counts for new files only.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}
