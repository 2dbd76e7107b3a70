//! Whose turn it is: the lock of one actor, as a state machine without waiting in it.

use std::collections::VecDeque;

use http::HeaderValue;

/// The turns of one actor, first come first served.
///
/// `B` is the bell of a call that waits; whoever gets bells back rings them.
#[derive(Debug)]
pub(crate) struct Turns<B> {
    /// The first entry has the turn. Numbers ascend from front to back.
    entries: VecDeque<Entry<B>>,
    /// Calls that run beside the turns.
    beside: u32,
    next: u64,
    closed: bool,
}

/// The calls of one chain. They have the turn together.
#[derive(Debug)]
struct Entry<B> {
    number: u64,
    chain: Option<HeaderValue>,
    /// Calls that run or wait in this entry; never zero.
    calls: u32,
    /// Those that wait, by their own number. Empty once the entry has the turn.
    waiting: Vec<(u64, B)>,
}

/// A call's place. It is given back exactly once, with [`Turns::leave`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of its entry; `None` is beside the turns.
    entry: Option<u64>,
    call: u64,
}

/// Why a call gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Closed,
    StackDepth,
}

impl<B> Default for Turns<B> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            beside: 0,
            next: 0,
            closed: false,
        }
    }
}

impl<B> Turns<B> {
    /// A place at the end of the queue. The bell is made only if the call has to wait.
    pub(crate) fn enter(&mut self, bell: impl FnOnce() -> B) -> Result<Place, Refusal> {
        self.append(None, bell)
    }

    /// A place with the other calls of the chain, at most `depth` of them, or else
    /// at the end of the queue.
    pub(crate) fn reenter(
        &mut self,
        chain: HeaderValue,
        depth: u32,
        bell: impl FnOnce() -> B,
    ) -> Result<Place, Refusal> {
        let matching = |entry: &&mut Entry<B>| entry.chain.as_ref() == Some(&chain);
        let has_turn = self.entries.front().map(|entry| entry.number);
        let found = self.entries.iter_mut().find(matching);
        let Some(entry) = found.filter(|_| !self.closed) else {
            return match depth {
                0 => Err(Refusal::StackDepth),
                _ => self.append(Some(chain), bell),
            };
        };
        if entry.calls >= depth {
            return Err(Refusal::StackDepth);
        }
        let call = self.next;
        self.next += 1;
        entry.calls += 1;
        if has_turn != Some(entry.number) {
            entry.waiting.push((call, bell()));
        }
        Ok(Place {
            entry: Some(entry.number),
            call,
        })
    }

    /// A place that waits for nobody and lets nobody wait.
    pub(crate) fn beside(&mut self) -> Result<Place, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        self.beside += 1;
        Ok(Place {
            entry: None,
            call: 0,
        })
    }

    fn append(
        &mut self,
        chain: Option<HeaderValue>,
        bell: impl FnOnce() -> B,
    ) -> Result<Place, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        let number = self.next;
        self.next += 1;
        let waiting = match self.entries.is_empty() {
            true => Vec::new(),
            false => vec![(number, bell())],
        };
        self.entries.push_back(Entry {
            number,
            chain,
            calls: 1,
            waiting,
        });
        Ok(Place {
            entry: Some(number),
            call: number,
        })
    }

    /// Ends a call, whether it ran or still waits. Answers the bells of those whose
    /// turn it is now.
    #[allow(clippy::needless_pass_by_value)] // Who left has no place any more.
    pub(crate) fn leave(&mut self, place: Place) -> Vec<B> {
        let Some(number) = place.entry else {
            self.beside -= 1;
            return Vec::new();
        };
        let found = self.entries.binary_search_by_key(&number, |e| e.number);
        let Ok(at) = found else {
            return Vec::new();
        };
        let entry = &mut self.entries[at];
        entry.calls -= 1;
        entry.waiting.retain(|(call, _)| *call != place.call);
        if entry.calls > 0 {
            return Vec::new();
        }
        self.entries.remove(at);
        // Who has the turn already was told: there are bells only if it is somebody else's now.
        self.entries.front_mut().map(bells).unwrap_or_default()
    }

    /// Lets nobody in from now on. Answers the bells of all who wait; their calls are over.
    pub(crate) fn close(&mut self) -> Vec<B> {
        self.closed = true;
        let bells = self.entries.iter_mut().flat_map(bells).collect();
        self.entries.truncate(1);
        bells
    }

    /// Whether a call runs or waits.
    pub(crate) fn is_busy(&self) -> bool {
        self.beside > 0 || !self.entries.is_empty()
    }
}

fn bells<B>(entry: &mut Entry<B>) -> Vec<B> {
    std::mem::take(&mut entry.waiting)
        .into_iter()
        .map(|(_, bell)| bell)
        .collect()
}

#[cfg(test)]
mod tests;
