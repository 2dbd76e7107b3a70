//! Where the lines of a process go: to the terminal, to a log file, or both.

use std::{
    fs::File,
    io::{self, Write},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use owo_colors::{AnsiColors, OwoColorize};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    sync::{mpsc, oneshot},
};

/// Lines that may wait for a slow terminal before the processes have to.
const QUEUE: usize = 256;
/// A longer line is passed on in parts.
const MAX_LINE: u64 = 64 << 10;

/// Writes lines to stdout on a thread of its own: a terminal that is held (Ctrl-S) or a pipe
/// that nobody reads must not keep signals from being handled.
pub(crate) struct Console {
    sender: mpsc::Sender<Vec<u8>>,
    done: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Console {
    pub(crate) fn start() -> Self {
        let (sender, mut lines) = mpsc::channel::<Vec<u8>>(QUEUE);
        let (finished, done) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            while let Some(line) = lines.blocking_recv() {
                // Nobody reading is no reason to stop what runs.
                let _ = io::stdout().lock().write_all(&line);
            }
            let _ = io::stdout().lock().flush();
            let _ = finished.send(());
        });
        Self {
            sender,
            done,
            thread,
        }
    }

    pub(crate) fn lines(&self) -> mpsc::Sender<Vec<u8>> {
        self.sender.clone()
    }

    /// Waits until everything is written, but not for a terminal that is stuck.
    pub(crate) async fn finish(self, deadline: Duration) {
        drop(self.sender);
        if tokio::time::timeout(deadline, self.done).await.is_ok() {
            let _ = self.thread.join();
        }
    }
}

/// What happens to each line of one process.
#[derive(Clone, Default)]
pub(crate) struct Sink {
    console: Option<(mpsc::Sender<Vec<u8>>, Arc<str>)>,
    file: Option<Arc<File>>,
}

impl Sink {
    /// Also shows the lines, each after this prefix.
    pub(crate) fn on_console(mut self, lines: mpsc::Sender<Vec<u8>>, prefix: &str) -> Self {
        self.console = Some((lines, prefix.into()));
        self
    }

    /// Also writes the lines to this file.
    pub(crate) fn in_file(mut self, file: File) -> Self {
        self.file = Some(Arc::new(file));
        self
    }

    async fn write(&self, line: &[u8]) {
        if let Some(mut file) = self.file.as_deref() {
            // One short write to a local file; a full disk is no reason to stop what runs.
            let _ = file.write_all(line);
        }
        if let Some((lines, prefix)) = &self.console {
            let _ = lines.send([prefix.as_bytes(), line].concat()).await;
        }
    }
}

/// Passes on what a process writes, line by line, until it closes its end.
pub(crate) async fn pump(source: impl AsyncRead + Unpin, sink: Sink) {
    let mut source = BufReader::new(source);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut source)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if line.last() != Some(&b'\n') {
                    line.push(b'\n');
                }
                sink.write(&line).await;
            }
        }
    }
}

/// A prefix that tells whose line it is: `== APP == `, `== APP - orders == `.
pub(crate) fn prefix(kind: &str, id: Option<&str>, color: Option<AnsiColors>) -> String {
    let text = match id {
        Some(id) => format!("== {kind} - {id} == "),
        None => format!("== {kind} == "),
    };
    match color {
        Some(color) => text.color(color).to_string(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_prefixed_and_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("log");
        let (sender, mut shown) = mpsc::channel(8);
        let sink = Sink::default()
            .on_console(sender, "== APP == ")
            .in_file(File::create(&path).expect("created"));
        pump(&b"one\n\xfftwo\nno end"[..], sink).await;
        let mut lines = Vec::new();
        while let Some(line) = shown.recv().await {
            lines.extend(line);
        }
        assert_eq!(
            lines,
            b"== APP == one\n== APP == \xfftwo\n== APP == no end\n"
        );
        assert_eq!(
            std::fs::read(&path).expect("readable"),
            b"one\n\xfftwo\nno end\n"
        );
    }

    #[tokio::test]
    async fn a_line_without_end_does_not_fill_the_memory() {
        let (sender, mut shown) = mpsc::channel(8);
        let size = usize::try_from(MAX_LINE).expect("small");
        pump(
            &vec![b'x'; 2 * size][..],
            Sink::default().on_console(sender, ""),
        )
        .await;
        assert_eq!(shown.recv().await.expect("first part").len(), size + 1);
        assert_eq!(shown.recv().await.expect("second part").len(), size + 1);
        assert!(shown.recv().await.is_none());
    }
}
