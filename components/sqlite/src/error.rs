//! SQLite's errors as decisions, with the file's name and what to do.

use component::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// Says what failed on which file.
pub(crate) fn describe(error: &rusqlite::Error, path: &str) -> Error {
    let (kind, what) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::InvalidConfig,
            "the file is not a SQLite database; set connectionString to another path, or move the file away".to_owned(),
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            ErrorKind::InvalidConfig,
            "the file is damaged; restore it from a backup, or move it away to start empty".to_owned(),
        ),
        Some(ErrorCode::CannotOpen) => (ErrorKind::InvalidConfig, cannot_open(path)),
        Some(ErrorCode::ReadOnly) => (
            ErrorKind::InvalidConfig,
            "the database is read-only; give write permission on the file and its directory, \
             or remove mode=ro and immutable from connectionString"
                .to_owned(),
        ),
        Some(ErrorCode::PermissionDenied) => {
            (ErrorKind::InvalidConfig, "access is denied; correct the file's permissions".to_owned())
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Unavailable,
            "the database is locked by another process; end it, or raise metadata busyTimeout".to_owned(),
        ),
        Some(ErrorCode::DiskFull) => (ErrorKind::Unavailable, "the disk is full; free some space".to_owned()),
        Some(ErrorCode::TooBig) => (ErrorKind::InvalidRequest, "the value is larger than SQLite can store".to_owned()),
        _ => (ErrorKind::Internal, error.to_string()),
    };
    // The cause adds SQLite's own words and code, and never holds a value.
    Error::new(kind, format!("sqlite database \"{path}\": {what}")).with_source(error.to_string())
}

fn cannot_open(path: &str) -> String {
    let path = std::path::Path::new(path);
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    match directory {
        _ if path.is_dir() => "the path is a directory; add a file name to connectionString".to_owned(),
        Some(directory) if !directory.exists() => {
            format!("directory \"{}\" does not exist; create it or correct connectionString", directory.display())
        }
        _ if path.exists() => "the file cannot be opened; correct its permissions".to_owned(),
        _ => "the file cannot be opened or created; check connectionString and the directory's permissions".to_owned(),
    }
}

/// Another process holds the lock: the same call may succeed a moment later.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}
