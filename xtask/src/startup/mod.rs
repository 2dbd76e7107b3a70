//! Writes `startup.ld` of each program: the functions that it runs at start, for the linker to
//! put side by side, so that an idle process keeps less of its file in memory.
//!
//! The program runs under callgrind, which tells what was executed, and lld's map tells which
//! functions these addresses are.

mod map;
mod program;
mod script;
mod trace;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::docs::put_or_check;
use crate::tidy::cargo;
use program::Program;

/// Names the folder of the linker's maps; build scripts read it (crate `link`).
const MAPS: &str = "DAPR_RS_LINK_MAP";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these programs.
    programs: Vec<Program>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(
        testkit::program("valgrind").is_some(),
        "valgrind is not installed: run `apt-get install valgrind`"
    );
    let programs = match args.programs.as_slice() {
        [] => clap::ValueEnum::value_variants(),
        some => some,
    };
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let target = metadata["target_directory"].as_str();
    let target = Path::new(target.context("cargo metadata names no target directory")?);
    // A new folder each time has cargo link again, which is what writes the maps; one that is
    // named keeps those of an earlier build.
    let fresh = tempfile::tempdir()?;
    let maps = std::env::var_os(MAPS).map_or_else(|| fresh.path().to_owned(), PathBuf::from);
    build(programs, &maps)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for program in programs {
        let binary = target.join("release").join(program.name());
        // callgrind names a file by its real path.
        let binary = binary
            .canonicalize()
            .with_context(|| format!("{} was not built", binary.display()))?;
        let traces = runtime.block_on(program.traces(&binary))?;
        let package = program.package();
        let map = maps.join(format!("{package}.map"));
        let map = std::fs::read_to_string(&map)
            .with_context(|| format!("the linker wrote no map of {}", program.name()))?;
        let order = order(&binary, &traces, &map)
            .with_context(|| format!("cannot tell what {} ran", program.name()))?;
        let script = script::render(program.name(), &order);
        put_or_check(&format!("{package}/startup.ld"), &script, false)?;
    }
    Ok(())
}

/// Builds the programs with the profile and the selection of `make release`, because names of
/// functions contain hashes that follow from these.
fn build(programs: &[Program], maps: &Path) -> anyhow::Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(cargo)
        .args(["build", "--workspace", "--release"])
        .args(programs.iter().flat_map(|p| ["--bin", p.name()]))
        .env(MAPS, maps)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the release build failed");
    Ok(())
}

/// The sections of the functions that ran, as the linker script names them: those of the first
/// trace, then what each further one adds, so that a plain start does not load the rest along.
fn order(binary: &Path, traces: &[String], map: &str) -> anyhow::Result<Vec<String>> {
    let functions = map::functions(map)?;
    let mut ran = vec![false; functions.len()];
    let mut order = Vec::new();
    for trace in traces {
        for address in trace::executed(trace, binary)? {
            if let Some(index) = map::find(&functions, address) {
                ran[index] = true;
            }
        }
        let known: HashSet<_> = order.iter().cloned().collect();
        let names = script::names(&functions, &ran).into_iter();
        order.extend(names.filter(|name| !known.contains(name)));
    }
    ensure!(
        ran.contains(&true),
        "no address is one of a function in the map"
    );
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_found_in_the_map_and_what_a_later_trace_adds_comes_last() {
        let map = format!(
            "{}\n\
             1000 1000 10 16 .text\n\
             1000 1000 10 16         main.o:(.text.b)\n\
             1010 1010 10 16         main.o:(.text.a)\n\
             1020 1020 10 16         main.o:(.text.idle)\n",
            map::HEAD
        );
        let trace = |lines: &str| format!("positions: instr\nob=/bin/p\nfn=a\n{lines}");
        let traces = [trace("0x1008 3\n"), trace("0x1008 3\n0x1010 1\n")];
        let names = order(Path::new("/bin/p"), &traces, &map).unwrap();
        assert_eq!(names, [".text.b", ".text.a"]);
        let error = order(Path::new("/bin/q"), &traces, &map).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no address is one of a function in the map"
        );
    }
}
