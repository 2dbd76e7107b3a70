//! Whom packets are taken from. The port is open to everybody who can reach the
//! machine, and an answer decides where calls go, so what comes from far away
//! does not count.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use if_addrs::IfAddr;

/// The networks of this machine's interfaces: address and mask, as bits.
#[derive(Debug, Default)]
pub(super) struct Networks(Vec<(IpAddr, u128)>);

impl Networks {
    pub(super) fn of<'a>(interfaces: impl Iterator<Item = &'a IfAddr>) -> Self {
        let networks = interfaces.map(|interface| match interface {
            IfAddr::V4(v4) => (v4.ip.into(), u32::from(v4.netmask).into()),
            IfAddr::V6(v6) => (v6.ip.into(), u128::from(v6.netmask)),
        });
        Self(networks.collect())
    }

    /// Whether the sender is in one of the networks, or has an address that
    /// cannot be of the public Internet.
    pub(super) fn are_near(&self, ip: IpAddr) -> bool {
        let private = match ip {
            IpAddr::V4(v4) => {
                v4.is_loopback() || v4.is_private() || v4.is_link_local() || is_shared(v4)
            }
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local()
            }
        };
        let same_network = |(own, mask): &(IpAddr, u128)| {
            own.is_ipv4() == ip.is_ipv4() && bits(*own) & mask == bits(ip) & mask
        };
        // A mask of nothing would take in everybody.
        private || self.0.iter().any(|net| net.1 != 0 && same_network(net))
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => Ipv6Addr::into(ip),
    }
}

/// Behind the translation of a provider: 100.64.0.0/10.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use if_addrs::{Ifv4Addr, Ifv6Addr};

    use super::*;

    #[test]
    fn strangers_of_the_internet_are_not_near() {
        let interfaces = [
            IfAddr::V4(Ifv4Addr {
                ip: "198.51.100.7".parse().unwrap(),
                netmask: "255.255.255.0".parse().unwrap(),
                prefixlen: 24,
                broadcast: None,
            }),
            IfAddr::V6(Ifv6Addr {
                ip: "2001:db8:1::7".parse().unwrap(),
                netmask: "ffff:ffff:ffff:ffff::".parse().unwrap(),
                prefixlen: 64,
                broadcast: None,
            }),
        ];
        let networks = Networks::of(interfaces.iter());
        for (ip, near) in [
            ("198.51.100.200", true),
            ("198.51.101.1", false),
            ("203.0.113.1", false),
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("169.254.1.1", true),
            ("100.127.0.1", true),
            ("100.128.0.1", false),
            ("2001:db8:1::1", true),
            ("2001:db8:2::1", false),
            ("::1", true),
            ("fe80::1", true),
            ("fd00::1", true),
            ("::c633:6407", false),
        ] {
            assert_eq!(networks.are_near(ip.parse().unwrap()), near, "{ip}");
        }
        assert!(!Networks::default().are_near("203.0.113.1".parse().unwrap()));
    }
}
