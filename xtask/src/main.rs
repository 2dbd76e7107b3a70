//! Chores of the project: `xtask <docs|tidy>`; the Makefile calls them.

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
        Chore::Docs { check } => docs::run(check),
        Chore::Tidy => tidy::run(),
    }
}
