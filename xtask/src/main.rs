//! Chores of the project: `xtask <bench|docs|tidy>`; the Makefile calls them.

mod bench;
mod docs;
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
    /// Write the generated pages of docs/.
    Docs {
        /// Only fail when a page is out of date.
        #[arg(long)]
        check: bool,
    },
    /// Check the rules of the repository.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Args::parse().chore {
        Chore::Bench(args) => bench::run(&args),
        Chore::Docs { check } => docs::run(check),
        Chore::Tidy => tidy::run(),
    }
}
