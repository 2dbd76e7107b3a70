//! `dapr build-info`: how this tool and the installed runtime were built.

use anyhow::Result;

use crate::{home::Home, output, version};

pub(crate) async fn execute(home: &Home) -> Result<u8> {
    let runtime = match version::ask_daprd(home, "--build-info").await {
        Ok(text) => text.lines().map(|line| format!("\t{line}\n")).collect(),
        Err(error) => format!("\t{error:#}\n"),
    };
    output::print(&format!(
        "CLI:\n\tVersion: {}\n\tPackage: {}\n\nRuntime:\n{runtime}",
        version::CLI,
        env!("CARGO_PKG_VERSION"),
    ));
    Ok(0)
}
