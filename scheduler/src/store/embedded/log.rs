//! The log: one write at the end of a file makes a commit safe, long before the
//! tables are written.
//!
//! The tables' file is written all over at each of its commits, which costs a disk
//! many times what one write costs. So commits go to the log, the tables change in
//! memory, and only when the log is full they are written as well; then the log
//! begins again. Whoever opens the tables does first what the log says.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::frame::BLOCK;

/// A log of this length is full.
const LENGTH: u64 = 16 << 20;
/// It grows by so much: writing where something was written before is faster.
const STEP: usize = 1 << 20;

/// The file of the log.
pub(super) struct Log {
    file: fs::File,
    /// Where the next frame goes.
    at: u64,
    /// Where the last one is.
    last: u64,
    /// How much of the file has been written.
    length: u64,
    /// Nothing is added until the tables are written: there was a fault, or nobody
    /// knows how much of it is in use.
    spent: bool,
}

impl Log {
    /// Opens the file or makes it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path)?;
        if let Some(folder) = path.parent() {
            // A file is safe when its name is.
            fs::File::open(folder)?.sync_all()?;
        }
        let length = file.metadata()?.len();
        Ok(Self {
            file,
            at: 0,
            last: 0,
            // The rest of a step that was written in part is written again.
            length: length - length % STEP as u64,
            spent: true,
        })
    }

    /// All that was ever written and not written over.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let length = self.file.metadata()?.len().min(LENGTH);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Whether the frame is on the disk; otherwise the tables have to be written.
    /// After an error it is not known whether it is.
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<bool> {
        let end = self.at + frame.len() as u64;
        if self.spent || end > LENGTH {
            // Should the tables not be written, nobody knows whether they were.
            self.spent = true;
            return Ok(false);
        }
        (self.spent, self.last) = (true, self.at);
        while self.length < end {
            self.file.write_all_at(&vec![0; STEP], self.length)?;
            self.length += STEP as u64;
        }
        self.file.write_all_at(frame, self.last)?;
        self.file.sync_data()?;
        (self.spent, self.at) = (false, end);
        Ok(true)
    }

    /// Takes the last frame back: the tables could not follow.
    pub(super) fn take_back(&mut self) {
        self.spent = true;
        // Should that fail, the frame's commands are done although they were said to
        // have failed, as after any fault.
        let _ = self
            .file
            .write_all_at(&[0; BLOCK], self.last)
            .and_then(|()| self.file.sync_data());
    }

    /// The tables have been written with all that the log says.
    pub(super) fn restart(&mut self) {
        (self.spent, self.at, self.last) = (false, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(folder: &Path) -> Log {
        Log::open(&folder.join("jobs.log")).unwrap()
    }

    #[test]
    fn a_log_that_is_full_takes_nothing_until_it_begins_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(folder.path());
        assert!(!log.append(&[1; BLOCK]).unwrap(), "nobody has read it");
        log.restart();
        assert!(log.append(&[1; BLOCK]).unwrap());
        assert!(!log.append(&vec![2; 16 << 20]).unwrap());
        assert!(!log.append(&[3; BLOCK]).unwrap(), "it would fit");
        log.restart();
        assert!(log.append(&[4; BLOCK]).unwrap());
        let bytes = log.read().unwrap();
        assert_eq!(bytes.len(), STEP);
        assert_eq!((bytes[0], bytes[BLOCK]), (4, 0));
    }

    #[test]
    fn only_the_last_frame_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(folder.path());
        log.restart();
        for byte in [1, 2] {
            assert!(log.append(&[byte; 2 * BLOCK]).unwrap());
        }
        log.take_back();
        assert!(!log.append(&[3; BLOCK]).unwrap());
        let bytes = log.read().unwrap();
        let firsts: Vec<_> = bytes.chunks(BLOCK).take(4).map(|block| block[0]).collect();
        assert_eq!(firsts, [1, 1, 0, 2]);
    }

    #[test]
    fn a_frame_for_which_there_was_no_room_leaves_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(folder.path());
        log.restart();
        assert!(log.append(&vec![1; STEP]).unwrap());
        // A file that cannot be written fails as a full disk does.
        log.file = fs::File::open(folder.path().join("jobs.log")).unwrap();
        log.append(&[2; BLOCK]).unwrap_err();
        log.take_back();
        assert!(log.read().unwrap().iter().all(|byte| *byte == 1));
        assert!(!log.append(&[3; BLOCK]).unwrap());
    }
}
