//! The command line as a table: each process declares its flags once, and
//! parsing, help text and fallbacks to the environment follow from it.
//!
//! The parser accepts what upstream's accepts (pflag, and Go's own `flag` for
//! the operator) and words its errors the same way.

mod csv;
pub mod defaults;
mod exit;
pub mod facts;
mod help;
mod number;
mod parse;
mod parsed;
mod table;
mod value;

#[cfg(test)]
mod tests;

pub use exit::Exit;
pub use parsed::Parsed;
pub use table::{Dashes, Flag, FlagSet};
pub use value::truthy;

use std::process::ExitCode;

/// The flags that every process has.
pub fn common() -> Vec<Flag> {
    vec![
        Flag::string(
            "log-level",
            "info",
            "lowest level that is logged: debug, info, warn, error or fatal",
        ),
        Flag::bool("log-as-json", false, "write log lines as JSON objects"),
        Flag::string(
            "log-file",
            "",
            "append log lines to this file instead of writing them to standard output",
        ),
        Flag::bool("enable-metrics", true, "serve Prometheus metrics"),
        Flag::string("metrics-port", "9090", "port of the metrics server"),
        Flag::string(
            "metrics-listen-address",
            "0.0.0.0",
            "address the metrics server listens on",
        ),
    ]
}

/// Reads the variable of the process's environment, unless it is not text.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Parses the process's own arguments and environment.
///
/// Notices about deprecated flags are written to standard error. When the
/// process has to end here (help, version, an error), what it says is written
/// and its exit code answered.
pub fn from_process(set: &FlagSet) -> Result<Parsed, ExitCode> {
    match set.parse(std::env::args_os().skip(1), &process_env) {
        Ok(parsed) => {
            for notice in parsed.notices() {
                eprintln!("{notice}");
            }
            Ok(parsed)
        }
        Err(exit) => Err(exit.finish()),
    }
}
