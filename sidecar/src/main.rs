//! `daprd`, the sidecar.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Calls under way hold more small pieces than glibc keeps at hand.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match service::flags::from_process(&sidecar::flags::flags()) {
        Ok(flags) => sidecar::main(&flags),
        Err(code) => code,
    }
}
