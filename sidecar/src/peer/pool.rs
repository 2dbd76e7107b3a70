//! One warm connection per peer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use service::Tasks;
use tonic::transport::{Channel, Endpoint};

const DIAL: Duration = Duration::from_secs(30);
const PING: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
const MOST_IDLE: Duration = Duration::from_secs(180);
const SWEEP: Duration = Duration::from_secs(45);

/// Channels by address. One that was idle for three minutes is closed.
#[derive(Clone)]
pub(crate) struct Pool {
    channels: Arc<Mutex<HashMap<String, Entry>>>,
}

struct Entry {
    channel: Channel,
    used: Instant,
}

impl Pool {
    pub(crate) fn new(tasks: &Tasks) -> Self {
        let pool = Self {
            channels: Arc::default(),
        };
        let (channels, end) = (Arc::downgrade(&pool.channels), tasks.token());
        tasks.spawn("peer connections", async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(SWEEP) => {}
                    () = end.cancelled() => return,
                }
                let Some(channels) = channels.upgrade() else {
                    return;
                };
                channels
                    .lock()
                    .retain(|_, entry| entry.used.elapsed() < MOST_IDLE);
            }
        });
        pool
    }

    /// A channel to `address` (`host:port`). It connects at its first call.
    pub(crate) fn channel(&self, address: &str) -> Result<Channel, String> {
        let mut channels = self.channels.lock();
        if let Some(entry) = channels.get_mut(address) {
            entry.used = Instant::now();
            return Ok(entry.channel.clone());
        }
        let channel = connect(address)?;
        channels.insert(
            address.to_owned(),
            Entry {
                channel: channel.clone(),
                used: Instant::now(),
            },
        );
        Ok(channel)
    }

    /// The next call to this address gets a fresh connection.
    pub(crate) fn forget(&self, address: &str) {
        self.channels.lock().remove(address);
    }
}

/// The one place where connections to peers are made.
fn connect(address: &str) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|e| format!("address '{address}' of the peer is not valid: {e}"))?;
    Ok(endpoint
        .connect_timeout(DIAL)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 21)
        .connect_lazy())
}
