//! One gRPC stream over HTTP/2, by hand: a thousand clients of a library would take
//! more of the machine than the service that they call.

use std::future::poll_fn;
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf, BufMut};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Of a frame: its length, kind, flags and stream.
const FRAME_HEAD: usize = 9;
/// Of a message: whether it is compressed, and its length.
const MESSAGE_HEAD: usize = 5;
/// The only call of the connection.
const CALL: u32 = 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What the peer may send before it is told to go on, as in a client that says nothing.
const WINDOW: usize = 65_535;
const READ: usize = 64 << 10;

/// A connection with one call, which both sides stream.
pub(super) struct Wire {
    socket: TcpStream,
    /// Frames that are not whole yet.
    input: Vec<u8>,
    /// Messages that are not whole yet.
    data: Vec<u8>,
    /// What leaves with the next message, or when the peer waits for it.
    output: Vec<u8>,
    /// How much has come since the peer was told to go on.
    taken: usize,
}

impl Wire {
    /// Calls `path`, whose first message leaves with the call.
    pub(super) async fn open(port: u16, path: &str, first: &impl Message) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        let mut wire = Self {
            socket,
            input: Vec::new(),
            data: Vec::new(),
            output: PREFACE.into(),
            taken: 0,
        };
        wire.frame(SETTINGS, 0, 0, &[]);
        wire.frame(HEADERS, END_HEADERS, CALL, &headers(path, port));
        wire.say(first).await?;
        Ok(wire)
    }

    /// Sends a message.
    pub(super) async fn say(&mut self, message: &impl Message) -> anyhow::Result<()> {
        let length = message.encoded_len();
        let mut data = Vec::with_capacity(MESSAGE_HEAD + length);
        data.put_u8(0);
        data.put_u32(u32::try_from(length)?);
        message.encode(&mut data)?;
        self.frame(DATA, 0, CALL, &data);
        self.flush().await
    }

    /// What `read` makes of the next message of the peer.
    pub(super) async fn hear<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> anyhow::Result<T> {
        loop {
            if let Some(length) = self.length()
                && let Some(message) = self.data.get(MESSAGE_HEAD..MESSAGE_HEAD + length)
            {
                let made = read(message);
                self.data.drain(..MESSAGE_HEAD + length);
                return Ok(made);
            }
            // The peer may wait for it before it says more.
            self.flush().await?;
            poll_fn(|ctx| self.poll_read(ctx)).await?;
        }
    }

    /// Of the first message that has come in part.
    fn length(&self) -> Option<usize> {
        Some(self.data.get(1..MESSAGE_HEAD)?.get_u32() as usize)
    }

    /// Reads what there is.
    fn poll_read(&mut self, ctx: &mut Context<'_>) -> Poll<anyhow::Result<()>> {
        // On the stack, since memory of its own would make each stream fault it in.
        let mut buffer = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut buffer);
        ready!(Pin::new(&mut self.socket).poll_read(ctx, &mut buffer))?;
        Poll::Ready(self.take_all(buffer.filled()))
    }

    fn take_all(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        ensure!(!bytes.is_empty(), "the connection ended");
        let mut before = mem::take(&mut self.input);
        let mut rest: &[u8] = if before.is_empty() {
            bytes
        } else {
            before.extend_from_slice(bytes);
            &before
        };
        while let Some(mut head) = rest.get(..FRAME_HEAD) {
            let whole = FRAME_HEAD + head.get_uint(3) as usize;
            let Some(payload) = rest.get(FRAME_HEAD..whole) else {
                break;
            };
            self.take(head.get_u8(), head.get_u8(), payload)?;
            rest = &rest[whole..];
        }
        self.input = rest.to_vec();
        Ok(())
    }

    fn take(&mut self, kind: u8, flags: u8, payload: &[u8]) -> anyhow::Result<()> {
        match kind {
            DATA => {
                self.data.extend_from_slice(payload);
                let whole = MESSAGE_HEAD + self.length().unwrap_or_default();
                let missing = whole.saturating_sub(self.data.len());
                self.data.reserve_exact(missing);
                self.taken += payload.len();
                if self.taken > WINDOW / 2 {
                    let more = u32::try_from(self.taken)?.to_be_bytes();
                    for stream in [0, CALL] {
                        self.frame(WINDOW_UPDATE, 0, stream, &more);
                    }
                    self.taken = 0;
                }
            }
            HEADERS if flags & END_STREAM != 0 => bail!("the call ended"),
            SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => self.frame(PING, ACK, 0, payload),
            RESET | GO_AWAY => bail!("the peer ended the call"),
            _ => {}
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.output.put_uint(payload.len() as u64, 3);
        self.output.put_slice(&[kind, flags]);
        self.output.put_u32(stream);
        self.output.put_slice(payload);
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        let written = self.socket.write_all(&self.output).await;
        self.output.clear();
        written.context("the peer does not read")
    }
}

/// The header block of a call, nothing in it compressed but names that every HTTP/2
/// peer has in its table.
fn headers(path: &str, port: u16) -> Vec<u8> {
    // POST, and http.
    let mut block = vec![0x83, 0x86];
    let mut text = |name: &[u8], value: &str| {
        block.extend(name);
        // Shorter than 127 bytes, all of them.
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    };
    text(&[0x04], path);
    text(&[0x01], &format!("127.0.0.1:{port}"));
    text(&[0x0f, 0x10], "application/grpc");
    text(b"\0\x02te", "trailers");
    block
}
