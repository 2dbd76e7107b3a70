//! Trust anchors in a file: waiting for it, and following its changes.

use std::io;
use std::path::Path;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Anchors;
use crate::bundle::TrustBundle;
use crate::pem;

const SCOPE: &str = "dapr.runtime.security";
/// How often a missing file is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How often the file is read although no change was seen: some volumes tell of none.
const READ: Duration = Duration::from_secs(60);
/// Changes come in bursts; half of a file is seen less often after a pause.
const QUIET: Duration = Duration::from_millis(100);

/// Waits until the file is there, however long that takes, and reads it.
pub(crate) async fn wait(path: &Path) -> Result<(TrustBundle, Vec<u8>), crate::bundle::Error> {
    let name = path.display();
    let mut told = 0u32;
    let text = loop {
        match read(path).await {
            Ok(text) => break text,
            Err(error) => {
                // Once a minute is enough for a wait that goes on.
                if told.is_multiple_of(60) {
                    tracing::warn!(target: SCOPE, "Trust anchors file '{name}' not found, waiting...");
                    tracing::debug!(target: SCOPE, "Trust anchors file '{name}': {error}");
                }
                told += 1;
                sleep(LOOK).await;
            }
        }
    };
    tracing::info!(target: SCOPE, "Trust anchors file '{name}' found");
    Ok((TrustBundle::from_pem(&text)?, text))
}

/// Follows the file for ever. What cannot be read or parsed changes nothing.
pub(crate) async fn watch(path: &Path, anchors: &Anchors, mut seen: Vec<u8>) {
    let name = path.display();
    let (mut changes, _watcher) = changes(path);
    tracing::info!(target: SCOPE, "Watching trust anchors file '{name}' for changes");
    let mut missing = false;
    loop {
        tokio::select! {
            Some(()) = changes.recv() => sleep(QUIET).await,
            () = sleep(READ) => {}
        }
        let text = match read(path).await {
            Ok(text) => text,
            Err(error) => {
                if !missing {
                    tracing::warn!(
                        target: SCOPE,
                        "Trust anchors file '{name}' cannot be read, the present anchors stay: {error}"
                    );
                }
                missing = true;
                continue;
            }
        };
        missing = false;
        if text == seen {
            continue;
        }
        match TrustBundle::from_pem(&text) {
            Ok(bundle) => {
                tracing::info!(target: SCOPE, "Trust anchors file changed, reloading trust anchors");
                anchors.replace(bundle);
            }
            Err(error) => tracing::warn!(
                target: SCOPE,
                "Trust anchors file '{name}' is not usable, the present anchors stay: {error}"
            ),
        }
        seen = text;
    }
}

/// Tells of changes beside the file too: a mounted volume swaps a link there.
fn changes(path: &Path) -> (mpsc::Receiver<()>, Option<notify::RecommendedWatcher>) {
    let (sender, changes) = mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is no change of it; one pending notice is enough.
        if event.is_ok_and(|e| !e.kind.is_access()) {
            let _ = sender.try_send(());
        }
    });
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let watcher = watcher.and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    match watcher {
        Ok(watcher) => (changes, Some(watcher)),
        Err(error) => {
            tracing::warn!(
                target: SCOPE,
                "Trust anchors file '{}' is read each minute only: {error}",
                path.display()
            );
            (changes, None)
        }
    }
}

/// The file's text; one byte above the bound is enough for the parser to refuse it.
async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(pem::MAX_LEN as u64 + 1)
        .read_to_end(&mut text)
        .await?;
    Ok(text)
}
