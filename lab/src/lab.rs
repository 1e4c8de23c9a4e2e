//! A built lab.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::process::Command;

use tun_rs::{DeviceBuilder, SyncDevice};

use crate::capture::Capture;
use crate::core::{Core, Port, SharedLine};
use crate::enter::is_inside;
use crate::error::LabError;
use crate::gateway::{Gateway, Link, ipv4};
use crate::line::Line;
use crate::namespace::Namespace;
use crate::nat::Gate;
use crate::plan::{Node, Uplink, plan};
use crate::recording::Recording;
use crate::topology::{Kind, Topology};
use crate::wiring;

/// A network that carries packets until it is dropped.
///
/// Dropping it kills whatever still runs on its hosts.
pub struct Lab {
    topology: Topology,
    nodes: Vec<(Node, Namespace)>,
    lines: Vec<Access>,
    gateways: Vec<(&'static str, Gateway)>,
    // Last, so that packets are carried for as long as there are hosts.
    _links: Vec<Link>,
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
        let mut links = Vec::new();
        let mut gateways = Vec::new();
        for (node, namespace) in &nodes {
            let gateway = node.model().zip(node.addresses.first().and_then(|net| ipv4(net.address)));
            let gateway = gateway.map(|(model, address)| Gateway::new(model, address, seed_of(topology, node.name)));
            gateways.extend(gateway.clone().map(|gateway| (node.name, gateway)));
            let site = match (node.uplink, &gateway) {
                (Uplink::Line(site), _) => site,
                (Uplink::Lan(_), None) => continue,
                (Uplink::Lan(router), Some(gateway)) => {
                    let above = nodes.iter().find(|(other, _)| other.name == router);
                    let (_, above) = above.ok_or_else(|| LabError::NoSuch(router.to_owned()))?;
                    let outside = tun(above, &format!("to-{}", node.name))?;
                    links.push(Link::start(gateway.clone(), tun(namespace, node.interface())?, outside)?);
                    continue;
                }
            };
            let device = tun(namespace, node.interface())?;
            let line = SharedLine::new(match site {
                "a" => topology.line_a,
                "b" => topology.line_b,
                _ => topology.line_s,
            });
            let recording = Recording::new();
            lines.push(Access { site, recording: recording.clone(), line: line.clone() });
            ports.push(Port { device, networks: node.networks(), recording, line, gateway });
        }

        wiring::connect(&nodes, topology.seed)?;
        let core = Core::start(ports)?;
        Ok(Self { topology: *topology, nodes, lines, gateways, _links: links, _core: core })
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
    pub fn run_on<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        self.node(name)?.1.run(work)
    }

    /// The first address of a host, or the outside address of a NAT.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have, and for a firewall, which has none.
    pub fn address(&self, name: &str) -> Result<IpAddr, LabError> {
        self.addresses(name)?.first().copied().ok_or_else(|| LabError::NoSuch(name.to_owned()))
    }

    /// All addresses of a host, or the outside addresses of a NAT.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have.
    pub fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, LabError> {
        Ok(self.node(name)?.0.addresses.iter().map(|net| net.address).collect())
    }

    /// The address under which the core knows a host: that of its outermost NAT, or its own.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have.
    pub fn public_address(&self, name: &str) -> Result<IpAddr, LabError> {
        let edge = self.edge(name)?;
        let address = if matches!(edge.gate, Some(Gate::Ipv6Firewall { .. })) { name } else { edge.name };
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

    /// The NAT of the model that is called so.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuch`] for a name that the lab does not have, and for a NAT of the kernel.
    pub fn gateway(&self, name: &str) -> Result<&Gateway, LabError> {
        let found = self.gateways.iter().find(|(known, _)| *known == name);
        found.map(|(_, gateway)| gateway).ok_or_else(|| LabError::NoSuch(name.to_owned()))
    }

    /// Every NAT of the model, with its name.
    pub fn gateways(&self) -> impl Iterator<Item = (&'static str, &Gateway)> {
        self.gateways.iter().map(|(name, gateway)| (*name, gateway))
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
    /// [`LabError::NoSuch`] for a host without a router; [`LabError::Unsupported`] for a NAT of the model.
    pub fn remove_nat(&self, name: &str) -> Result<(), LabError> {
        match self.node(name)?.0.uplink {
            Uplink::Lan(router) if self.node(router)?.0.model().is_some() => {
                Err(LabError::Unsupported("a NAT of the model cannot be removed"))
            }
            Uplink::Lan(router) => self.node(router)?.1.nft("flush ruleset"),
            Uplink::Line(_) => Err(LabError::NoSuch(format!("NAT in front of {name}"))),
        }
    }

    fn node(&self, name: &str) -> Result<&(Node, Namespace), LabError> {
        self.nodes.iter().find(|(node, _)| node.name == name).ok_or_else(|| LabError::NoSuch(name.to_owned()))
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

fn tun(namespace: &Namespace, name: &str) -> Result<SyncDevice, LabError> {
    namespace
        .run(|| DeviceBuilder::new().name(name).enable(false).build_sync())?
        .map_err(|error| LabError::io("make a TUN device", error))
}

/// Each NAT of a network draws its own ports, which the network's seed decides.
fn seed_of(topology: &Topology, name: &str) -> u64 {
    name.bytes().fold(u64::from(topology.seed), |seed, octet| seed.wrapping_mul(31).wrapping_add(octet.into()))
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
        f.debug_struct("Lab").field("topology", &self.topology).finish_non_exhaustive()
    }
}
