//! A time during which the jobs are shared in one way.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Layout;

/// A layout, for as long as it holds; clones are the same term.
#[derive(Clone, Debug)]
pub struct Term {
    pub layout: Layout,
    over: CancellationToken,
    holders: TaskTracker,
}

/// Whoever has one may still fire by its term; the next term waits for its end.
#[derive(Debug)]
pub struct Hold {
    _token: TaskTrackerToken,
}

impl Term {
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            layout,
            over: CancellationToken::new(),
            holders: TaskTracker::new(),
        }
    }

    /// Begins to fire by this term; none when it is over already.
    pub fn hold(&self) -> Option<Hold> {
        // In this order: whoever ends the term counts the holders afterwards.
        let _token = self.holders.token();
        let hold = Hold { _token };
        (!self.over.is_cancelled()).then_some(hold)
    }

    /// Waits for the end of the term.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Ends the term; the future is done when nobody holds it any more.
    pub(super) fn end(self) -> impl Future<Output = ()> + Send + 'static {
        self.over.cancel();
        self.holders.close();
        async move { self.holders.wait().await }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_term_ends_when_its_last_holder_lets_go() {
        let addresses = ["a:1".to_owned()].into();
        let term = Term::new(Layout {
            index: 0,
            total: 1,
            addresses,
        });
        let (one, other) = (term.hold().unwrap(), term.clone().hold().unwrap());
        assert_eq!(term.over().now_or_never(), None);
        let mut ended = Box::pin(term.clone().end());
        assert_eq!(term.over().now_or_never(), Some(()));
        assert!(term.hold().is_none());
        drop(one);
        assert_eq!(ended.as_mut().now_or_never(), None);
        drop(other);
        ended.await;
    }
}
