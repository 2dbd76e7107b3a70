//! A command line that ends the process: help, version or an error.

use std::io::Write;
use std::process::ExitCode;

/// What a process writes, and with which code it ends, instead of running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code: 0 for help and version, 2 for an error.
    pub code: u8,
    /// Text for standard output.
    pub stdout: String,
    /// Text for standard error.
    pub stderr: String,
}

impl Exit {
    /// Writes both texts and answers the code.
    pub fn finish(self) -> ExitCode {
        // Nobody is left to tell when a stream is closed.
        let _ = std::io::stdout().write_all(self.stdout.as_bytes());
        let _ = std::io::stderr().write_all(self.stderr.as_bytes());
        ExitCode::from(self.code)
    }
}
