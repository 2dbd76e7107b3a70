//! `dapr logs`: the log files of an application that a template file started.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{command, instances, output};

/// How often a followed file is looked at.
const POLL: Duration = Duration::from_millis(200);

const EXAMPLES: &str = "\
Examples:
  dapr logs --app-id orders             the application's and the sidecar's log
  dapr logs --app-id orders --follow    and what they write from now on, until Ctrl-C

Applications started by `dapr run -f` have log files; a plain `dapr run` writes to its terminal.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The application
    #[arg(short, long, value_name = "ID")]
    app_id: String,

    /// Go on with what is written from now on
    #[arg(long)]
    follow: bool,

    #[arg(short, long, hide = true)]
    kubernetes: bool,
    #[arg(short, long, hide = true, value_name = "NAME")]
    pod_name: Option<String>,
    #[arg(short, long, hide = true, value_name = "NAME")]
    namespace: Option<String>,
}

pub(crate) async fn execute(args: &Args) -> Result<u8> {
    if args.kubernetes || args.pod_name.is_some() {
        return Err(command::no_kubernetes("logs"));
    }
    let id = &args.app_id;
    let instance = instances::of_app(id).await?;
    let mut files: Vec<Tail> = [
        ("APP", &instance.app_log_path),
        ("DAPR", &instance.daprd_log_path),
    ]
    .into_iter()
    .filter(|(_, path)| !path.is_empty())
    .map(|(kind, path)| Tail::open(Path::new(path), format!("== {kind} - {id} == ")))
    .collect::<Result<_>>()?;
    if files.is_empty() {
        bail!(
            "app {id} has no log files: its output is on the terminal of its `dapr run`; \
             start it from a template file with `dapr run -f` to have files"
        );
    }
    loop {
        for file in &mut files {
            output::print(&file.read()?);
        }
        if !args.follow {
            return Ok(0);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A file that is read to its end, again and again.
struct Tail {
    file: std::fs::File,
    path: PathBuf,
    prefix: String,
    /// The start of a line whose end is not yet written.
    partial: Vec<u8>,
}

impl Tail {
    fn open(path: &Path, prefix: String) -> Result<Self> {
        let file = std::fs::File::open(path)
            .with_context(|| format!("cannot open the log file {}", path.display()))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            prefix,
            partial: Vec::new(),
        })
    }

    /// The complete lines that have come since the last call, each with the prefix.
    fn read(&mut self) -> Result<String> {
        self.file
            .read_to_end(&mut self.partial)
            .with_context(|| format!("cannot read the log file {}", self.path.display()))?;
        let complete = self
            .partial
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let rest = self.partial.split_off(complete);
        let lines = std::mem::replace(&mut self.partial, rest);
        let text = String::from_utf8_lossy(&lines);
        Ok(text
            .lines()
            .map(|line| format!("{}{line}\n", self.prefix))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_line_is_shown_once_it_is_complete() {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        let mut tail = Tail::open(file.path(), "> ".to_owned()).expect("opens");
        file.write_all(b"one\ntw").expect("written");
        assert_eq!(tail.read().expect("reads"), "> one\n");
        file.write_all(b"o\n").expect("written");
        assert_eq!(tail.read().expect("reads"), "> two\n");
        assert_eq!(tail.read().expect("reads"), "");
    }
}
