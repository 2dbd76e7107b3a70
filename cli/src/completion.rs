//! `dapr completion`: scripts that teach a shell the commands and flags.

use anyhow::Result;
use clap::ValueEnum;

use crate::{command, output};

const EXAMPLES: &str = "\
Examples:
  source <(dapr completion bash)                                    this bash
  dapr completion zsh > \"${fpath[1]}/_dapr\"                         every zsh
  dapr completion fish > ~/.config/fish/completions/dapr.fish       every fish
  dapr completion powershell | Out-String | Invoke-Expression       this PowerShell";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell to write the script for
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

pub(crate) fn execute(args: &Args) -> Result<u8> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command::build(), "dapr", &mut script);
    output::print(&String::from_utf8_lossy(&script));
    Ok(0)
}
