//! Chores of the project: `xtask <tidy>`; the Makefile calls them.

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
    /// Check the rules of the repository.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Args::parse().chore {
        Chore::Tidy => tidy::run(),
    }
}
