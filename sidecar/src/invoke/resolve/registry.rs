//! The file registry: one small file for each sidecar of this user on this
//! machine. It works without multicast and without any set-up.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// A file larger than this is not one of ours.
const LARGEST: u64 = 16 * 1024;
/// A file that comes this soon after a change of the folder may leave its time of
/// change as it is: what was read in that time is not kept.
const SETTLED: Duration = Duration::from_millis(50);

/// What a sidecar says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) app_id: String,
    /// `host:port` of the internal gRPC server.
    pub(crate) address: String,
    pub(crate) pid: u32,
}

#[derive(Clone)]
pub(crate) struct Registry {
    folder: PathBuf,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// The folder as it was when it last changed.
struct Seen {
    changed: SystemTime,
    /// By app id.
    entries: HashMap<String, Vec<Entry>>,
}

/// Takes the file away when the sidecar ends.
pub(crate) struct Registration(PathBuf);

impl Drop for Registration {
    fn drop(&mut self) {
        // Readers ignore the files of processes that are gone.
        let _ = fs::remove_file(&self.0);
    }
}

impl Registry {
    /// `DAPR_APPS_DIR`, or a folder of this user's under `/tmp`: not under
    /// `$HOME` or `$TMPDIR`, which two sidecars of a machine may see differently.
    pub(crate) fn new(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let given = env("DAPR_APPS_DIR")
            .filter(|d| !d.is_empty())
            .map(PathBuf::from);
        let folder = given.unwrap_or_else(|| PathBuf::from(format!("/tmp/dapr-apps-{}", uid())));
        Self {
            folder,
            seen: Arc::default(),
        }
    }

    /// Writes the file of this sidecar in one rename.
    pub(crate) fn register(&self, entry: &Entry) -> io::Result<Registration> {
        self.create()?;
        let name = format!(
            "{}-{}.json",
            entry.pid,
            entry.address.rsplit(':').next().unwrap_or("0")
        );
        let path = self.folder.join(&name);
        let temporary = self.folder.join(format!(".{name}"));
        fs::write(
            &temporary,
            serde_json::to_vec(entry).map_err(io::Error::other)?,
        )?;
        fs::rename(&temporary, &path)?;
        Ok(Registration(path))
    }

    /// Only this user may write here: whoever can add a file can take an app's calls.
    fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        self.trusted()
    }

    fn trusted(&self) -> io::Result<()> {
        let found = fs::symlink_metadata(&self.folder)?;
        if found.is_dir() && found.uid() == uid() && found.mode() & 0o022 == 0 {
            return Ok(());
        }
        let folder = self.folder.display();
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{folder} must be a folder that only this user can write to; remove it or set DAPR_APPS_DIR"
            ),
        ))
    }

    /// The addresses of the live sidecars of an app. While the folder does not
    /// change, its files are not read again.
    pub(crate) fn find(&self, id: &str) -> io::Result<Vec<String>> {
        let changed = match fs::symlink_metadata(&self.folder) {
            Ok(found) => found.modified()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut seen = self.seen.lock();
        if let Some(seen) = seen.as_ref().filter(|s| s.changed == changed) {
            return Ok(live(seen.entries.get(id)));
        }
        self.trusted()?;
        let entries = self.read()?;
        let found = live(entries.get(id));
        let settled = changed.elapsed().is_ok_and(|age| age > SETTLED);
        *seen = settled.then_some(Seen { changed, entries });
        Ok(found)
    }

    fn read(&self) -> io::Result<HashMap<String, Vec<Entry>>> {
        let mut found: HashMap<String, Vec<Entry>> = HashMap::new();
        for file in fs::read_dir(&self.folder)? {
            let path = file?.path();
            let Some(entry) = read_entry(&path) else {
                continue;
            };
            if alive(entry.pid) {
                found.entry(entry.app_id.clone()).or_default().push(entry);
            } else {
                let _ = fs::remove_file(&path);
            }
        }
        Ok(found)
    }
}

fn live(entries: Option<&Vec<Entry>>) -> Vec<String> {
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    let live = entries.iter().filter(|e| alive(e.pid));
    live.map(|e| e.address.clone()).collect()
}

/// `None` for what is being written, was just removed, or is not ours.
fn read_entry(path: &Path) -> Option<Entry> {
    let is_ours = path.extension().is_some_and(|e| e == "json")
        && path
            .file_name()
            .is_some_and(|n| !n.as_encoded_bytes().starts_with(b"."));
    if !is_ours || fs::metadata(path).ok()?.len() > LARGEST {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists() || !Path::new("/proc/self").exists()
}

/// The user that this process runs as; the kernel owns `/proc/self` by it.
fn uid() -> u32 {
    fs::metadata("/proc/self").map_or(0, |m| m.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(app_id: &str, port: u16, pid: u32) -> Entry {
        Entry {
            app_id: app_id.into(),
            address: format!("127.0.0.1:{port}"),
            pid,
        }
    }

    #[test]
    fn live_sidecars_are_found_and_dead_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apps").display().to_string();
        let registry = Registry::new(&|name| (name == "DAPR_APPS_DIR").then(|| path.clone()));
        let find = |id: &str| {
            let mut found = registry.find(id).unwrap();
            found.sort();
            found
        };
        assert_eq!(find("a"), [""; 0]);
        let me = std::process::id();
        let _one = registry.register(&entry("a", 1, me)).unwrap();
        let two = registry.register(&entry("a", 2, me)).unwrap();
        let _other = registry.register(&entry("b", 3, me)).unwrap();
        let _dead = registry.register(&entry("a", 4, u32::MAX)).unwrap();
        fs::write(Path::new(&path).join("rubbish.json"), b"{").unwrap();
        assert_eq!(find("a"), ["127.0.0.1:1", "127.0.0.1:2"]);
        drop(two);
        assert_eq!(find("a"), ["127.0.0.1:1"]);
    }

    #[tokio::test]
    async fn a_folder_that_rests_is_not_read_again_and_a_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apps").display().to_string();
        let registry = Registry::new(&|_| Some(path.clone()));
        let me = std::process::id();
        let _one = registry.register(&entry("a", 1, me)).unwrap();
        let rests = || {
            registry.find("a").unwrap();
            registry.seen.lock().is_some()
        };
        let settled = async || {
            anyhow::ensure!(rests(), "still young");
            Ok(())
        };
        testkit::eventually(testkit::DEADLINE, settled).await;
        let _two = registry.register(&entry("a", 2, me)).unwrap();
        assert_eq!(registry.find("a").unwrap().len(), 2);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let path = folder.path().display().to_string();
        let registry = Registry::new(&|_| Some(path.clone()));
        let error = registry.find("a").unwrap_err();
        assert!(error.to_string().contains("DAPR_APPS_DIR"), "{error}");
    }
}
