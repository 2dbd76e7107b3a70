//! The gate of an actor type: it counts who is behind it, and can be closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const CLOSED: usize = 1;
const ONE: usize = 2;
/// Whoever is told to stop does so when it is scheduled next.
const NOTICE: Duration = Duration::from_secs(1);

/// Nobody enters once it is closed, and whoever closed it can wait for the rest to leave.
#[derive(Debug)]
pub(crate) struct Gate {
    /// The lowest bit says that it is closed, the others count.
    state: AtomicUsize,
    empty: Notify,
    revoked: CancellationToken,
}

/// Somebody behind a gate.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Gate>);

impl Gate {
    pub(crate) fn open() -> Arc<Self> {
        Self::with(0)
    }

    pub(crate) fn closed() -> Arc<Self> {
        Self::with(CLOSED)
    }

    fn with(state: usize) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicUsize::new(state),
            empty: Notify::new(),
            revoked: CancellationToken::new(),
        })
    }

    /// None when it is closed.
    pub(crate) fn enter(gate: &Arc<Self>) -> Option<Pass> {
        let before = gate.state.fetch_add(ONE, Ordering::AcqRel);
        // Dropping the pass takes the count back.
        let pass = Pass(gate.clone());
        (before & CLOSED == 0).then_some(pass)
    }

    /// Whether somebody is behind it after it was closed.
    pub(crate) fn close(&self) -> bool {
        self.state.fetch_or(CLOSED, Ordering::AcqRel) >= ONE
    }

    /// Undoes the closing of a gate that was made closed.
    pub(crate) fn reopen(&self) {
        self.state.fetch_and(!CLOSED, Ordering::AcqRel);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) & CLOSED != 0
    }

    pub(crate) fn is_occupied(&self) -> bool {
        self.state.load(Ordering::Acquire) >= ONE
    }

    /// Waits until everybody has left. After `limit` the rest is told to stop, is given a
    /// moment to notice, and the answer is false.
    pub(crate) async fn drain(&self, limit: Duration) -> bool {
        if timeout(limit, self.emptied()).await.is_ok() {
            return true;
        }
        self.revoked.cancel();
        // Who does not listen is not waited for.
        let _ = timeout(NOTICE, self.emptied()).await;
        false
    }

    async fn emptied(&self) {
        loop {
            let mut empty = std::pin::pin!(self.empty.notified());
            empty.as_mut().enable();
            if !self.is_occupied() {
                return;
            }
            empty.await;
        }
    }
}

impl Pass {
    pub(crate) async fn revoked(&self) {
        self.0.revoked.cancelled().await;
    }
}

#[cfg(test)]
impl Pass {
    pub(crate) fn is_behind(&self, gate: &Arc<Gate>) -> bool {
        Arc::ptr_eq(&self.0, gate)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.0.state.fetch_sub(ONE, Ordering::AcqRel) == ONE | CLOSED {
            self.0.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_lets_nobody_in_and_those_behind_it_out() {
        let gate = Gate::open();
        let (one, two) = (Gate::enter(&gate).unwrap(), Gate::enter(&gate).unwrap());
        assert!(gate.close());
        assert!(Gate::enter(&gate).is_none());
        let leave = async {
            drop(one);
            tokio::task::yield_now().await;
            assert!(gate.is_occupied());
            drop(two);
        };
        let (drained, ()) = tokio::join!(gate.drain(LONG), leave);
        assert!(drained && !gate.close());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_leave_in_time_is_told_to() {
        for limit in [Duration::ZERO, Duration::from_secs(2)] {
            let gate = Gate::open();
            let pass = Gate::enter(&gate).unwrap();
            assert!(gate.close());
            let start = tokio::time::Instant::now();
            let stop = async {
                pass.revoked().await;
                drop(pass);
            };
            let (drained, ()) = tokio::join!(gate.drain(limit), stop);
            assert!(!drained && !gate.is_occupied());
            assert_eq!(start.elapsed(), limit);
        }
    }
}
