//! What callgrind wrote: the addresses that were executed, relative to the file they are in.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, ensure};

/// How the trace has to be written for [`executed`]: addresses only, and nothing abbreviated.
pub(super) const OPTIONS: [&str; 5] = [
    "--tool=callgrind",
    "--dump-instr=yes",
    "--dump-line=no",
    "--compress-strings=no",
    "--compress-pos=no",
];

/// The addresses of the program's own file that were executed.
pub(super) fn executed(trace: &str, program: &Path) -> anyhow::Result<BTreeSet<u64>> {
    ensure!(
        trace.lines().any(|line| line == "positions: instr"),
        "callgrind wrote no trace of instructions"
    );
    let mut addresses = BTreeSet::new();
    let mut own = false;
    for line in trace.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            own = Path::new(object) == program;
        } else if own && let Some(cost) = line.strip_prefix("0x") {
            // The line after a call has the place of the call, which is the program's own too.
            let address = cost.split(' ').next().unwrap_or(cost);
            let address = u64::from_str_radix(address, 16);
            addresses.insert(address.with_context(|| format!("callgrind wrote {line:?}"))?);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
# callgrind format
version: 1
cmd:  /bin/program --flag
positions: instr
events: Ir

ob=/lib/libc.so.6
fn=malloc
0x10 5

ob=/bin/program
fl=???
fn=0x0000000000001000
0x1000 1
0x1004 1
cob=/lib/libc.so.6
cfn=malloc
calls=1 0x10
0x1008 40
0x100c 1

ob=/lib/libc.so.6
fn=free
0x20 5
totals: 53
";

    #[test]
    fn only_what_the_program_itself_ran_counts() {
        let addresses = executed(TRACE, Path::new("/bin/program")).unwrap();
        assert_eq!(Vec::from_iter(addresses), [0x1000, 0x1004, 0x1008, 0x100c]);
    }

    #[test]
    fn other_traces_are_refused() {
        #[track_caller]
        fn check(trace: &str, expected: &str) {
            let error = executed(trace, Path::new("/bin/program")).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        let by_line = TRACE.replace("positions: instr", "positions: line");
        check(&by_line, "callgrind wrote no trace of instructions");
        check("", "callgrind wrote no trace of instructions");
        let odd = TRACE.replace("0x1004", "0x10-4");
        check(&odd, "callgrind wrote \"0x10-4 1\"");
    }
}
