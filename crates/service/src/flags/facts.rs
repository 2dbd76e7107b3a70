//! Comparing a process's flags with the interface, for the test of each process.

use super::FlagSet;

/// Fails unless the flags, but for `version` and `build-info`, are those of
/// `facts`: a line each of name, kind and default, in order. `$HOME` and `$TMP`
/// stand for the test's own.
///
/// # Panics
/// With both lists when they differ.
#[track_caller]
pub fn assert_flags(set: &FlagSet, facts: &str) {
    let home = std::env::var("HOME").unwrap_or_default();
    let temporary = std::env::temp_dir().display().to_string();
    let facts = facts.replace("$HOME", &home).replace("$TMP", &temporary);
    let own = set
        .iter()
        .filter(|f| !["version", "build-info"].contains(&f.name()));
    let line = |f: &super::Flag| format!("{} {} {}", f.name(), f.type_name(), f.default_value());
    let got: Vec<String> = own.map(|f| line(f).trim().to_owned()).collect();
    assert_eq!(got, facts.lines().collect::<Vec<_>>());
}

/// Fails unless an unknown flag, `--help` and `--version` end the process with
/// upstream's exit codes.
///
/// # Panics
/// When one does not end it, or ends it otherwise.
#[track_caller]
pub fn assert_exits(set: &FlagSet) {
    for (arg, code) in [("--no-such-flag", 2), ("--help", 0), ("--version", 0)] {
        let exit = set.parse([arg.into()].into_iter(), &|_| None).err();
        assert_eq!(exit.map(|e| e.code), Some(code), "{arg}");
    }
}
