//! Tells when files of the watched folders may have changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// Changes come in bursts: an editor writes, renames, removes.
const QUIET: Duration = Duration::from_millis(100);
const MOST_WAIT: Duration = Duration::from_secs(1);

/// A watch on folders and on the folders of single files. A mounted volume swaps
/// a link beside its files, so whole folders are watched, and what changed is
/// found by reading them again.
pub(super) struct Changes {
    events: mpsc::Receiver<()>,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Changes {
    /// The error is a text of the start's fatal line.
    pub(super) fn watch(folders: &[PathBuf], files: &[PathBuf]) -> Result<Self, String> {
        let (sender, events) = mpsc::channel(1);
        let fail = |e: notify::Error| format!("failed to create watcher: {e}");
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Reading a file is no change of it; one pending notice is enough.
                if event.is_ok_and(|e| !e.kind.is_access()) {
                    let _ = sender.try_send(());
                }
            })
            .map_err(fail)?;
        let parents = files.iter().filter_map(|f| f.parent()).map(|p| {
            if p.as_os_str().is_empty() {
                Path::new(".")
            } else {
                p
            }
        });
        for folder in folders.iter().map(PathBuf::as_path).chain(parents) {
            watcher
                .watch(folder, RecursiveMode::NonRecursive)
                .map_err(fail)?;
        }
        Ok(Self {
            events,
            _watcher: Some(watcher),
        })
    }

    /// Never tells of a change.
    pub(super) fn none() -> Self {
        let (_, events) = mpsc::channel(1);
        Self {
            events,
            _watcher: None,
        }
    }

    /// Returns after a change, when it has been quiet for a moment.
    pub(super) async fn next(&mut self) {
        if self.events.recv().await.is_none() {
            return std::future::pending().await;
        }
        let end = Instant::now() + MOST_WAIT;
        while Instant::now() < end {
            tokio::select! {
                quiet = timeout(QUIET, self.events.recv()) => if quiet.is_err() { return },
                () = sleep_until(end) => return,
            }
        }
    }
}
