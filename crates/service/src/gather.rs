//! What a connection writes in one turn leaves together.
//!
//! HTTP/2 flushes its settings, what it acknowledges, an answer and its trailers one by one.
//! Each would be a record of TLS and a call of the kernel, whose work for a few bytes is that
//! for thousands.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fmt, mem};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More than this does not wait for the end of a turn: a record of TLS holds no more either.
const MOST: usize = 16 << 10;

/// A stream that keeps what is written until [`Gathered::drive`] or a shutdown sends it; a
/// flush does not. Clones are the same.
pub struct Gathered<S> {
    stream: Arc<Mutex<Stream<S>>>,
}

struct Stream<S> {
    io: S,
    waiting: Vec<u8>,
    /// How much of that has left already.
    sent: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gathered<S> {
    pub fn new(io: S) -> Self {
        let stream = Stream {
            io,
            waiting: Vec::new(),
            sent: 0,
        };
        Self {
            stream: Arc::new(Mutex::new(stream)),
        }
    }

    /// Runs what uses the stream, and sends at the end of each turn what it wrote.
    pub fn drive<F: Future + Unpin>(self, work: F) -> Turns<F, S> {
        Turns { work, stream: self }
    }
}

impl<S: AsyncWrite + Unpin> Stream<S> {
    fn put(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.waiting.len() >= MOST {
            ready!(self.send(cx))?;
        }
        // A large piece is not worth a copy.
        if self.waiting.is_empty() && parts.iter().map(|part| part.len()).sum::<usize>() >= MOST {
            return Pin::new(&mut self.io).poll_write_vectored(cx, parts);
        }
        let before = self.waiting.len();
        for part in parts {
            let room = MOST - self.waiting.len();
            self.waiting
                .extend_from_slice(&part[..part.len().min(room)]);
        }
        Poll::Ready(Ok(self.waiting.len() - before))
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.waiting.len() {
            let rest = &self.waiting[self.sent..];
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        self.sent = 0;
        // A connection that idles has no buffer.
        drop(mem::take(&mut self.waiting));
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

impl<S> Clone for Gathered<S> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
        }
    }
}

impl<S> fmt::Debug for Gathered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gathered")
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream.lock().io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.lock().put(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.lock().put(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.stream.lock();
        ready!(stream.send(cx))?;
        Pin::new(&mut stream.io).poll_shutdown(cx)
    }
}

/// What uses a gathered stream; it ends early when the stream takes nothing any more.
pub struct Turns<F, S> {
    work: F,
    stream: Gathered<S>,
}

impl<F, S> Turns<F, S> {
    pub fn work(&mut self) -> &mut F {
        &mut self.work
    }
}

impl<F, S> Future for Turns<F, S>
where
    F: Future + Unpin,
    S: AsyncWrite + Unpin,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Pin::new(&mut self.work).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match self.stream.stream.lock().send(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<F, S> fmt::Debug for Turns<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    type Pieces = Arc<Mutex<Vec<usize>>>;

    /// Notes how long each piece is that it is given.
    struct Noted(tokio::io::DuplexStream, Pieces);

    impl AsyncRead for Noted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Noted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let written = Pin::new(&mut self.0).poll_write(cx, buf);
            if let Poll::Ready(Ok(len)) = &written {
                self.1.lock().push(*len);
            }
            written
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    /// The stream, its other end that takes so many bytes at a time, and what is sent.
    fn noted(room: usize) -> (Gathered<Noted>, tokio::io::DuplexStream, Pieces) {
        let (near, far) = tokio::io::duplex(room);
        let pieces = Pieces::default();
        (Gathered::new(Noted(near, pieces.clone())), far, pieces)
    }

    #[tokio::test]
    async fn what_is_written_and_flushed_in_one_turn_is_one_piece() {
        let (stream, mut far, pieces) = noted(1 << 16);
        let mut writer = stream.clone();
        let turns = stream.drive(Box::pin(async move {
            for part in ["set", "tings", "answer"] {
                writer.write_all(part.as_bytes()).await.unwrap();
                writer.flush().await.unwrap();
            }
            pending::<()>().await;
        }));
        let mut read = [0; 14];
        tokio::select! {
            () = turns => panic!("the work does not end"),
            done = far.read_exact(&mut read) => assert_eq!(done.unwrap(), 14),
        }
        assert_eq!(&read, b"settingsanswer");
        assert_eq!(*pieces.lock(), [14]);
    }

    #[tokio::test]
    async fn a_large_piece_goes_straight_to_the_stream() {
        let (stream, mut far, pieces) = noted(1 << 16);
        let mut writer = stream.clone();
        writer.write_all(&[7; MOST]).await.unwrap();
        assert_eq!(*pieces.lock(), [MOST]);
        assert_eq!(stream.stream.lock().waiting.capacity(), 0);
        let mut read = [0; MOST];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [7; MOST]);
    }

    #[tokio::test]
    async fn a_slow_reader_gets_everything_in_its_order_and_bounds_what_waits() {
        let (stream, mut far, pieces) = noted(700);
        let sent: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let (mut writer, bytes) = (stream.clone(), sent.clone());
        let watched = stream.clone();
        let turns = stream.drive(Box::pin(async move {
            writer.write_all(&bytes).await.unwrap();
            writer.shutdown().await.unwrap();
        }));
        let mut read = Vec::new();
        let (_, ()) = tokio::join!(far.read_to_end(&mut read), turns);
        assert!(read == sent);
        assert!(watched.stream.lock().waiting.capacity() <= MOST);
        assert!(pieces.lock().iter().all(|piece| *piece <= 700));
    }

    #[tokio::test]
    async fn the_end_of_the_other_side_ends_the_work() {
        let (stream, far, _) = noted(1 << 10);
        drop(far);
        let mut writer = stream.clone();
        let write = poll_fn(move |cx| {
            let written = Pin::new(&mut writer).poll_write(cx, b"into the void");
            assert!(written.is_ready());
            Poll::<()>::Pending
        });
        stream.drive(write).await;
    }
}
