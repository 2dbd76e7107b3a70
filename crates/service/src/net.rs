//! Listeners: addresses as the flags write them, tries for ten seconds when a
//! port is still taken, and Unix sockets that survive a crash.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::Tasks;

const BACKLOG: i32 = 1024;
const RETRY_FOR: Duration = Duration::from_secs(10);
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// Binds `host:port`, trying again for ten seconds while the address is taken.
///
/// An empty host means all interfaces, IPv4 and IPv6.
pub async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let end = Instant::now() + RETRY_FOR;
    loop {
        match listen(host, port).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                sleep(RETRY_EVERY).await;
            }
            done => return done,
        }
    }
}

/// Binds `host:port` once; the error reads `listen tcp :3500: bind: address
/// already in use`.
pub async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let bound =
        match host {
            // Without IPv6 in the kernel all interfaces are those of IPv4.
            "" => listen_on(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).or_else(|error| {
                match error.kind() {
                    io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                    _ => listen_on(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
                }
            }),
            host => listen_on(resolve(host, port).await?),
        };
    bound.map_err(|error| {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        io::Error::new(
            error.kind(),
            format!("listen tcp {host}:{port}: bind: {}", reason(&error)),
        )
    })
}

/// The host's first address, IPv4 before IPv6.
async fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::from((ip, port)));
    }
    let mut found: Vec<_> = lookup_host((host, port)).await?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    let first = found.into_iter().next();
    first.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("lookup {host}: no such host"),
        )
    })
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Binds a Unix socket; a file that a dead process left is removed first.
pub async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let named = |error: &io::Error| {
        io::Error::new(
            error.kind(),
            format!("listen unix {}: bind: {}", path.display(), reason(error)),
        )
    };
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // Somebody who still listens keeps the socket.
            match UnixStream::connect(path).await {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(|e| named(&e))?;
                    UnixListener::bind(path).map_err(|e| named(&e))
                }
                _ => Err(named(&error)),
            }
        }
        other => other.map_err(|e| named(&e)),
    }
}

/// Waits for the next connection and turns Nagle's delay off on it.
///
/// Errors of a single connection are passed over; when the process has no
/// descriptors left, accepting pauses instead of spinning.
pub async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Fails only when the peer is gone already.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => pause(&error).await,
        }
    }
}

/// Handles every connection in a task of its own until the tasks are asked to end.
///
/// At most `most` are handled at once; more wait in the kernel's queue. The handler
/// ends its connection by itself when they are asked to end.
pub fn each<F, C>(
    name: &'static str,
    listener: impl Into<Arc<TcpListener>>,
    most: usize,
    tasks: &Tasks,
    handle: F,
) where
    F: Fn(TcpStream, SocketAddr) -> C + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let (listener, permits) = (listener.into(), Arc::new(Semaphore::new(most)));
    let connections = tasks.clone();
    tasks.spawn(name, async move {
        let end = connections.token();
        loop {
            let accepted = async {
                // The semaphore is never closed.
                let permit = permits.clone().acquire_owned().await.ok();
                (permit, accept(&listener).await)
            };
            let (permit, (stream, peer)) = tokio::select! {
                () = end.cancelled() => return,
                accepted = accepted => accepted,
            };
            let handled = handle(stream, peer);
            connections.spawn(name, handled.map(move |()| drop(permit)));
        }
    });
}

/// Waits for the next connection on a Unix socket, as [`accept`] does.
pub async fn accept_unix(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::warn!(target: "dapr.service", "failed to accept a connection: {}", reason(error));
        sleep(RETRY_EVERY).await;
    }
}

/// An operating system error in the form that upstream's messages have:
/// lower case, without the number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    if error.raw_os_error().is_none() {
        return text;
    }
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn port_of(host: &str) -> u16 {
        listen(host, 0).await.unwrap().local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn an_empty_host_listens_on_both_families() {
        let listener = listen("", 0).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port));
        let (client, (server, _)) = tokio::join!(client, accept(&listener));
        assert!(client.is_ok());
        assert!(server.nodelay().unwrap());
    }

    #[tokio::test]
    async fn so_many_connections_are_handled_at_once_and_no_more() {
        let listener = listen("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, seen) = (Tasks::new(), Arc::new(Semaphore::new(0)));
        let (counter, end) = (seen.clone(), tasks.token());
        each("test", listener, 2, &tasks, move |mut stream, _| {
            let (counter, end) = (counter.clone(), end.clone());
            async move {
                counter.add_permits(1);
                // Until the client is gone.
                let gone = stream.read_u8();
                end.run_until_cancelled(gone).await.ok_or(()).ok();
            }
        });
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        seen.acquire_many(2).await.unwrap().forget();
        tokio::task::yield_now().await;
        assert_eq!(seen.available_permits(), 0, "the third waits for its turn");
        clients.remove(0);
        seen.acquire().await.unwrap().forget();
        assert!(tasks.shutdown(Duration::from_secs(10)).await.is_empty());
    }

    #[tokio::test]
    async fn names_and_literals_are_bound() {
        for host in ["127.0.0.1", "localhost", "0.0.0.0"] {
            assert_ne!(port_of(host).await, 0, "{host}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_reported_in_upstreams_words() {
        let taken = listen("127.0.0.1", 0).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen("127.0.0.1", port).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("listen tcp 127.0.0.1:{port}: bind: address already in use")
        );
    }

    #[tokio::test]
    async fn a_port_that_becomes_free_is_taken() {
        let taken = listen("127.0.0.1", 0).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let (bound, ()) = tokio::join!(bind("127.0.0.1", port), async {
            tokio::task::yield_now().await;
            drop(taken);
        });
        assert_eq!(bound.unwrap().local_addr().unwrap().port(), port);
    }

    #[tokio::test]
    async fn a_stale_socket_file_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dapr-a-http.socket");
        drop(bind_unix(&path).await.unwrap());
        assert!(path.exists());
        let _live = bind_unix(&path).await.unwrap();
        let error = bind_unix(&path).await.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with(".socket: bind: address already in use"),
            "{error}"
        );
    }
}
