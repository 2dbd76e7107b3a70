//! The threads that a process serves with.

use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::flags::process_env;

/// The runtime of a process that serves others.
///
/// Half of the processors that this process may use take its threads: the other half
/// is for whom it serves, on the same machine as a rule. A single thread is driven by
/// [`Runtime::block_on`], which then hands nothing over to another: a fifth less work
/// for each call. `GOMAXPROCS`, with which operators of upstream's programs set their
/// threads, sets these.
pub fn runtime() -> io::Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match threads(process_env("GOMAXPROCS").as_deref(), processors) {
        1 => Builder::new_current_thread(),
        n => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(n);
            builder
        }
    };
    builder.enable_all().build()
}

/// What is asked for and is no positive number is passed over, as Go does.
fn threads(asked: Option<&str>, processors: usize) -> usize {
    let asked = asked.and_then(|n| n.parse().ok()).filter(|n| *n > 0);
    asked.unwrap_or(processors / 2).clamp(1, 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_processors_serve_unless_the_operator_says_otherwise() {
        for (asked, processors, expected) in [
            (None, 1, 1),
            (None, 2, 1),
            (None, 3, 1),
            (None, 8, 4),
            (Some("3"), 8, 3),
            (Some("0"), 8, 4),
            (Some("-1"), 8, 4),
            (Some("many"), 8, 4),
            (Some("99999999"), 8, 1024),
        ] {
            assert_eq!(threads(asked, processors), expected, "{asked:?}");
        }
    }
}
