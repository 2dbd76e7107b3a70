//! Chores of the project: `xtask <bench|crds|docs|startup|tidy>`; the Makefile calls them.

mod bench;
mod crds;
mod docs;
mod sentry;
mod startup;
mod tidy;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Chores of the project")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Measure the release build and write bench-results.md.
    Bench(bench::Args),
    /// Write the custom resource definitions of crds/.
    Crds {
        /// Only fail when a definition is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Write the generated pages of docs/.
    Docs {
        /// Only fail when a page is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Write startup.ld of the programs: which functions the linker puts side by side.
    Startup(startup::Args),
    /// Check the rules of the repository.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Args::parse().chore {
        Chore::Bench(args) => bench::run(&args),
        Chore::Crds { check } => crds::run(check),
        Chore::Docs { check } => docs::run(check),
        Chore::Startup(args) => startup::run(&args),
        Chore::Tidy => tidy::run(),
    }
}
