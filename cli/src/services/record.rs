//! Which process a service is: a file for each, and whether that process is still the one.

use std::{collections::BTreeMap, ffi::OsString, fs, io, path::PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use crate::home::Home;

use super::Service;

/// What rounding may do to the start of a process.
const TOLERANCE: u64 = 1;

/// What is known about a service that was started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) pid: u32,
    /// When the process began, in seconds since the boot, which setting the clock does not move.
    started: u64,
    /// The last of its arguments; with the start they tell it from another process of its id.
    arguments: Vec<String>,
    /// By the name of the door.
    pub(super) ports: BTreeMap<String, u16>,
    pub(crate) log: PathBuf,
}

impl Record {
    /// Describes a process that was just started.
    pub(super) fn new(
        pid: u32,
        arguments: &[OsString],
        ports: BTreeMap<String, u16>,
        log: PathBuf,
    ) -> Result<Self> {
        let started =
            look(pid, started).with_context(|| format!("process {pid} is gone at once"))?;
        Ok(Self {
            pid,
            started,
            arguments: self::arguments(arguments),
            ports,
            log,
        })
    }

    /// What was written at the last start; nothing when there was none or the file is damaged.
    pub(crate) fn read(home: &Home, service: &Service) -> Option<Self> {
        serde_json::from_slice(&fs::read(path(home, service)).ok()?).ok()
    }

    pub(super) fn write(&self, home: &Home, service: &Service) -> Result<()> {
        let path = path(home, service);
        let write = || {
            fs::create_dir_all(home.records())?;
            // Under another name first: a reader sees all of it or nothing.
            let fresh = path.with_extension("new");
            fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
            fs::rename(&fresh, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    pub(super) fn remove(home: &Home, service: &Service) -> Result<()> {
        let path = path(home, service);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.with_context(|| format!("cannot remove {}", path.display())),
        }
    }

    /// Whether the process still runs. Another one with its id is none of ours.
    pub(crate) fn runs(&self) -> bool {
        look(self.pid, |process| {
            // For a moment after it was started, a process shows no arguments.
            let given = arguments(process.cmd());
            started(process).abs_diff(self.started) <= TOLERANCE
                && (given.is_empty() || given.ends_with(&self.arguments))
                && !matches!(
                    process.status(),
                    ProcessStatus::Zombie | ProcessStatus::Dead
                )
        })
        .unwrap_or(false)
    }

    pub(crate) fn started(&self) -> Timestamp {
        let second = boot().saturating_add(self.started);
        Timestamp::from_second(second.cast_signed()).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn for_tests(ports: &[(&str, u16)]) -> Self {
        Self {
            pid: 0,
            started: 0,
            arguments: Vec::new(),
            ports: ports.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
            log: PathBuf::new(),
        }
    }
}

fn path(home: &Home, service: &Service) -> PathBuf {
    home.records().join(format!("{}.json", service.name))
}

fn arguments(all: &[OsString]) -> Vec<String> {
    let readable = |argument: &OsString| argument.to_string_lossy().into_owned();
    all.iter().map(readable).collect()
}

fn boot() -> u64 {
    System::boot_time().unwrap_or_default()
}

fn started(process: &sysinfo::Process) -> u64 {
    process.start_time().saturating_sub(boot())
}

fn look<T>(pid: u32, see: impl FnOnce(&sysinfo::Process) -> T) -> Option<T> {
    let pid = Pid::from_u32(pid);
    let mut system = System::new().ok()?;
    let what = ProcessRefreshKind::nothing()
        .with_cmd(UpdateKind::Always)
        .without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
    system.process(pid).map(see)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::PLAIN;
    use super::*;

    #[test]
    fn only_the_process_that_was_started_counts() {
        let folder = tempfile::tempdir().expect("folder");
        let home = Home::below(folder.path()).expect("usable");
        let mut child = Command::new("sh")
            .args(["-c", "read line", "--port", "7"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("starts");
        let arguments = ["--port".into(), "7".into()];
        let record =
            Record::new(child.id(), &arguments, BTreeMap::new(), PathBuf::new()).expect("there");
        record.write(&home, PLAIN[0]).expect("written");
        let mut read = Record::read(&home, PLAIN[0]).expect("readable");
        assert!(read.runs());
        read.arguments[1] = "8".into();
        assert!(!read.runs(), "another program has its id");
        read.arguments[1] = "7".into();
        read.started += 10;
        assert!(!read.runs(), "a later process has its id");
        read.started -= 10;
        drop(child.stdin.take());
        child.wait().expect("ends");
        assert!(!read.runs());
        Record::remove(&home, PLAIN[0]).expect("removed");
        Record::remove(&home, PLAIN[0]).expect("nothing to do");
        assert!(Record::read(&home, PLAIN[0]).is_none());
    }

    #[test]
    fn a_damaged_record_is_none() {
        let folder = tempfile::tempdir().expect("folder");
        let home = Home::below(folder.path()).expect("usable");
        fs::create_dir_all(home.records()).expect("folder");
        fs::write(path(&home, PLAIN[0]), "{\"pid\":").expect("written");
        assert!(Record::read(&home, PLAIN[0]).is_none());
    }
}
