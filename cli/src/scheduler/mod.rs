//! `dapr scheduler`: the jobs and reminders that the scheduler keeps.

mod backup;
mod job;
mod key;
mod print;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    io::{self, BufWriter},
    path::PathBuf,
};

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::{home::Home, output::Report, services};

use self::{
    job::Job,
    key::Kind,
    print::{Format, Printer},
    store::Store,
};

const EXAMPLES: &str = "\
Examples:
  dapr scheduler list                                   all jobs, reminders and workflow timers
  dapr scheduler list --filter app -o wide              jobs of applications, with their schedules
  dapr scheduler get app/orders/nightly -o yaml         one job
  dapr scheduler delete actor/Cart/7/expire             a reminder
  dapr scheduler delete-all workflow/orders             whatever the workflows of orders wait for
  dapr scheduler export -o jobs.jsonl                   a copy of all, of every namespace
  dapr scheduler import -f jobs.jsonl                   put them back

A job is named app/APP/JOB, actor/TYPE/ID/NAME, workflow/APP/INSTANCE/NAME or activity/APP/ID.
The scheduler is that of this machine; `dapr status` shows whether it runs.";

const DELETE_ALL: &str = "\
What to delete:
  all                      everything in the namespace
  app                      the jobs of all applications
  app/APP                  the jobs of one
  actor/TYPE               the reminders of all actors of a type
  actor/TYPE/ID            the reminders of one actor
  workflow                 whatever workflows and activities wait for
  workflow/APP             the same, of one application
  workflow/APP/INSTANCE    the same, of one workflow";

const IMPORT: &str = "\
A job that is there under the same name is replaced. Nothing is written when the file is damaged.
Files of upstream's tool have another format and are refused.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,

    /// The namespace of the jobs
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        default_value = "default"
    )]
    namespace: String,

    /// Where the scheduler's etcd answers [default: this machine, port 2379 or what init was given]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    etcd_address: Option<String>,

    /// The scheduler of apps that run with `--mtls`, whose jobs are its own
    #[arg(long, global = true, conflicts_with = "etcd_address")]
    mtls: bool,

    #[arg(short, long, hide = true, global = true)]
    kubernetes: bool,
    #[arg(
        long,
        hide = true,
        global = true,
        value_name = "NAME",
        default_value = "dapr-system"
    )]
    scheduler_namespace: String,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List jobs; up to 10,000 are sorted by when they begin
    List {
        /// How to print
        #[arg(short, long, value_enum, default_value = "short")]
        output: Format,

        /// Only jobs of this kind
        #[arg(long, value_enum, default_value = "all")]
        filter: Filter,
    },
    /// Show jobs
    #[command(visible_aliases = ["g", "ge"])]
    Get {
        /// How to print
        #[arg(short, long, value_enum, default_value = "short")]
        output: Format,

        /// The names of jobs, like app/orders/nightly
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Delete jobs
    #[command(visible_aliases = ["d", "del"])]
    Delete {
        /// The names of jobs, like app/orders/nightly
        #[arg(required = true, value_name = "JOB")]
        jobs: Vec<String>,
    },
    /// Delete all jobs of an application, an actor, a workflow or a namespace
    #[command(visible_aliases = ["da", "delall"], after_help = DELETE_ALL)]
    DeleteAll {
        /// What to delete, see below
        what: String,
    },
    /// Write all jobs of all namespaces to a file
    Export {
        /// The file
        #[arg(short, long, value_name = "FILE")]
        output_file: PathBuf,
    },
    /// Put the jobs of such a file back
    #[command(after_help = IMPORT)]
    Import {
        /// The file
        #[arg(short = 'f', long, value_name = "FILE")]
        input_file: PathBuf,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Filter {
    All,
    App,
    Actor,
    Workflow,
    Activity,
}

impl Filter {
    fn kind(self) -> Option<Kind> {
        match self {
            Self::All => None,
            Self::App => Some(Kind::App),
            Self::Actor => Some(Kind::Actor),
            Self::Workflow => Some(Kind::Workflow),
            Self::Activity => Some(Kind::Activity),
        }
    }
}

pub(crate) async fn execute(args: &Args, home: &Home, report: Report) -> Result<u8> {
    if args.kubernetes {
        bail!(
            "`dapr scheduler -k` works on a Kubernetes cluster, which this version does not reach \
             by itself yet; run `kubectl port-forward -n {} dapr-scheduler-server-0 2379` and \
             leave -k out",
            args.scheduler_namespace
        );
    }
    let namespace = args.namespace.as_str();
    // What is wrong with the command line is said before anything is done.
    match &args.command {
        Command::Get { jobs, .. } | Command::Delete { jobs } => {
            for job in jobs {
                key::job(job, namespace)?;
            }
        }
        Command::DeleteAll { what } => drop(key::group(what, namespace)?),
        Command::List { .. } | Command::Export { .. } | Command::Import { .. } => {}
    }
    let mut store = Store::connect(&address(args, home)?).await?;
    match &args.command {
        Command::List { output, filter } => {
            list(&store, filter.kind(), *output, namespace, report).await?;
        }
        Command::Get { jobs, output } => get(&mut store, jobs, *output, namespace).await?,
        Command::Delete { jobs } => return delete(&mut store, jobs, namespace, report).await,
        Command::DeleteAll { what } => {
            let count = store.delete_all(&key::group(what, namespace)?).await?;
            report.success(format_args!(
                "Deleted {count} jobs of {what} in namespace {namespace}"
            ));
        }
        Command::Export { output_file } => {
            let count = backup::export(&store, output_file).await?;
            report.success(format_args!(
                "Exported {count} jobs to {}",
                output_file.display()
            ));
        }
        Command::Import { input_file } => {
            let count = backup::import(&mut store, input_file).await?;
            report.success(format_args!(
                "Imported {count} jobs from {}",
                input_file.display()
            ));
        }
    }
    Ok(0)
}

/// Where the etcd of the scheduler answers.
fn address(args: &Args, home: &Home) -> Result<String> {
    if let Some(address) = &args.etcd_address {
        return Ok(address.clone());
    }
    let door = if args.mtls {
        "scheduler-mtls-etcd"
    } else {
        "scheduler-etcd"
    };
    match services::port(home, door) {
        0 => bail!(
            "no app has run with --mtls yet; the first `dapr run --mtls` starts its scheduler"
        ),
        port => Ok(format!("localhost:{port}")),
    }
}

fn printer(format: Format) -> Printer<BufWriter<io::StdoutLock<'static>>> {
    let out = BufWriter::new(io::stdout().lock());
    Printer::new(format, Timestamp::now(), out)
}

async fn list(
    store: &Store,
    kind: Option<Kind>,
    format: Format,
    namespace: &str,
    report: Report,
) -> Result<()> {
    let mut printer = printer(format);
    let mut damaged = Damaged::default();
    for prefix in key::of_kind(kind, namespace) {
        let mut scan = store.scan(&prefix);
        while let Some(entry) = scan.next().await? {
            match Job::read(&entry) {
                Ok(job) if kind.is_none_or(|kind| job.kind == kind) => printer.push(job)?,
                Ok(_) => {}
                Err(error) => damaged.add(&entry.name, error),
            }
        }
    }
    let printed = printer.finish()?;
    if printed == 0 && matches!(format, Format::Short | Format::Wide) {
        report.info(format_args!("No jobs found in namespace {namespace}"));
    }
    damaged.into_result()
}

async fn get(store: &mut Store, jobs: &[String], format: Format, namespace: &str) -> Result<()> {
    let mut printer = printer(format);
    let mut missing = Vec::new();
    let mut damaged = Damaged::default();
    for argument in jobs {
        match store.get(&key::job(argument, namespace)?).await? {
            None => missing.push(argument.as_str()),
            Some(entry) => match Job::read(&entry) {
                Ok(job) => printer.push(job)?,
                Err(error) => damaged.add(&entry.name, error),
            },
        }
    }
    printer.finish()?;
    damaged.into_result()?;
    if !missing.is_empty() {
        bail!(
            "no job {} in namespace {namespace}; `dapr scheduler list` shows what there is",
            missing.join(", ")
        );
    }
    Ok(())
}

async fn delete(store: &mut Store, jobs: &[String], namespace: &str, report: Report) -> Result<u8> {
    let mut code = 0;
    for argument in jobs {
        if store.delete(&key::job(argument, namespace)?).await? {
            report.success(format_args!(
                "Deleted job {argument} in namespace {namespace}"
            ));
        } else {
            report.failure(format_args!(
                "no job {argument} in namespace {namespace}; `dapr scheduler list` shows what \
                 there is"
            ));
            code = 1;
        }
    }
    Ok(code)
}

/// Stored values that are no jobs: they are told after all that can be shown.
#[derive(Default)]
struct Damaged {
    count: u64,
    first: Option<anyhow::Error>,
}

impl Damaged {
    fn add(&mut self, name: &str, error: anyhow::Error) {
        self.count += 1;
        self.first
            .get_or_insert_with(|| error.context(format!("the first is {name:?}")));
    }

    fn into_result(self) -> Result<()> {
        match self.first {
            None => Ok(()),
            Some(first) => {
                Err(first.context(format!("{} of the stored jobs cannot be read", self.count)))
            }
        }
    }
}
