//! The draft's networks, with the draft's addresses.
//!
//! Hosts have no engine yet. Names in ladders are the draft's: A, B, S, NAT A, NAT B.

use core::net::Ipv4Addr;

use pinhole_proto::{Address, Duration, Interface};

use crate::link::Line;
use crate::nat::Behaviour;
use crate::world::{HostId, NatId, NatPlan, RealmId, World};

/// S, the server, 18.181.0.31.
pub const SERVER: Address = v4(18, 181, 0, 31);
/// S's other address where a test of NAT behaviour needs one (not the draft's: it has S2 at
/// 138.76.29.7, which is NAT B's elsewhere).
pub const SERVER_ALTERNATE: Address = v4(18, 181, 0, 32);
/// The outside of NAT A, or of the outermost NAT in front of both.
pub const NAT_A: Address = v4(155, 99, 25, 11);
/// The outside of NAT B; B itself where it has no NAT.
pub const NAT_B: Address = v4(138, 76, 29, 7);
/// A.
pub const A: Address = v4(10, 0, 0, 1);
/// B behind a NAT.
pub const B: Address = v4(10, 1, 1, 3);
/// NAT A in the realm of the provider's NAT.
pub const HOME_A: Address = v4(192, 168, 1, 1);
/// NAT B in the realm of the provider's NAT.
pub const HOME_B: Address = v4(192, 168, 1, 2);

/// Who is where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The server.
    pub server: HostId,
    /// The first peer.
    pub a: HostId,
    /// The second peer.
    pub b: HostId,
    /// A's nearest NAT.
    pub nat_a: Option<NatId>,
    /// B's nearest NAT; A's where they share it.
    pub nat_b: Option<NatId>,
    /// The provider's NAT, where there is one.
    pub outer: Option<NatId>,
}

/// What a topology leaves open.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The NAT of A, or of both.
    pub nat_a: Behaviour,
    /// The NAT of B.
    pub nat_b: Behaviour,
    /// The provider's NAT.
    pub outer: Behaviour,
    /// The line from A's side to the internet: NAT A's, or A's own where it has no NAT.
    pub line_a: Line,
    /// The same of B.
    pub line_b: Line,
    /// The line of the server.
    pub line_server: Line,
    /// The lines between hosts and the nearest NAT.
    pub lan: Line,
}

impl Default for Plan {
    /// Port-restricted cones, 25 ms one way at A and B, none elsewhere; the ports are the draft's: 62000
    /// onwards at 155.99.25.11, 31000 onwards at 138.76.29.7.
    fn default() -> Self {
        let line = Line::with_delay(Duration::from_millis(25));
        Self {
            nat_a: Behaviour::port_restricted().with_ports_from(62_000),
            nat_b: Behaviour::port_restricted().with_ports_from(31_000),
            outer: Behaviour::port_restricted().with_ports_from(62_000).with_hairpin(crate::Hairpin::ExternalSource),
            line_a: line,
            line_b: line,
            line_server: Line::default(),
            lan: Line::default(),
        }
    }
}

/// Both peers without NATs (not a figure of the draft).
pub fn both_public(world: &mut World, plan: &Plan) -> Topology {
    let server = add_server(world, plan);
    let a = world.add_host("A", RealmId::INTERNET, &[NAT_A], plan.line_a);
    let b = world.add_host("B", RealmId::INTERNET, &[NAT_B], plan.line_b);
    Topology { server, a, b, nat_a: None, nat_b: None, outer: None }
}

/// B has a public address (section 3.2).
pub fn b_public(world: &mut World, plan: &Plan) -> Topology {
    let server = add_server(world, plan);
    let nat_a = add_nat(world, "NAT A", RealmId::INTERNET, NAT_A, (A, 24), plan.nat_a, plan.line_a);
    let a = world.add_host("A", world.inside(nat_a), &[A], plan.lan);
    let b = world.add_host("B", RealmId::INTERNET, &[NAT_B], plan.line_b);
    Topology { server, a, b, nat_a: Some(nat_a), nat_b: None, outer: None }
}

/// A has a public address and B a NAT (the mirror image of [`b_public`]).
pub fn a_public(world: &mut World, plan: &Plan) -> Topology {
    let server = add_server(world, plan);
    let nat_b = add_nat(world, "NAT B", RealmId::INTERNET, NAT_B, (B, 24), plan.nat_b, plan.line_b);
    let a = world.add_host("A", RealmId::INTERNET, &[NAT_A], plan.line_a);
    let b = world.add_host("B", world.inside(nat_b), &[B], plan.lan);
    Topology { server, a, b, nat_a: None, nat_b: Some(nat_b), outer: None }
}

/// Two NATs side by side (section 3.3.1). The networks behind them have 24-bit prefixes, so that packets
/// to the other's private endpoint leave by the NAT and find no route in the internet.
pub fn two_nats(world: &mut World, plan: &Plan) -> Topology {
    let server = add_server(world, plan);
    let nat_a = add_nat(world, "NAT A", RealmId::INTERNET, NAT_A, (A, 24), plan.nat_a, plan.line_a);
    let nat_b = add_nat(world, "NAT B", RealmId::INTERNET, NAT_B, (B, 24), plan.nat_b, plan.line_b);
    let a = world.add_host("A", world.inside(nat_a), &[A], plan.lan);
    let b = world.add_host("B", world.inside(nat_b), &[B], plan.lan);
    Topology { server, a, b, nat_a: Some(nat_a), nat_b: Some(nat_b), outer: None }
}

/// Both behind one NAT, in one network with the prefix 10.0.0.0/8 (section 3.3.2).
pub fn same_nat(world: &mut World, plan: &Plan) -> Topology {
    let server = add_server(world, plan);
    let nat = add_nat(world, "NAT", RealmId::INTERNET, NAT_A, (A, 8), plan.nat_a, plan.line_a);
    let a = world.add_host("A", world.inside(nat), &[A], plan.lan);
    let b = world.add_host("B", world.inside(nat), &[B], plan.lan);
    Topology { server, a, b, nat_a: Some(nat), nat_b: Some(nat), outer: None }
}

/// Two NATs behind a third (section 3.3.3). `line_a` is the provider's NAT's; those of the two home NATs
/// are like the lines of the hosts.
pub fn two_levels(world: &mut World, plan: &Plan) -> Topology {
    let server = add_server(world, plan);
    let provider = v4(192, 168, 1, 254);
    let outer = add_nat(world, "NAT X", RealmId::INTERNET, NAT_A, (provider, 24), plan.outer, plan.line_a);
    let between = world.inside(outer);
    let nat_a = add_nat(world, "NAT A", between, HOME_A, (A, 24), plan.nat_a, plan.lan);
    let nat_b = add_nat(world, "NAT B", between, HOME_B, (B, 24), plan.nat_b, plan.lan);
    let a = world.add_host("A", world.inside(nat_a), &[A], plan.lan);
    let b = world.add_host("B", world.inside(nat_b), &[B], plan.lan);
    Topology { server, a, b, nat_a: Some(nat_a), nat_b: Some(nat_b), outer: Some(outer) }
}

fn add_server(world: &mut World, plan: &Plan) -> HostId {
    world.add_host("S", RealmId::INTERNET, &[SERVER, SERVER_ALTERNATE], plan.line_server)
}

fn add_nat(
    world: &mut World,
    name: &str,
    outside: RealmId,
    address: Address,
    (inside, prefix): (Address, u8),
    behaviour: Behaviour,
    line: Line,
) -> NatId {
    world.add_nat(&NatPlan { name, outside, address, network: Interface { address: inside, prefix }, behaviour, line })
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Address {
    Address::V4(Ipv4Addr::new(a, b, c, d))
}
