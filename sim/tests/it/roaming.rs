//! A peer that moves to another network during a session.

use pinhole_proto::{Address, Duration, Interface, Transport};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, Line, NatPlan, RealmId};

/// Two cones that filter by port, a direct session, and then one of the two is behind another NAT.
// [R-PUNCH-027] [R-PUNCH-030]
#[test]
fn a_peer_that_moves_behind_another_port_restricted_nat_is_direct_again_within_two_seconds() {
    for mover_is_a in [true, false] {
        let mut trio = Trio::new(1, &Plan::default(), topology::two_nats, |config| config.tcp = false);
        assert!(trio.register());
        let session = trio.connect(Some(Transport::Udp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(10));
        assert!(trio.is_direct(trio.net.a) && trio.is_direct(trio.net.b));
        let address = Address::from([203, 0, 113, 77]);
        let nat = trio.world.add_nat(&NatPlan {
            name: "NAT C",
            outside: RealmId::INTERNET,
            address,
            network: Interface { address: Address::from([172, 16, 0, 2]), prefix: 24 },
            behaviour: Behaviour::port_restricted().with_ports_from(50_000),
            line: Line::with_delay(Duration::from_millis(25)),
        });
        let mover = if mover_is_a { trio.net.a } else { trio.net.b };
        let other = if mover_is_a { trio.net.b } else { trio.net.a };
        let realm = trio.world.inside(nat);
        let moved = trio.world.now();
        trio.world.move_host(mover, realm, &[Address::from([172, 16, 0, 2])]);
        let healed = trio.world.run_while_not(Duration::from_secs(60), |world| {
            let log = world.log::<pinhole_sim::worlds::PeerSaid>(other);
            log.iter()
                .any(|(at, said)| *at > moved && said.selected().is_some_and(|path| path.remote.address() == address))
        });
        let after = trio.world.now() - moved;
        assert!(healed && after < Duration::from_secs(2), "{after:?}\n{}", trio.world.trace().ladder());
        trio.world.run_for(Duration::from_secs(60));
        for host in [mover, other] {
            assert!(trio.is_direct(host), "{}", trio.world.trace().ladder());
        }
        let datagram = b"here again";
        trio.command(trio.net.a, pinhole_proto::peer::PeerCommand::Send { session, datagram }).expect("established");
        trio.world.run_for(Duration::from_secs(1));
        assert!(trio.said(trio.net.b).iter().any(|(_, said)| said.octets == datagram));
    }
}
