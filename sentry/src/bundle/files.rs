//! The bundle as files of one folder, replaced together.
//!
//! Every new file is written beside the old one as `<name>.next` before any is
//! renamed, and a file that marks the set as complete is written last. A crash
//! leaves either the old set or a new one that the next start finishes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use service::net::reason;

use super::Stored;
use crate::x509::pem::MAX_LEN;

/// The five files.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) root: PathBuf,
    pub(crate) issuer: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) jwt_key: PathBuf,
    pub(crate) jwks: PathBuf,
}

/// A store of files.
pub(crate) struct Files {
    paths: Paths,
    complete: PathBuf,
}

impl Files {
    pub(crate) fn new(paths: Paths) -> Self {
        let complete = beside(&paths.key, ".next-complete");
        Self { paths, complete }
    }

    pub(super) fn load(&self) -> Result<Stored, String> {
        self.recover()?;
        let Paths {
            root,
            issuer,
            key,
            jwt_key,
            jwks,
        } = &self.paths;
        Ok(Stored {
            root: read(root)?,
            issuer: read(issuer)?,
            key: read(key)?,
            jwt_key: read(jwt_key)?,
            jwks: read(jwks)?,
        })
    }

    pub(super) fn save(&self, new: &Stored) -> Result<(), String> {
        for (path, content) in self.all().into_iter().zip(new.all()) {
            if let Some(content) = content {
                write(&beside(path, ".next"), content)?;
            }
        }
        write(&self.complete, b"")?;
        self.finish()
    }

    /// Finishes a complete replacement, and takes an incomplete one away.
    fn recover(&self) -> Result<(), String> {
        if self.complete.exists() {
            return self.finish();
        }
        for path in self.all() {
            // It is not there unless a process died while writing it.
            let _ = fs::remove_file(beside(path, ".next"));
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), String> {
        for path in self.all() {
            let next = beside(path, ".next");
            match fs::rename(&next, path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("replace", path, &e));
                }
                _ => {}
            }
        }
        fs::remove_file(&self.complete).map_err(|e| failed("remove", &self.complete, &e))
    }

    fn all(&self) -> [&Path; 5] {
        let Paths {
            root,
            issuer,
            key,
            jwt_key,
            jwks,
        } = &self.paths;
        [root, issuer, key, jwt_key, jwks]
    }
}

impl Stored {
    pub(super) fn all(&self) -> [Option<&[u8]>; 5] {
        [
            &self.root,
            &self.issuer,
            &self.key,
            &self.jwt_key,
            &self.jwks,
        ]
        .map(Option::as_deref)
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed("read", path, &e)),
    };
    let mut content = Vec::new();
    // One byte more than is allowed tells a file that is too long.
    let limit = u64::try_from(MAX_LEN + 1).unwrap_or(u64::MAX);
    let read = file.take(limit).read_to_end(&mut content);
    read.map_err(|e| failed("read", path, &e))?;
    Ok(Some(content))
}

/// Writes a file that only this user can read.
fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|e| failed("write", path, &e))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> String {
    format!("failed to {what} {}: {}", path.display(), reason(error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn files(folder: &Path) -> Files {
        Files::new(Paths {
            root: folder.join("ca.crt"),
            issuer: folder.join("issuer.crt"),
            key: folder.join("issuer.key"),
            jwt_key: folder.join("jwt.key"),
            jwks: folder.join("jwks.json"),
        })
    }

    fn three(text: &str) -> Stored {
        let content = || Some(text.as_bytes().to_vec());
        Stored {
            root: content(),
            issuer: content(),
            key: content(),
            ..Stored::default()
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert!(files.load().unwrap().root.is_none());
        files.save(&three("one")).unwrap();
        files.save(&three("two")).unwrap();
        let stored = files.load().unwrap();
        assert_eq!(stored.key.as_deref(), Some(&b"two"[..]));
        assert!(stored.jwks.is_none());
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["ca.crt", "issuer.crt", "issuer.key"]);
        for name in names {
            let mode = fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_crash_leaves_the_old_set_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        files.save(&three("old")).unwrap();
        // It died while it wrote the new files.
        fs::write(folder.path().join("ca.crt.next"), "new").unwrap();
        assert_eq!(files.load().unwrap().root.unwrap(), b"old");
        assert!(!folder.path().join("ca.crt.next").exists());
        // It died while it renamed them.
        fs::write(folder.path().join("ca.crt"), "new").unwrap();
        fs::write(folder.path().join("issuer.crt.next"), "new").unwrap();
        fs::write(folder.path().join("issuer.key.next"), "new").unwrap();
        fs::write(folder.path().join("issuer.key.next-complete"), "").unwrap();
        let stored = files.load().unwrap();
        for part in [stored.root, stored.issuer, stored.key] {
            assert_eq!(part.unwrap(), b"new");
        }
        assert!(!folder.path().join("issuer.key.next-complete").exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = files(Path::new("/nowhere/at/all")).save(&three("x"));
        let error = error.unwrap_err();
        assert_eq!(
            error,
            "failed to write /nowhere/at/all/ca.crt.next: no such file or directory"
        );
    }
}
