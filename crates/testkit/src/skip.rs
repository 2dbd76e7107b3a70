//! Tests that cannot run here say so, and fail where everything must run.

use std::fs::OpenOptions;
use std::io::Write;

/// Reports that the calling test is skipped; the caller returns right after.
///
/// The reason goes to standard error and, so that `make test` can list it at
/// its end, to the file that `DAPR_TEST_SKIPS` names.
///
/// # Panics
/// Under `CI=true`, where everything that tests need is installed.
#[track_caller]
pub fn skip(reason: impl AsRef<str>) {
    let reason = reason.as_ref();
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    if std::env::var("CI").is_ok_and(|ci| ci == "true") {
        panic!("{test} may not be skipped under CI=true: {reason}");
    }
    let line = format!("{test}: {reason}\n");
    // One write each, because tests report in parallel.
    let _ = std::io::stderr().write_all(format!("skipped {line}").as_bytes());
    if let Some(path) = std::env::var_os("DAPR_TEST_SKIPS")
        && let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = file.write_all(line.as_bytes());
    }
}
