//! Jobs in a file, to be put back later or elsewhere.
//!
//! The file is text, a JSON object on each line: first what it is, then the jobs with their
//! stored values in base64, last how many there are, so that a file that was cut off is noticed.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    job::Job,
    store::{Entry, Store},
};

const FORMAT: &str = "dapr-rs scheduler jobs";
const VERSION: u32 = 1;
/// The longest line that is read, for a job of up to 64 MiB.
const MAX_LINE: u64 = 96 << 20;
/// What is written to the scheduler at once, whichever is reached first.
const BATCH_JOBS: usize = 50;
const BATCH_BYTES: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Job {
        name: String,
        job: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counter: Option<String>,
    },
    Begin {
        format: String,
        version: u32,
    },
    End {
        jobs: u64,
    },
}

/// Writes all jobs to a file that only this user can read, and counts them. An earlier file is
/// replaced only when all are written.
pub(super) async fn export(store: &Store, path: &Path) -> Result<u64> {
    let fresh = path.with_added_extension("new");
    let written = write(store, &fresh).await;
    let moved = written.and_then(|count| {
        fs::rename(&fresh, path)?;
        Ok(count)
    });
    if moved.is_err() {
        // Half a file is of no use to anybody.
        let _ = fs::remove_file(&fresh);
    }
    moved.with_context(|| format!("cannot export to {}", path.display()))
}

async fn write(store: &Store, path: &Path) -> Result<u64> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut out = BufWriter::new(file);
    let mut line = |line: &Line| -> Result<()> {
        serde_json::to_writer(&mut out, line)?;
        Ok(out.write_all(b"\n")?)
    };
    line(&Line::Begin {
        format: FORMAT.to_owned(),
        version: VERSION,
    })?;
    let mut scan = store.scan("");
    let mut jobs = 0;
    while let Some(entry) = scan.next().await? {
        line(&Line::Job {
            name: entry.name,
            job: BASE64_STANDARD.encode(&entry.job),
            counter: entry.counter.map(|counter| BASE64_STANDARD.encode(counter)),
        })?;
        jobs += 1;
    }
    line(&Line::End { jobs })?;
    out.into_inner()?.sync_all()?;
    Ok(jobs)
}

/// Puts the jobs of a file back and counts them; those of the same name are replaced. Nothing is
/// written unless the whole file is sound.
pub(super) async fn import(store: &mut Store, path: &Path) -> Result<u64> {
    let open = || -> Result<Lines> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Lines::open(file).with_context(|| format!("cannot import {}", path.display()))
    };
    let mut lines = open()?;
    while let Some(entry) = lines
        .next()
        .with_context(|| format!("cannot import {}", path.display()))?
    {
        Job::read(&entry).with_context(|| {
            format!(
                "cannot import {}: {:?} is no job",
                path.display(),
                entry.name
            )
        })?;
    }
    let mut lines = open()?;
    let (mut batch, mut size, mut count) = (Vec::new(), 0, 0);
    while let Some(entry) = lines.next()? {
        size += entry.job.len();
        batch.push(entry);
        count += 1;
        if batch.len() >= BATCH_JOBS || size >= BATCH_BYTES {
            store.put(std::mem::take(&mut batch)).await?;
            size = 0;
        }
    }
    if !batch.is_empty() {
        store.put(batch).await?;
    }
    Ok(count)
}

/// The jobs of a file, one at a time.
struct Lines {
    file: BufReader<File>,
    number: u64,
    jobs: u64,
}

impl Lines {
    fn open(file: File) -> Result<Self> {
        let mut lines = Self {
            file: BufReader::new(file),
            number: 0,
            jobs: 0,
        };
        match lines.line() {
            Ok(Some(Line::Begin { format, version })) if format == FORMAT => {
                ensure!(
                    version == VERSION,
                    "it has version {version} of the format, this tool reads version {VERSION}"
                );
                Ok(lines)
            }
            _ => bail!(
                "it is no file that `dapr scheduler export` of this tool has written; those of \
                 upstream's tool have another format, so export with this one"
            ),
        }
    }

    fn next(&mut self) -> Result<Option<Entry>> {
        let line = self.line()?;
        let number = self.number;
        let decode = |text: &str| {
            let bytes = BASE64_STANDARD.decode(text);
            bytes.with_context(|| format!("line {number} is damaged"))
        };
        match line {
            Some(Line::Job { name, job, counter }) => {
                self.jobs += 1;
                Ok(Some(Entry {
                    name,
                    job: decode(&job)?.into(),
                    counter: counter.as_deref().map(decode).transpose()?.map(Into::into),
                }))
            }
            Some(Line::End { jobs }) => {
                ensure!(
                    jobs == self.jobs && self.line()?.is_none(),
                    "line {number} does not fit what is before and after it"
                );
                Ok(None)
            }
            Some(Line::Begin { .. }) => bail!("line {number} is damaged"),
            None => bail!("it was cut off after line {number}"),
        }
    }

    fn line(&mut self) -> Result<Option<Line>> {
        let mut line = Vec::new();
        let read = (&mut self.file)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let parsed = serde_json::from_slice(&line);
        parsed
            .map(Some)
            .with_context(|| format!("line {} is damaged", self.number))
    }
}
