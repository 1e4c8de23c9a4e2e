//! A built lab.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tun_rs::DeviceBuilder;

use crate::capture::Capture;
use crate::core::{Core, Port, SharedLine};
use crate::enter::is_inside;
use crate::error::LabError;
use crate::line::Line;
use crate::namespace::{Namespace, Net};
use crate::nat::Gate;
use crate::plan::{Node, Uplink, plan};
use crate::program::Program;
use crate::recording::Recording;
use crate::topology::{Kind, Topology};

/// A network that carries packets until it is dropped.
///
/// Dropping it kills whatever still runs on its hosts.
pub struct Lab {
    topology: Topology,
    nodes: Vec<(Node, Namespace)>,
    lines: Vec<Access>,
    // Last, so that packets are carried for as long as there are hosts.
    _core: Core,
}

/// One access line, as seen from the lab.
struct Access {
    site: &'static str,
    recording: Recording,
    line: SharedLine,
}

impl Lab {
    /// Builds the network. It carries packets when this returns.
    ///
    /// # Errors
    ///
    /// [`LabError::Outside`] before [`enter`](crate::enter); [`LabError::Unsupported`] for a
    /// combination that makes no sense; otherwise what a program or the system refused.
    pub fn build(topology: &Topology) -> Result<Self, LabError> {
        if !is_inside() {
            return Err(LabError::Outside);
        }
        let ipv6 = topology.kind == Kind::Ipv6Firewalls;
        let nodes = plan(topology)?
            .into_iter()
            .map(|node| Namespace::new(ipv6, node.lan.is_some()).map(|namespace| (node, namespace)))
            .collect::<Result<Vec<_>, _>>()?;

        let mut lines = Vec::new();
        let mut ports = Vec::new();
        for (node, namespace) in &nodes {
            let Uplink::Line(site) = node.uplink else {
                continue;
            };
            let device = namespace
                .run(|| {
                    DeviceBuilder::new()
                        .name(node.interface())
                        .enable(false)
                        .build_sync()
                })?
                .map_err(|error| LabError::io("make a TUN device", error))?;
            let line = SharedLine::new(match site {
                "a" => topology.line_a,
                "b" => topology.line_b,
                _ => topology.line_s,
            });
            let recording = Recording::new();
            lines.push(Access {
                site,
                recording: recording.clone(),
                line: line.clone(),
            });
            ports.push(Port {
                device,
                networks: node.networks(),
                recording,
                line,
            });
        }

        Program::Ip.run(&["-batch", "-"], &cables(&nodes))?;
        thread::scope(|scope| {
            let configured: Vec<_> = nodes
                .iter()
                .enumerate()
                .map(|(index, (node, namespace))| {
                    let batch = interfaces(node, &nodes);
                    let seed = topology.seed.wrapping_add(index as u32);
                    scope.spawn(move || {
                        if let Some(gate) = node.gate {
                            namespace.nft(&gate.rules(public_address(node), seed))?;
                        }
                        namespace.ip(&batch)
                    })
                })
                .collect();
            configured.into_iter().try_for_each(joined)
        })?;
        thread::scope(|scope| {
            let waiting: Vec<_> = nodes
                .iter()
                .filter_map(|(node, namespace)| {
                    let gateway = gateway(node, &nodes)?;
                    Some(scope.spawn(move || await_gateway(node, namespace, gateway)))
                })
                .collect();
            waiting.into_iter().try_for_each(joined)
        })?;
        let core = Core::start(ports)?;
        Ok(Self {
            topology: *topology,
            nodes,
            lines,
            _core: core,
        })
    }

    /// What this lab was built from.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The names of the hosts and routers.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.nodes.iter().map(|(node, _)| node.name)
    }

    /// A command that will run on a host or router. Its process is the program itself, so that its
    /// identifier, signals and exit code are the program's.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have.
    pub fn command(&self, name: &str, program: impl AsRef<OsStr>) -> Result<Command, LabError> {
        self.node(name)?.1.command(program)
    }

    /// Runs `work` in a thread on a host or router. Sockets that it makes belong there and may be used
    /// from anywhere.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have.
    pub fn run_on<T: Send>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, LabError> {
        self.node(name)?.1.run(work)
    }

    /// The first address of a host, or the outside address of a NAT.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have, and for a firewall, which has none.
    pub fn address(&self, name: &str) -> Result<IpAddr, LabError> {
        self.addresses(name)?
            .first()
            .copied()
            .ok_or_else(|| LabError::NoSuch(name.to_owned()))
    }

    /// All addresses of a host, or the outside addresses of a NAT.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have.
    pub fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, LabError> {
        Ok(self
            .node(name)?
            .0
            .addresses
            .iter()
            .map(|net| net.address)
            .collect())
    }

    /// The address under which the core knows a host: that of its outermost NAT, or its own.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have.
    pub fn public_address(&self, name: &str) -> Result<IpAddr, LabError> {
        let edge = self.edge(name)?;
        let address = if matches!(edge.gate, Some(Gate::Ipv6Firewall { .. })) {
            name
        } else {
            edge.name
        };
        self.address(address)
    }

    /// What passes over the access line of a host's site, seen from the site.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have.
    pub fn wire(&self, name: &str) -> Result<&Recording, LabError> {
        Ok(&self.line(name)?.recording)
    }

    /// Replaces the access line of a host's site. Packets under way keep their time; losses begin anew.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have.
    pub fn set_line(&self, name: &str, line: Line) -> Result<(), LabError> {
        self.line(name)?.line.set(line);
        Ok(())
    }

    /// Records what an interface of a host or router (`eth0`; `wan` and `lan`) sends and receives.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name or an interface that the lab does not have.
    pub fn capture(&self, name: &str, interface: &str) -> Result<Capture, LabError> {
        self.node(name)?.1.run(|| Capture::open(interface))?
    }

    /// Turns the router in front of a host into one that translates and filters nothing, so that private
    /// addresses leave it and nothing finds back. What worked through the NAT must fail afterwards.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a host without a router.
    pub fn remove_nat(&self, name: &str) -> Result<(), LabError> {
        match self.node(name)?.0.uplink {
            Uplink::Lan(router) => self.node(router)?.1.nft("flush ruleset"),
            Uplink::Line(_) => Err(LabError::NoSuch(format!("NAT in front of {name}"))),
        }
    }

    fn node(&self, name: &str) -> Result<&(Node, Namespace), LabError> {
        self.nodes
            .iter()
            .find(|(node, _)| node.name == name)
            .ok_or_else(|| LabError::NoSuch(name.to_owned()))
    }

    fn edge(&self, name: &str) -> Result<&Node, LabError> {
        let node = &self.node(name)?.0;
        match node.uplink {
            Uplink::Lan(router) => self.edge(router),
            Uplink::Line(_) => Ok(node),
        }
    }

    fn line(&self, name: &str) -> Result<&Access, LabError> {
        let uplink = self.edge(name)?.uplink;
        self.lines
            .iter()
            .find(|access| uplink == Uplink::Line(access.site))
            .ok_or_else(|| LabError::NoSuch(name.to_owned()))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for (_, namespace) in &self.nodes {
            namespace.kill_all();
        }
    }
}

impl std::fmt::Debug for Lab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lab")
            .field("topology", &self.topology)
            .finish_non_exhaustive()
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The router's address on the LAN that a node is on.
fn gateway(node: &Node, nodes: &[(Node, Namespace)]) -> Option<IpAddr> {
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
    let retrans_time = format!(
        "/proc/sys/net/{family}/neigh/{}/retrans_time_ms",
        node.interface()
    );
    let reached = || -> io::Result<()> {
        fs::write(&retrans_time, "5")?;
        let any: IpAddr = if gateway.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
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
    node.addresses
        .first()
        .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |net| net.address)
}

/// The veth pairs between nodes and the routers whose LANs they are on.
fn cables(nodes: &[(Node, Namespace)]) -> String {
    let mut batch = String::new();
    for (node, namespace) in nodes {
        let Uplink::Lan(router) = node.uplink else {
            continue;
        };
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
        for (other, _) in nodes
            .iter()
            .filter(|(other, _)| other.uplink == Uplink::Lan(node.name))
        {
            batch.push_str(&format!(
                "link set dev to-{0} master lan\nlink set dev to-{0} up\n",
                other.name
            ));
        }
        batch.push_str(&format!(
            "addr add {lan} dev lan{}\nlink set dev lan up\n",
            no_detection(lan)
        ));
    }
    for address in &node.addresses {
        batch.push_str(&format!(
            "addr add {address} dev {outside}{}\n",
            no_detection(*address)
        ));
    }
    batch.push_str(&format!("link set dev {outside} up\n"));
    // A route through a TUN device needs no gateway: there is only one other end.
    let ipv6 = node
        .addresses
        .iter()
        .chain(&node.lan)
        .any(|net| net.address.is_ipv6());
    let everything = if ipv6 { "::/0" } else { "0.0.0.0/0" };
    let via = gateway(node, nodes).map_or_else(String::new, |address| format!(" via {address}"));
    batch.push_str(&format!("route add {everything}{via} dev {outside}\n"));
    batch
}

/// IPv6 addresses would otherwise be unusable for a second, until it is sure that they are unique.
fn no_detection(net: Net) -> &'static str {
    if net.address.is_ipv6() { " nodad" } else { "" }
}
