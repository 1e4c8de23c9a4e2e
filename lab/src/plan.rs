//! A topology spelled out: which nodes there are, how they hang together, which addresses they have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::LabError;
use crate::namespace::Net;
use crate::nat::{Gate, NatKind, UnsolicitedSyn, modelled};
use crate::topology::{Kind, Topology};

/// One namespace: a host, or a router with a LAN.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) uplink: Uplink,
    /// The addresses of its outside interface.
    pub(crate) addresses: Vec<Net>,
    /// The address of its inside interface, if it is a router.
    pub(crate) lan: Option<Net>,
    pub(crate) gate: Option<Gate>,
}

/// What a node's outside interface is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uplink {
    /// The LAN of the router of this name.
    Lan(&'static str),
    /// The access line of the site of this name.
    Line(&'static str),
}

impl Node {
    /// The name of its outside interface.
    pub(crate) fn interface(&self) -> &'static str {
        if self.lan.is_some() { "wan" } else { "eth0" }
    }

    /// The NAT of the model that stands in front of it, if one does.
    pub(crate) fn model(&self) -> Option<pinhole_sim::Behaviour> {
        self.gate.and_then(Gate::model)
    }

    /// What can be reached through it from the core.
    pub(crate) fn networks(&self) -> Vec<Net> {
        match (self.gate, self.lan) {
            (Some(Gate::Ipv6Firewall { .. }), Some(lan)) => vec![lan],
            _ => self.addresses.clone(),
        }
    }

    fn host(name: &'static str, uplink: Uplink, addresses: &[Net]) -> Self {
        Self { name, uplink, addresses: addresses.to_vec(), lan: None, gate: None }
    }

    fn router(name: &'static str, uplink: Uplink, addresses: &[Net], lan: Net, gate: Gate) -> Self {
        Self { name, uplink, addresses: addresses.to_vec(), lan: Some(lan), gate: Some(gate) }
    }
}

/// Spells a topology out.
pub(crate) fn plan(topology: &Topology) -> Result<Vec<Node>, LabError> {
    use Uplink::{Lan, Line};

    let nat = |kind: NatKind, hairpin: bool| gate(kind, hairpin, false, topology.syn);
    let s = Node::host("s", Line("s"), &[v4([18, 181, 0, 31], 32), v4([18, 181, 0, 32], 32)]);
    let nat_a = |outside: (Uplink, Net), hairpin| {
        Node::router("nat-a", outside.0, &[outside.1], LAN_A, nat(topology.nat_a, hairpin))
    };
    let nat_b =
        |outside: (Uplink, Net)| Node::router("nat-b", outside.0, &[outside.1], LAN_B, nat(topology.nat_b, false));
    let isp = |lan, hairpin| Node::router("nat-isp", Line("a"), &[PUBLIC_A], lan, nat(topology.nat_isp, hairpin));
    let a = Node::host("a", Lan("nat-a"), &[v4([10, 0, 0, 1], 24)]);
    let b = Node::host("b", Lan("nat-b"), &[v4([10, 1, 1, 3], 24)]);

    let nodes = match topology.kind {
        Kind::TwoNats => vec![s, nat_a((Line("a"), PUBLIC_A), false), a, nat_b((Line("b"), PUBLIC_B)), b],
        Kind::UdpBlocked => {
            let gate = gate(topology.nat_a, false, true, topology.syn);
            let nat_a = Node::router("nat-a", Line("a"), &[PUBLIC_A], LAN_A, gate);
            vec![s, nat_a, a, nat_b((Line("b"), PUBLIC_B)), b]
        }
        Kind::BPublic => {
            let b = Node::host("b", Line("b"), &[PUBLIC_B]);
            vec![s, nat_a((Line("a"), PUBLIC_A), false), a, b]
        }
        Kind::BothPublic => {
            vec![s, Node::host("a", Line("a"), &[PUBLIC_A]), Node::host("b", Line("b"), &[PUBLIC_B])]
        }
        Kind::OneNat { hairpin } => {
            let a2 = Node::host("a2", Lan("nat-a"), &[v4([10, 0, 0, 2], 24)]);
            vec![s, nat_a((Line("a"), PUBLIC_A), hairpin), a, a2]
        }
        Kind::SameNat { hairpin } => {
            // One realm that holds both of the draft's private addresses.
            let lan = v4([10, 255, 255, 254], 8);
            let router = Node::router("nat-a", Line("a"), &[PUBLIC_A], lan, nat(topology.nat_a, hairpin));
            let a = Node::host("a", Lan("nat-a"), &[v4([10, 0, 0, 1], 8)]);
            let b = Node::host("b", Lan("nat-a"), &[v4([10, 1, 1, 3], 8)]);
            vec![s, router, a, b]
        }
        Kind::TwoLevels { hairpin } => {
            let realm = v4([192, 168, 1, 254], 24);
            let home_a = nat_a((Lan("nat-isp"), v4([192, 168, 1, 1], 24)), false);
            let home_b = nat_b((Lan("nat-isp"), v4([192, 168, 1, 2], 24)));
            vec![s, isp(realm, hairpin), home_a, a, home_b, b]
        }
        Kind::CgnatAboveA => {
            let realm = v4([100, 64, 0, 254], 24);
            let home_a = nat_a((Lan("nat-isp"), v4([100, 64, 0, 11], 24)), false);
            vec![s, isp(realm, false), home_a, a, nat_b((Line("b"), PUBLIC_B)), b]
        }
        Kind::Stranger => {
            let lan = v4([192, 168, 1, 1], 24);
            let router_a = Node::router("nat-a", Line("a"), &[PUBLIC_A], lan, nat(topology.nat_a, false));
            let router_b = Node::router("nat-b", Line("b"), &[PUBLIC_B], lan, nat(topology.nat_b, false));
            let aliased = [v4([192, 168, 1, 100], 24)];
            let a = Node::host("a", Lan("nat-a"), &[v4([192, 168, 1, 101], 24)]);
            let stranger = Node::host("stranger", Lan("nat-a"), &aliased);
            let b = Node::host("b", Lan("nat-b"), &aliased);
            vec![s, router_a, a, stranger, router_b, b]
        }
        Kind::Ipv6Firewalls => {
            let gate = Gate::Ipv6Firewall { syn: topology.syn };
            let s = Node::host("s", Line("s"), &[v6([0x5, 0, 0, 0, 0x31], 128), v6([0x5, 0, 0, 0, 0x32], 128)]);
            let router_a = Node::router("nat-a", Line("a"), &[], v6([0xa, 0, 0, 0, 0xfffe], 64), gate);
            let router_b = Node::router("nat-b", Line("b"), &[], v6([0xb, 0, 0, 0, 0xfffe], 64), gate);
            let a = Node::host("a", Lan("nat-a"), &[v6([0xa, 0, 0, 0, 1], 64)]);
            let b = Node::host("b", Lan("nat-b"), &[v6([0xb, 0, 0, 0, 3], 64)]);
            vec![s, router_a, a, router_b, b]
        }
    };
    let symmetric_hairpin =
        nodes.iter().any(|node| matches!(node.gate, Some(Gate::Nat { kind: NatKind::Symmetric, hairpin: true, .. })));
    if symmetric_hairpin {
        return Err(LabError::Unsupported("a symmetric NAT has no one public endpoint to turn packets around at"));
    }
    let model = |node: &Node| node.model().is_some();
    let above = |node: &Node| nodes.iter().find(|other| node.uplink == Uplink::Lan(other.name));
    if nodes.iter().any(|node| model(node) && above(node).is_some_and(|above| !model(above))) {
        return Err(LabError::Unsupported("a NAT of the model can only be behind another of the model"));
    }
    Ok(nodes)
}

fn gate(kind: NatKind, hairpin: bool, udp_blocked: bool, syn: UnsolicitedSyn) -> Gate {
    match kind {
        NatKind::Model(model) => Gate::Model(modelled(model, hairpin, udp_blocked, syn)),
        _ => Gate::Nat { kind, hairpin, udp_blocked, syn },
    }
}

const fn v4(octets: [u8; 4], prefix: u8) -> Net {
    let [a, b, c, d] = octets;
    Net { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
}

/// An address below the documentation prefix 2001:db8::/32: its third group, and its last four.
const fn v6(groups: [u16; 5], prefix: u8) -> Net {
    let [site, a, b, c, d] = groups;
    Net { address: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, site, 0, a, b, c, d)), prefix }
}

const PUBLIC_A: Net = v4([155, 99, 25, 11], 32);
const PUBLIC_B: Net = v4([138, 76, 29, 7], 32);
const LAN_A: Net = v4([10, 0, 0, 254], 24);
const LAN_B: Net = v4([10, 1, 1, 254], 24);
