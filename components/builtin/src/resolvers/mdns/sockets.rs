//! The sockets: one for IPv4 and one for IPv6, joined to the group on every
//! interface that lets them, loopback included, and again when interfaces come.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use super::origin::Networks;
use super::packet::{LARGEST, Message};

const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// Packets never leave the link: whoever gets one with less has a forged one.
const HOPS: u32 = 255;

#[derive(Default)]
pub(super) struct Sockets {
    v4: Family,
    v6: Family,
    networks: Networks,
}

#[derive(Default)]
struct Family {
    /// None while the port cannot be had.
    socket: Option<UdpSocket>,
    /// By the interface's number, one of its addresses.
    joined: BTreeMap<u32, IpAddr>,
}

impl Sockets {
    /// Looks at the interfaces and joins the group on new ones; whether any came.
    pub(super) fn refresh(&mut self) -> bool {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
            tracing::debug!(target: "dapr.contrib", "mDNS cannot list the network interfaces: {error}");
            Vec::new()
        });
        self.networks = Networks::of(interfaces.iter().map(|i| &i.addr));
        let (mut v4, mut v6) = (BTreeMap::new(), BTreeMap::new());
        for interface in &interfaces {
            let Some(index) = interface.index else {
                continue;
            };
            let ip = interface.ip();
            let family = if ip.is_ipv4() { &mut v4 } else { &mut v6 };
            family.entry(index).or_insert(ip);
        }
        let came_v4 = self.v4.refresh(Domain::IPV4, v4);
        let came_v6 = self.v6.refresh(Domain::IPV6, v6);
        came_v4 || came_v6
    }

    /// Whether anybody can be reached.
    pub(super) fn joined(&self) -> bool {
        !self.v4.joined.is_empty() || !self.v6.joined.is_empty()
    }

    /// Sends on every interface. A packet that is lost is asked for again.
    pub(super) fn send(&self, message: &Message) {
        let packet = message.encode();
        for family in [&self.v4, &self.v6] {
            family.send(&packet);
        }
    }

    /// Sends to one asker.
    pub(super) fn send_to(&self, message: &Message, to: SocketAddr) {
        let family = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        if let Some(socket) = &family.socket {
            let sent = SockRef::from(socket).send_to(&message.encode(), &to.into());
            trace(sent, to);
        }
    }

    /// The next packet of either socket that comes from nearby.
    pub(super) async fn receive(
        &self,
        buffer: &mut [u8; LARGEST],
    ) -> io::Result<(usize, SocketAddr)> {
        loop {
            let ready = tokio::select! {
                ready = self.v4.readable() => ready,
                ready = self.v6.readable() => ready,
            };
            match ready?.try_recv_from(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Ok((_, from)) if !self.networks.are_near(from.ip()) => {}
                result => return result,
            }
        }
    }
}

impl Family {
    fn refresh(&mut self, domain: Domain, interfaces: BTreeMap<u32, IpAddr>) -> bool {
        if self.socket.is_none() {
            match open(domain) {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => {
                    tracing::debug!(target: "dapr.contrib", "mDNS cannot open UDP port {PORT}: {error}");
                    return false;
                }
            }
        }
        let Some(socket) = &self.socket else {
            return false;
        };
        let socket = SockRef::from(socket);
        // The kernel forgets an interface that went; another one may get its number.
        self.joined
            .retain(|index, _| interfaces.contains_key(index));
        let mut came = false;
        for (index, ip) in interfaces {
            if self.joined.get(&index) == Some(&ip) {
                continue;
            }
            match join(&socket, index, ip) {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    tracing::debug!(target: "dapr.contrib", "mDNS cannot join its group at {ip}: {error}");
                }
                // Joined before under another address, or just now.
                _ => {
                    self.joined.insert(index, ip);
                    came = true;
                }
            }
        }
        came
    }

    fn send(&self, packet: &[u8]) {
        let Some(socket) = &self.socket else {
            return;
        };
        let socket = SockRef::from(socket);
        for (index, ip) in &self.joined {
            let (through, group) = match ip {
                IpAddr::V4(ip) => (socket.set_multicast_if_v4(ip), GROUP_V4.into()),
                IpAddr::V6(_) => (socket.set_multicast_if_v6(*index), GROUP_V6.into()),
            };
            let to = SocketAddr::new(group, PORT);
            trace(
                through.and_then(|()| socket.send_to(packet, &to.into())),
                *ip,
            );
        }
    }

    async fn readable(&self) -> io::Result<&UdpSocket> {
        match &self.socket {
            Some(socket) => socket.readable().await.map(|()| socket),
            None => std::future::pending().await,
        }
    }
}

fn trace(sent: io::Result<usize>, at: impl std::fmt::Display) {
    if let Err(error) = sent {
        tracing::debug!(target: "dapr.contrib", "mDNS cannot send at {at}: {error}");
    }
}

/// A socket that shares the port with everybody else on this machine, and hears
/// what other processes of it send.
fn open(domain: Domain) -> io::Result<UdpSocket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    let any: IpAddr = if domain == Domain::IPV4 {
        socket.set_multicast_loop_v4(true)?;
        socket.set_multicast_ttl_v4(HOPS)?;
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_loop_v6(true)?;
        socket.set_multicast_hops_v6(HOPS)?;
        Ipv6Addr::UNSPECIFIED.into()
    };
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(any, PORT).into())?;
    UdpSocket::from_std(socket.into())
}

fn join(socket: &Socket, index: u32, ip: IpAddr) -> io::Result<()> {
    match ip {
        IpAddr::V4(_) => {
            socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))
        }
        IpAddr::V6(_) => socket.join_multicast_v6(&GROUP_V6, index),
    }
}
