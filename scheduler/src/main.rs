//! `scheduler`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Calls under way hold more small pieces than glibc keeps at hand.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match service::flags::from_process(&scheduler::flags::flags()) {
        Ok(flags) => scheduler::main(&flags),
        Err(code) => code,
    }
}
