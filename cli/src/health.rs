//! Whether a service of this machine says that it is well.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HOST: &str = "127.0.0.1";
/// One look; a service that takes longer is not well.
const LOOK: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(15);

/// Whether the health server on this port answers 200.
pub(crate) async fn is_healthy(port: u16) -> bool {
    let look = async {
        let mut stream = TcpStream::connect((HOST, port)).await?;
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut status = [0; b"HTTP/1.1 200".len()];
        stream.read_exact(&mut status).await?;
        std::io::Result::Ok(status.ends_with(b" 200"))
    };
    matches!(tokio::time::timeout(LOOK, look).await, Ok(Ok(true)))
}

/// Returns once it answers 200; the caller sets the deadline.
pub(crate) async fn until_healthy(port: u16) {
    while !is_healthy(port).await {
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn only_a_200_is_healthy() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 500 Internal Server Error\r\n\r\n", false),
            ("HTTP/1", false),
            ("220 mail.example.org ready\r\n", false),
        ] {
            let listener = TcpListener::bind((HOST, 0)).await.expect("free");
            let port = listener.local_addr().expect("bound").port();
            let server = async {
                let (mut stream, _) = listener.accept().await.expect("called");
                let mut request = [0; 16];
                stream.read_exact(&mut request).await.expect("asked");
                stream.write_all(answer.as_bytes()).await.expect("sent");
            };
            let (healthy, ()) = tokio::join!(is_healthy(port), server);
            assert_eq!(healthy, expected, "{answer}");
        }
        assert!(!is_healthy(testkit::free_port()).await);
    }
}
