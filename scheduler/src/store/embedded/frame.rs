//! The changes of one commit as the log has them: a head, then entry after entry.

use redb::StorageError;

/// Frames begin where a block does: what was acknowledged is never written again.
pub(super) const BLOCK: usize = 4096;
/// Checksum, store, number, revision and length.
const HEAD: usize = 36;
/// Kind, lengths of key and value, and revision.
const ENTRY: usize = 17;

/// Which commit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Title {
    /// The store's own number: a log of another store is none of this one.
    pub(super) store: u64,
    /// Commits count from 1, without a gap.
    pub(super) number: u64,
    /// The last revision that was given away.
    pub(super) revision: u64,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    Job {
        key: &'a str,
        revision: u64,
        value: &'a [u8],
    },
    Counter {
        key: &'a str,
        value: &'a [u8],
    },
    /// The job and its counter are gone.
    Gone {
        key: &'a str,
    },
}

/// Gathers the changes of a commit.
#[derive(Debug)]
pub(super) struct Draft(Vec<u8>);

impl Draft {
    pub(super) fn new() -> Self {
        Self(vec![0; HEAD])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == HEAD
    }

    pub(super) fn add(&mut self, entry: Entry<'_>) {
        let none: &[u8] = &[];
        let (kind, key, revision, value) = match entry {
            Entry::Job {
                key,
                revision,
                value,
            } => (0, key, revision, value),
            Entry::Counter { key, value } => (1, key, 0, value),
            Entry::Gone { key } => (2, key, 0, none),
        };
        let bytes = &mut self.0;
        bytes.reserve(ENTRY + key.len() + value.len());
        bytes.push(kind);
        // A request is at most some megabytes long.
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(revision.to_le_bytes());
        bytes.extend(key.as_bytes());
        bytes.extend(value);
    }

    /// The frame, in whole blocks.
    pub(super) fn finish(self, title: Title) -> Vec<u8> {
        let mut bytes = self.0;
        let length = (bytes.len() - HEAD) as u64;
        let head = [title.store, title.number, title.revision];
        for (at, number) in (8..).step_by(8).zip(head) {
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        bytes[32..HEAD].copy_from_slice(&(length as u32).to_le_bytes());
        let sum = checksum(&bytes[8..]);
        bytes[..8].copy_from_slice(&sum.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }
}

/// The frames of a log, up to the first that is not whole or does not follow.
pub(super) fn frames(log: &[u8], store: u64) -> impl Iterator<Item = (Title, &[u8])> {
    let (mut rest, mut last) = (log, None);
    std::iter::from_fn(move || {
        let (title, body) = first(rest)?;
        let follows = last.is_none_or(|last| title.number == last + 1);
        if title.store != store || !follows {
            return None;
        }
        last = Some(title.number);
        let length = (HEAD + body.len()).next_multiple_of(BLOCK);
        rest = rest.get(length..).unwrap_or_default();
        Some((title, body))
    })
}

/// Whether a commit after `last` is somewhere in the log. Then one before it was
/// damaged: only the last frame can have been written in part.
pub(super) fn goes_on(log: &[u8], store: u64, last: u64) -> bool {
    let mut blocks = (0..log.len()).step_by(BLOCK).map(|at| &log[at..]);
    blocks.any(|bytes| {
        let later = number(bytes, 8) == Some(store) && number(bytes, 16) > Some(last);
        later && first(bytes).is_some()
    })
}

/// The frame that these bytes begin with.
fn first(bytes: &[u8]) -> Option<(Title, &[u8])> {
    let sum = number(bytes, 0)?;
    let title = Title {
        store: number(bytes, 8)?,
        number: number(bytes, 16)?,
        revision: number(bytes, 24)?,
    };
    let length = u32::from_le_bytes(*bytes.get(32..)?.first_chunk()?) as usize;
    let body = bytes.get(HEAD..HEAD.checked_add(length)?)?;
    let whole = checksum(&bytes[8..HEAD + length]) == sum;
    whole.then_some((title, body))
}

/// The entries of a frame.
pub(super) fn entries(mut body: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, StorageError>> {
    std::iter::from_fn(move || {
        let next = (!body.is_empty()).then(|| entry(&mut body));
        next.map(|entry| {
            entry.ok_or_else(|| StorageError::Corrupted("the log has an unknown entry".into()))
        })
    })
}

fn entry<'a>(body: &mut &'a [u8]) -> Option<Entry<'a>> {
    // Whatever cannot be read ends the reading.
    let bytes = std::mem::take(body);
    let kind = *bytes.first()?;
    let length = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let (key, value) = (length(1)?, length(5)?);
    let revision = number(bytes, 9)?;
    let (key, rest) = bytes.get(ENTRY..)?.split_at_checked(key)?;
    let (value, rest) = rest.split_at_checked(value)?;
    let key = std::str::from_utf8(key).ok()?;
    *body = rest;
    Some(match kind {
        0 => Entry::Job {
            key,
            revision,
            value,
        },
        1 => Entry::Counter { key, value },
        2 => Entry::Gone { key },
        _ => return None,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// FNV-1a over words: it tells a frame that was written in part.
fn checksum(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let (words, rest) = bytes.as_chunks::<8>();
    let begin = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    let sum = words.iter().fold(begin, |sum, word| {
        // Turned, so that high bits reach the low ones.
        (sum ^ u64::from_le_bytes(*word))
            .wrapping_mul(PRIME)
            .rotate_left(29)
    });
    rest.iter().fold(sum, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(number: u64) -> Title {
        Title {
            store: 7,
            number,
            revision: number * 10,
        }
    }

    const ENTRIES: [Entry<'static>; 4] = [
        Entry::Job {
            key: "app||a",
            revision: 3,
            value: b"value",
        },
        Entry::Counter {
            key: "app||a",
            value: b"",
        },
        Entry::Gone { key: "" },
        Entry::Job {
            key: "large",
            revision: 4,
            value: &[9; 9000],
        },
    ];

    fn frame(number: u64) -> Vec<u8> {
        let mut draft = Draft::new();
        ENTRIES.into_iter().for_each(|entry| draft.add(entry));
        draft.finish(title(number))
    }

    fn numbers(log: &[u8]) -> Vec<u64> {
        frames(log, 7).map(|(title, _)| title.number).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let log = [frame(5), frame(6)].concat();
        assert_eq!(log.len() % BLOCK, 0);
        let read: Vec<_> = frames(&log, 7).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].0, title(6));
        let read: Result<Vec<_>, _> = entries(read[1].1).collect();
        assert_eq!(read.unwrap(), ENTRIES);
    }

    #[test]
    fn reading_ends_where_a_frame_is_damaged_or_does_not_follow() {
        assert_eq!(numbers(&[frame(5), frame(4), frame(5)].concat()), [5]);
        assert!(numbers(&[0; 3 * BLOCK]).is_empty());
        let whole = [frame(1), frame(2)].concat();
        assert_eq!(frames(&whole, 8).count(), 0);
        let second = frame(1).len();
        let used = second + HEAD + ENTRIES.len() * ENTRY + 6 + 5 + 6 + 5 + 9000;
        for at in second..used {
            let mut log = whole.clone();
            log[at] ^= 0x10;
            assert_eq!(numbers(&log), [1], "{at}");
            assert_eq!(numbers(&whole[..at]), [1], "{at}");
        }
    }

    #[test]
    fn a_damaged_frame_is_told_from_one_that_was_written_in_part() {
        let log = [frame(1), frame(2), frame(3)].concat();
        let (second, third) = (frame(1).len(), 2 * frame(1).len());
        let mut damaged = log.clone();
        damaged[second + HEAD] ^= 1;
        assert_eq!(numbers(&damaged), [1]);
        assert!(goes_on(&damaged, 7, 1));
        assert!(!goes_on(&log[..third + BLOCK], 7, 2), "the last is cut off");
        // What an earlier round of the log has left says nothing.
        let again = [frame(4), frame(2), frame(3)].concat();
        assert!(!goes_on(&again, 7, 4));
        assert!(!goes_on(&log, 8, 1), "of another store");
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_an_error() {
        let frame = frame(1);
        let (_, body) = frames(&frame, 7).next().unwrap();
        for end in 1..body.len() {
            let read: Vec<_> = entries(&body[..end]).collect();
            assert!(read.len() <= ENTRIES.len());
        }
        let mut unknown = body.to_vec();
        unknown[0] = 9;
        assert!(entries(&unknown).next().unwrap().is_err());
    }
}
