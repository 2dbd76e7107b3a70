//! One `dapr` at a time that starts or ends services of a `.dapr` folder.

use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::output::Report;

const POLL: Duration = Duration::from_millis(50);
/// A little longer than `dapr init` takes at its slowest.
const PATIENCE: Duration = Duration::from_secs(120);

/// Held as long as the value lives, and no longer than this process.
#[derive(Debug)]
pub(crate) struct Lock {
    // The folder itself is locked, so that no file is left behind.
    _folder: File,
}

impl Lock {
    /// Waits for the folder, which is made when there is none, and says so when it has to.
    pub(crate) async fn take(folder: &Path, report: Report) -> Result<Self> {
        let mut told = false;
        let wait = async {
            loop {
                if let Some(lock) = Self::try_take(folder)? {
                    return Ok(lock);
                }
                if !told {
                    report.info("Waiting for another dapr that starts or ends services");
                    told = true;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .with_context(|| {
                format!(
                    "another dapr still starts or ends services of {}; end that one first",
                    folder.display()
                )
            })?
    }

    fn try_take(folder: &Path) -> Result<Option<Self>> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create folder {}", folder.display()))?;
        let opened = match File::open(folder) {
            Ok(opened) => opened,
            // Whoever has just held it removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot open {}", folder.display()));
            }
        };
        match opened.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", folder.display()));
            }
        }
        // It may be the one that was removed, with another in its place by now.
        let locked = opened.metadata()?;
        let same = fs::metadata(folder)
            .is_ok_and(|there| (locked.dev(), locked.ino()) == (there.dev(), there.ino()));
        Ok(same.then_some(Self { _folder: opened }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let folder = tempfile::tempdir().expect("folder");
        let first = Lock::take(folder.path(), Report::new(false))
            .await
            .expect("free");
        assert!(Lock::try_take(folder.path()).expect("no error").is_none());
        drop(first);
        assert!(Lock::try_take(folder.path()).expect("no error").is_some());
    }

    #[tokio::test]
    async fn a_folder_that_the_first_removed_is_made_anew() {
        let parent = tempfile::tempdir().expect("folder");
        let folder = parent.path().join(".dapr");
        let report = Report::new(false);
        let first = Lock::take(&folder, report).await.expect("free");
        let second = Lock::take(&folder, report);
        let removal = async {
            fs::remove_dir(&folder).expect("removed");
            drop(first);
        };
        let (second, ()) = tokio::join!(second, removal);
        let _second = second.expect("free again");
        assert!(folder.is_dir());
        assert!(Lock::try_take(&folder).expect("no error").is_none());
    }
}
