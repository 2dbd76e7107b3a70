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
    watcher: Option<notify::RecommendedWatcher>,
    folders: Vec<PathBuf>,
}

impl Changes {
    /// The error is a text of the start's fatal line.
    pub(super) fn watch(folders: &[PathBuf], files: &[PathBuf]) -> Result<Self, String> {
        let (sender, events) = mpsc::channel(1);
        let fail = |e: notify::Error| format!("failed to create watcher: {e}");
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is no change of it; one pending notice is enough.
            if event.is_ok_and(|e| !e.kind.is_access()) {
                let _ = sender.try_send(());
            }
        });
        let mut watcher = watcher.map_err(fail)?;
        let here = Path::new(".");
        let parents = files.iter().filter_map(|f| f.parent());
        let parents = parents.map(|p| if p == Path::new("") { here } else { p });
        let mut folders: Vec<PathBuf> = folders.to_vec();
        folders.extend(parents.map(Path::to_owned));
        folders.sort();
        folders.dedup();
        // A folder that is missing is for the reader to report.
        for folder in folders.iter().filter(|f| f.is_dir()) {
            watcher
                .watch(folder, RecursiveMode::NonRecursive)
                .map_err(fail)?;
        }
        Ok(Self {
            events,
            watcher: Some(watcher),
            folders,
        })
    }

    /// Watches the folders anew: one that was removed and made again, or a link
    /// that leads elsewhere now, is another folder to the system.
    pub(super) fn renew(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for folder in &self.folders {
            // Either may fail for a folder that is away; the next time it is back.
            let _ = watcher.unwatch(folder);
            let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
        }
    }

    /// Never tells of a change.
    pub(super) fn none() -> Self {
        let (_, events) = mpsc::channel(1);
        Self {
            events,
            watcher: None,
            folders: Vec::new(),
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
