//! The names of packets.

use pinhole_proto::{Duration, Endpoint};
use pinhole_sim::nat::Unsolicited;
use pinhole_sim::packet::Flags;
use pinhole_sim::{Behaviour, Packet, World, topology};

#[test]
fn a_packet_keeps_its_name_through_every_nat_and_an_answer_has_another() {
    let mut world = World::new(7);
    let plan = topology::Plan { outer: Behaviour::port_restricted(), ..topology::Plan::default() };
    let net = topology::two_levels(&mut world, &plan);
    let from = Endpoint::new(topology::A, 1234);
    world.inject(net.a, Packet::udp(from, Endpoint::new(topology::SERVER, 1234), b"out"));
    world.run_for(Duration::from_secs(1));
    let names = |world: &World| world.trace().records().iter().map(|record| record.journey.0).collect::<Vec<_>>();
    // Out by two NATs to a closed port, and the ICMP error back by both.
    assert_eq!(names(&world), [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    let stranger = Endpoint::new(topology::SERVER, 9);
    let to = Endpoint::new(topology::NAT_A, 9);
    world.set_behaviour(net.outer.unwrap(), Behaviour::port_restricted().with_unsolicited_syn(Unsolicited::Reset));
    world.inject(net.server, Packet::tcp(stranger, to, Flags::SYN, 1, 0));
    world.run_for(Duration::from_secs(1));
    // A SYN that the outer NAT answers with a reset.
    assert_eq!(names(&world)[12..], [2, 2, 3, 3]);
}
