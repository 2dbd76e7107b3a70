//! The file registry: one small file for each sidecar of this user on this
//! machine. It works without multicast and without any set-up.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// A file larger than this is not one of ours.
const LARGEST: u64 = 16 * 1024;
/// For how long what was read of an app holds: a call must not cost a system call.
const HELD: Duration = Duration::from_secs(1);

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

/// The folder as it was when it was read.
struct Seen {
    at: Instant,
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

    /// The addresses of the live sidecars of an app. Those of an app that is known
    /// are read again after a second, or when one of them did not answer.
    pub(crate) fn find(&self, id: &str) -> io::Result<Vec<String>> {
        let mut seen = self.seen.lock();
        if let Some(seen) = seen.as_ref().filter(|s| s.at.elapsed() < HELD)
            && let Some(entries) = seen.entries.get(id)
        {
            return Ok(addresses(entries));
        }
        match fs::symlink_metadata(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            _ => self.trusted()?,
        }
        let entries = self.read()?;
        let found = entries.get(id).map(|e| addresses(e)).unwrap_or_default();
        let at = Instant::now();
        *seen = Some(Seen { at, entries });
        Ok(found)
    }

    /// An address of it was wrong.
    pub(crate) fn forget(&self) {
        *self.seen.lock() = None;
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

fn addresses(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|e| e.address.clone()).collect()
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
        registry.forget();
        assert_eq!(find("a"), ["127.0.0.1:1"]);
    }

    #[test]
    fn a_known_app_is_not_looked_for_again_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apps").display().to_string();
        let registry = Registry::new(&|_| Some(path.clone()));
        let me = std::process::id();
        let one = registry.register(&entry("a", 1, me)).unwrap();
        assert_eq!(registry.find("a").unwrap(), ["127.0.0.1:1"]);
        drop(one);
        let _new = registry.register(&entry("b", 2, me)).unwrap();
        assert_eq!(registry.find("a").unwrap(), ["127.0.0.1:1"]);
        // Another app is found as soon as it is there.
        assert_eq!(registry.find("b").unwrap(), ["127.0.0.1:2"]);
        assert_eq!(registry.find("a").unwrap(), [""; 0]);
        let _again = registry.register(&entry("b", 3, me)).unwrap();
        registry.forget();
        assert_eq!(registry.find("b").unwrap().len(), 2);
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
