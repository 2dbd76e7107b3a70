//! What is on its way to one stream, bounded in bytes.

use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use prost::Message;
use proto::dapr::scheduler::v1::WatchJobsResponse;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// The bytes of all triggers that a receiver has not taken yet.
const ROOM: u32 = 1 << 20;
/// The least that a trigger counts: so there are at most 256 of them.
const LEAST: u32 = 4 << 10;

type Item = Result<WatchJobsResponse, Status>;

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: mpsc::UnboundedSender<(Item, Option<OwnedSemaphorePermit>)>,
    room: Arc<Semaphore>,
    closed: CancellationToken,
}

/// The stream's end: what goes to the receiver.
#[derive(Debug)]
pub(crate) struct Deliveries {
    queue: mpsc::UnboundedReceiver<(Item, Option<OwnedSemaphorePermit>)>,
    /// Cancelled when either end is gone.
    pub(crate) closed: CancellationToken,
}

/// Why a trigger was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Gone,
}

/// A new outbox and its other end.
pub(crate) fn outbox() -> (Outbox, Deliveries) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let closed = CancellationToken::new();
    let outbox = Outbox {
        queue: sender,
        room: Arc::new(Semaphore::new(ROOM as usize)),
        closed: closed.clone(),
    };
    let deliveries = Deliveries {
        queue: receiver,
        closed,
    };
    (outbox, deliveries)
}

impl Outbox {
    pub(super) fn send(&self, message: WatchJobsResponse) -> Result<(), Refusal> {
        let size = u32::try_from(message.encoded_len()).unwrap_or(ROOM);
        let room = self.room.clone();
        let permit = room.try_acquire_many_owned(size.clamp(LEAST, ROOM));
        let permit = permit.map_err(|_| Refusal::Full)?;
        let sent = self.queue.send((Ok(message), Some(permit)));
        sent.map_err(|_| Refusal::Gone)
    }

    /// Ends the stream with a status.
    pub(super) fn fail(&self, status: Status) {
        // A receiver that is gone needs none.
        let _ = self.queue.send((Err(status), None));
    }

    /// Waits until half of the room is free.
    pub(super) fn room(&self) -> impl Future<Output = ()> + use<> {
        let (room, closed) = (self.room.clone(), self.closed.clone());
        async move {
            tokio::select! {
                _ = room.acquire_many(ROOM / 2) => {}
                () = closed.cancelled() => {}
            }
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl Deliveries {
    pub(crate) fn into_stream(self) -> impl Stream<Item = Item> {
        let gone = self.closed.drop_guard();
        // What was taken makes room for more.
        UnboundedReceiverStream::new(self.queue).map(move |(item, _taken)| {
            let _ = &gone;
            item
        })
    }
}
