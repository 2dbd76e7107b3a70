//! Where this process can be reached: its address, and the port for other
//! sidecars.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use aws_lc_rs::digest::{SHA256, digest};

const FIRST_PORT: u16 = 47300;

/// `DAPR_HOST_IP`, else the source address of a route to the outside. No packet
/// is sent: a UDP socket only picks its route. A host without any route can still
/// be reached from itself.
pub(crate) fn address(env: &dyn Fn(&str) -> Option<String>) -> String {
    if let Some(given) = env("DAPR_HOST_IP").filter(|ip| !ip.is_empty()) {
        return given;
    }
    let routed = [
        ("0.0.0.0:0", "192.0.2.1:80"),
        ("[::]:0", "[2001:db8::1]:80"),
    ]
    .into_iter()
    .find_map(|(from, to)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified() && !is_translation(ip)).then_some(ip)
    });
    routed
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .to_string()
}

/// 192.0.0.0/29 stands for an IPv4 that only exists inside an IPv6 host.
fn is_translation(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[..3] == [192, 0, 0] && v4.octets()[3] < 8)
}

/// A port that is the same at every start of an app in the same place.
pub(crate) fn stable_port(app_id: &str) -> u16 {
    let folder = std::env::current_dir().unwrap_or_default();
    let text = format!(
        "{app_id}|{}|{}|{}",
        folder.display(),
        uid(),
        service::log::hostname()
    );
    port_of(&text)
}

fn port_of(text: &str) -> u16 {
    let hash = digest(&SHA256, text.as_bytes());
    let [low, high, ..] = hash.as_ref() else {
        return FIRST_PORT;
    };
    FIRST_PORT + u16::from_le_bytes([*low, *high]) % (65535 - FIRST_PORT)
}

/// The user that this process runs as; the kernel owns `/proc/self` by it.
fn uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(0, |m| std::os::unix::fs::MetadataExt::uid(&m))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_address_wins_and_otherwise_there_always_is_one() {
        assert_eq!(address(&|_| Some("10.1.2.3".into())), "10.1.2.3");
        assert!(address(&|_| None).parse::<IpAddr>().is_ok());
    }

    #[test]
    fn ports_are_stable_and_in_range() {
        for text in ["a|/|0|h", "b|/|0|h", ""] {
            let port = port_of(text);
            assert_eq!(port, port_of(text));
            assert!((FIRST_PORT..65535).contains(&port));
        }
        // The SHA-256 of "" begins e3 b0.
        assert_eq!(port_of(""), FIRST_PORT + 0xb0e3 % (65535 - FIRST_PORT));
    }
}
