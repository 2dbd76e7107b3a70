//! Entry points for random input: no input may panic, hang or overflow, and what
//! is taken keeps what the decoder promises.

mod access;
mod calls;
mod certificates;
mod etcd;
mod jobs;
mod policies;
mod reports;
mod schedules;
mod settings;
mod tokens;
mod trace;

pub use access::access;
pub use calls::{answers, calls, chunks};
pub use certificates::{certificates, requests};
pub use etcd::etcd;
pub use jobs::jobs;
pub use policies::{conditions, resiliency};
pub use reports::reports;
pub use schedules::schedules;
pub use settings::{documents, flags, metadata};
pub use tokens::{ids, keys, tokens};
pub use trace::trace;

use futures_util::FutureExt;

/// The end of a future that has nothing to wait for.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("there is nothing to wait for")
}
