//! Tells when files of some folders change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Changes that come within this time are one.
const BATCH: Duration = Duration::from_secs(2);

/// A watch on folders; it ends when it is dropped.
pub(crate) struct Watch {
    changes: mpsc::Receiver<()>,
    /// When the batch ends that has begun.
    due: Option<Instant>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches the folders of these files.
    pub(crate) fn folders_of<'a>(
        files: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self, String> {
        let folders: BTreeSet<PathBuf> = files.into_iter().map(folder).collect();
        let listed: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
        tracing::info!(
            target: "dapr.sentry",
            "Starting watch on filesystem directories: [{}]", listed.join(" ")
        );
        // One place is enough: it says "look again", not what changed.
        let (sender, changes) = mpsc::channel(1);
        let report = move |event: notify::Result<Event>| {
            let looked_at = matches!(&event, Ok(e) if matches!(e.kind, EventKind::Access(_)));
            if !looked_at {
                let _ = sender.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(report)
            .map_err(|e| format!("failed to create watcher: {e}"))?;
        for folder in &folders {
            watcher
                .watch(folder, RecursiveMode::NonRecursive)
                .map_err(|e| format!("failed to watch {}: {e}", folder.display()))?;
        }
        Ok(Self {
            changes,
            due: None,
            _watcher: watcher,
        })
    }

    /// Waits for a change and for those that come right behind it. Nothing is
    /// lost when the wait is broken off.
    pub(crate) async fn changed(&mut self) {
        if self.due.is_none() {
            if self.changes.recv().await.is_none() {
                return std::future::pending().await;
            }
            self.due = Some(Instant::now() + BATCH);
        }
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
        self.due = None;
        // What is reported from here on is another change.
        let _ = self.changes.try_recv();
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => ".".into(),
    }
}
