//! From a plan to a network: cables, addresses, routes and rules.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::namespace::{Namespace, Net};
use crate::plan::{Node, Uplink};
use crate::program::Program;

/// Connects and configures namespaces whose TUN devices exist, and waits until packets get through.
pub(crate) fn connect(nodes: &[(Node, Namespace)], seed: u32) -> Result<(), LabError> {
    Program::Ip.run(&["-batch", "-"], &cables(nodes))?;
    thread::scope(|scope| {
        let configured: Vec<_> = nodes
            .iter()
            .map(|(node, namespace)| {
                scope.spawn(move || {
                    if let Some(gate) = node.gate {
                        namespace.nft(&gate.rules(public_address(node), seed))?;
                    }
                    namespace.ip(&interfaces(node, nodes))
                })
            })
            .collect();
        configured.into_iter().try_for_each(joined)
    })?;
    thread::scope(|scope| {
        let waiting: Vec<_> = nodes
            .iter()
            .filter_map(|(node, namespace)| {
                let gateway = gateway(node, nodes)?;
                Some(scope.spawn(move || await_gateway(node, namespace, gateway)))
            })
            .collect();
        waiting.into_iter().try_for_each(joined)
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The router's address on the LAN that a node is on; none where a NAT of the model stands between the two.
fn gateway(node: &Node, nodes: &[(Node, Namespace)]) -> Option<IpAddr> {
    if node.model().is_some() {
        return None;
    }
    let Uplink::Lan(router) = node.uplink else {
        return None;
    };
    let (router, _) = nodes.iter().find(|(other, _)| other.name == router)?;
    router.lan.map(|net| net.address)
}

/// Waits until a node reaches its router.
///
/// The kernel switches the two ends of a veth pair and the port of a bridge on in the background, and
/// drops what is sent before. So a datagram is sent to a port of the router where nobody listens until
/// it is refused; and a lost ARP request is repeated at once, where usually a second passes.
fn await_gateway(node: &Node, namespace: &Namespace, gateway: IpAddr) -> Result<(), LabError> {
    const DISCARD: u16 = 9;
    let failed = |error| LabError::io(format!("reach the router from {}", node.name), error);
    let family = if gateway.is_ipv4() { "ipv4" } else { "ipv6" };
    let retrans_time = format!("/proc/sys/net/{family}/neigh/{}/retrans_time_ms", node.interface());
    let reached = || -> io::Result<()> {
        fs::write(&retrans_time, "5")?;
        let any: IpAddr = if gateway.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((gateway, DISCARD))?;
        socket.set_read_timeout(Some(Duration::from_millis(2)))?;
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            let answer = socket.send(&[]).and_then(|_| socket.recv(&mut []));
            if answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                return fs::write(&retrans_time, USUAL_RETRANS_TIME);
            }
        }
        Err(ErrorKind::TimedOut.into())
    };
    namespace.run(reached)?.map_err(failed)
}

/// The kernel's default, in milliseconds, for repeating an ARP request or neighbour solicitation.
const USUAL_RETRANS_TIME: &str = "1000";

fn public_address(node: &Node) -> IpAddr {
    node.addresses.first().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |net| net.address)
}

/// The veth pairs between nodes and the routers whose LANs they are on.
fn cables(nodes: &[(Node, Namespace)]) -> String {
    let mut batch = String::new();
    for (node, namespace) in nodes {
        let Uplink::Lan(router) = node.uplink else {
            continue;
        };
        if node.model().is_some() {
            continue;
        }
        let Some((_, at)) = nodes.iter().find(|(other, _)| other.name == router) else {
            continue;
        };
        batch.push_str(&format!(
            "link add name {} netns {} type veth peer name to-{} netns {}\n",
            node.interface(),
            namespace.path().display(),
            node.name,
            at.path().display(),
        ));
    }
    batch
}

/// The addresses and routes of one node.
fn interfaces(node: &Node, nodes: &[(Node, Namespace)]) -> String {
    let mut batch = String::from("link set dev lo up\n");
    let outside = node.interface();
    if let Some(lan) = node.lan {
        batch.push_str("link add lan type bridge mcast_snooping 0\n");
        for (other, _) in nodes.iter().filter(|(other, _)| other.uplink == Uplink::Lan(node.name)) {
            if other.model().is_none() {
                batch.push_str(&format!("link set dev to-{} master lan\n", other.name));
            }
            batch.push_str(&format!("link set dev to-{} up\n", other.name));
        }
        batch.push_str(&format!("addr add {lan} dev lan{}\nlink set dev lan up\n", no_detection(lan)));
        // The other end of a NAT of the model is a TUN device, on which there are no neighbours to ask for.
        for (other, _) in nodes.iter().filter(|(other, _)| other.uplink == Uplink::Lan(node.name)) {
            for net in other.addresses.iter().filter(|_| other.model().is_some()) {
                batch.push_str(&format!("route add {} dev to-{}\n", net.address, other.name));
            }
        }
    }
    // The outside address of a NAT of the model is not one of the router's own: the kernel would keep what
    // the inside sends to it.
    for address in node.addresses.iter().filter(|_| node.model().is_none()) {
        batch.push_str(&format!("addr add {address} dev {outside}{}\n", no_detection(*address)));
    }
    batch.push_str(&format!("link set dev {outside} up\n"));
    // A route through a TUN device needs no gateway: there is only one other end.
    let ipv6 = node.addresses.iter().chain(&node.lan).any(|net| net.address.is_ipv6());
    let everything = if ipv6 { "::/0" } else { "0.0.0.0/0" };
    let via = gateway(node, nodes).map_or_else(String::new, |address| format!(" via {address}"));
    batch.push_str(&format!("route add {everything}{via} dev {outside}\n"));
    batch
}

/// IPv6 addresses would otherwise be unusable for a second, until it is sure that they are unique.
fn no_detection(net: Net) -> &'static str {
    if net.address.is_ipv6() { " nodad" } else { "" }
}
