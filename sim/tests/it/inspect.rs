//! Looking into packets with the engines' own keys.

use pinhole_proto::peer::Peer;
use pinhole_proto::server::Server;
use pinhole_proto::wire::Packet;
use pinhole_proto::wire::message::Message;
use pinhole_proto::{Duration, Transport};
use pinhole_sim::packet::Body;
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::trace::What;
use pinhole_sim::worlds::Trio;

#[test]
fn every_sealed_datagram_opens_for_the_engine_that_it_was_meant_for_and_for_no_other() {
    let mut trio = Trio::new(5, &Plan::default(), topology::two_nats, |config| config.tcp = false);
    assert!(trio.register());
    trio.connect(Some(Transport::Udp)).unwrap();
    trio.world.run_for(Duration::from_secs(20));
    let before = trio.world.trace().digest();
    let (server, a, b) = (
        trio.world.engine::<Server>(trio.net.server).clone(),
        trio.world.engine::<Peer>(trio.net.a).clone(),
        trio.world.engine::<Peer>(trio.net.b).clone(),
    );
    let mut opened = [0; 3];
    for record in trio.world.trace().records().iter().filter(|record| matches!(record.what, What::Delivered(_))) {
        let Body::Udp(octets) = &record.packet.body else { continue };
        let Ok(Packet::Sealed(sealed)) = Packet::decode(octets) else { continue };
        let views = [server.look_into(&sealed), a.look_into(&sealed), b.look_into(&sealed)];
        let plain: Vec<_> = views.iter().flatten().collect();
        assert_eq!(plain.len(), 1, "{record:?}");
        let mut rest = plain[0].as_slice();
        while !rest.is_empty() {
            Message::decode(&mut rest).unwrap();
        }
        for (count, view) in opened.iter_mut().zip(&views) {
            *count += usize::from(view.is_some());
        }
    }
    assert!(opened.iter().all(|count| *count >= 3), "{opened:?}");
    assert_eq!(trio.world.trace().digest(), before);
}
