//! Ports for servers that a test starts.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

// Below the kernel's ephemeral range, so that no outgoing connection takes a
// port between its choice here and the server's bind.
const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A TCP port that nobody listens on and that this process hands out once.
///
/// # Panics
/// When the whole range is taken.
pub fn free_port() -> u16 {
    // Test programs that run at the same time start at different places.
    let start = std::process::id().wrapping_mul(7919);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + (start.wrapping_add(step) % u32::from(COUNT)) as u16;
        let free = |host| TcpListener::bind((host, port)).is_ok();
        if free("127.0.0.1") && free("0.0.0.0") {
            return port;
        }
    }
    panic!("every port from {FIRST} on is taken; end what listens there");
}

/// Several different free ports.
pub fn free_ports<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| free_port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_can_be_bound() {
        let ports: [u16; 8] = free_ports();
        let listeners: Vec<_> = ports
            .iter()
            .map(|port| TcpListener::bind(("127.0.0.1", *port)).unwrap())
            .collect();
        assert_eq!(listeners.len(), ports.len());
    }
}
