//! Paths that die while they are in use: the data goes by the relay until there is another one.

use pinhole_proto::peer::{PeerCommand, PeerEvent, PeerReply, SessionHandle};
use pinhole_proto::{Duration, Instant, Interface, Transport};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, HostId, NatPlan, Place, RealmId};

/// What happens to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    RebootA,
    RebootB,
    RebootBoth,
    /// Nothing passes for longer than any mapping lives.
    Outage,
    /// A finds itself behind another NAT of the same kind.
    Roam,
}

const BLOWS: [Blow; 5] = [Blow::RebootA, Blow::RebootB, Blow::RebootBoth, Blow::Outage, Blow::Roam];

fn kinds() -> [(&'static str, Behaviour); 4] {
    [
        ("full", Behaviour::full_cone()),
        ("address", Behaviour::address_restricted()),
        ("port", Behaviour::port_restricted()),
        ("symmetric", Behaviour::symmetric()),
    ]
}

/// What a peer wrote and read of the byte streams.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    written: u64,
    read: u64,
    /// How much of what the engine said was looked at.
    said: usize,
}

/// The octet at an offset of either stream: a pattern in which a gap or a repetition shows.
fn octet(offset: u64) -> u8 {
    (offset % 251) as u8 ^ (offset / 251 % 253) as u8
}

struct Scene {
    trio: Trio,
    sessions: [SessionHandle; 2],
    sent: u32,
}

impl Scene {
    fn new(a: Behaviour, b: Behaviour) -> Self {
        let short = |behaviour| Behaviour { udp_idle: Duration::from_secs(30), ..behaviour };
        let plan = Plan { nat_a: short(a), nat_b: short(b), ..Plan::default() };
        let mut trio = Trio::new(1, &plan, topology::two_nats, |config| config.tcp = false);
        assert!(trio.register());
        let a = trio.connect(Some(Transport::Udp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(3));
        let peer: &pinhole_proto::peer::Peer = trio.world.engine(trio.net.b);
        let b = peer.snapshot().sessions[0].handle;
        Self { trio, sessions: [a, b], sent: 0 }
    }

    fn hosts(&self) -> [HostId; 2] {
        [self.trio.net.a, self.trio.net.b]
    }

    fn strike(&mut self, blow: Blow) {
        let (world, net) = (&mut self.trio.world, self.trio.net);
        let nats = [net.nat_a.expect("A has a NAT"), net.nat_b.expect("B has a NAT")];
        match blow {
            Blow::RebootA => world.reboot_nat(nats[0]),
            Blow::RebootB => world.reboot_nat(nats[1]),
            Blow::RebootBoth => nats.into_iter().for_each(|nat| world.reboot_nat(nat)),
            Blow::Outage => {
                world.cut(Place::Nat(nats[0]));
                self.talk(Duration::from_secs(50));
                self.trio.world.mend(Place::Nat(nats[0]));
            }
            Blow::Roam => {
                let behaviour = *world.nat(nats[0]).behaviour();
                let cafe = world.add_nat(&NatPlan {
                    name: "cafe",
                    outside: RealmId::INTERNET,
                    address: "192.0.2.30".parse().expect("an address"),
                    network: Interface { address: "172.16.0.1".parse().expect("an address"), prefix: 24 },
                    behaviour,
                    line: Plan::default().line_a,
                });
                let inside = world.inside(cafe);
                world.move_host(net.a, inside, &["172.16.0.2".parse().expect("an address")]);
            }
        }
    }

    /// Both send a datagram every 50 ms.
    fn talk(&mut self, span: Duration) {
        let end = self.trio.world.now() + span;
        while self.trio.world.now() < end {
            for (host, session) in self.hosts().into_iter().zip(self.sessions) {
                let datagram = &self.sent.to_be_bytes();
                // There may be no way at all for a while.
                let _ = self.trio.command(host, PeerCommand::Send { session, datagram });
            }
            self.sent += 1;
            self.trio.world.run_for(Duration::from_millis(50));
        }
    }

    /// When a host heard datagrams with numbers from `first` on.
    fn heard(&self, host: HostId, first: u32) -> Vec<(Instant, u32)> {
        let number = |octets: &[u8]| u32::from_be_bytes(octets.try_into().expect("a number"));
        let said = self.trio.said(host).iter();
        said.filter(|(_, said)| matches!(said.event, PeerEvent::Datagram { .. }))
            .map(|(at, said)| (*at, number(&said.octets)))
            .filter(|(_, number)| *number >= first)
            .collect()
    }

    fn is_direct(&self) -> bool {
        self.hosts().into_iter().all(|host| self.trio.is_direct(host))
    }

    /// When either peer last took another way.
    fn selected_last(&self) -> Instant {
        let last = |host| self.trio.said(host).iter().rev().find_map(|(at, said)| said.selected().map(|_| *at));
        self.hosts().into_iter().filter_map(last).max().expect("they are direct")
    }

    /// Both write to their byte streams as much as goes in, and read what arrives, which has to be what the
    /// other side wrote, in order.
    fn write(&mut self, streams: &mut [Stream; 2], most: u64, span: Duration) {
        let end = self.trio.world.now() + span;
        while self.trio.world.now() < end {
            for (at, (host, session)) in self.hosts().into_iter().zip(self.sessions).enumerate() {
                let octets: Vec<u8> = (0..most).map(|more| octet(streams[at].written + more)).collect();
                if let Ok(PeerReply::Written(taken)) =
                    self.trio.command(host, PeerCommand::Write { session, octets: &octets })
                {
                    streams[at].written += taken as u64;
                }
                let said = self.trio.said(host);
                let arrived: Vec<u8> = said[streams[at].said..]
                    .iter()
                    .filter(|(_, said)| matches!(said.event, PeerEvent::Stream { .. }))
                    .flat_map(|(_, said)| said.octets.iter().copied())
                    .collect();
                streams[at].said = said.len();
                for octets in &arrived {
                    assert_eq!(*octets, octet(streams[at].read), "octet {}", streams[at].read);
                    streams[at].read += 1;
                }
                let octets = u32::try_from(arrived.len()).expect("a window is smaller");
                let _ = self.trio.command(host, PeerCommand::Consume { session, octets });
            }
            self.trio.world.run_for(Duration::from_millis(50));
        }
    }
}

// [R-KEEP-014] [R-KEEP-015] [R-PUNCH-030]
#[test]
fn a_path_that_died_in_use_is_replaced_within_seconds_wherever_there_can_be_one() {
    let mut scenes = 0;
    for (name_a, a) in kinds() {
        for (name_b, b) in kinds() {
            for blow in BLOWS {
                let mut scene = Scene::new(a, b);
                if !scene.is_direct() {
                    continue;
                }
                scenes += 1;
                scene.talk(Duration::from_secs(2));
                scene.strike(blow);
                let (begin, first) = (scene.trio.world.now(), scene.sent);
                scene.talk(Duration::from_secs(12));
                let within = match blow {
                    Blow::RebootA | Blow::RebootB | Blow::RebootBoth => Duration::from_millis(2_500),
                    // The registration may be between two tries.
                    Blow::Outage => Duration::from_secs(9),
                    Blow::Roam => Duration::from_secs(1),
                };
                let context = format!("{name_a} {name_b} {blow:?}");
                assert!(scene.is_direct(), "{context}");
                let after = scene.selected_last() - begin;
                assert!(after <= within, "{context}: direct after {after:?}");
                for host in scene.hosts() {
                    let heard = scene.heard(host, first);
                    let mut times: Vec<Instant> = heard.iter().map(|(at, _)| *at).collect();
                    times.insert(0, begin);
                    let silence = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("it heard something");
                    assert!(silence <= within, "{context}: silent for {silence:?}");
                    let mut numbers: Vec<u32> = heard.into_iter().map(|(_, number)| number).collect();
                    let count = numbers.len();
                    numbers.sort_unstable();
                    numbers.dedup();
                    assert_eq!(numbers.len(), count, "{context}: a datagram came twice");
                }
            }
        }
    }
    // All pairs of four kinds, but a symmetric one with another or with one that filters by port.
    assert_eq!(scenes, 13 * BLOWS.len());
}

/// The byte stream of a session over TCP goes on from the first octet that was not acknowledged.
// [R-SESS-011] [R-SESS-012]
#[test]
fn nothing_of_the_byte_stream_is_lost_or_repeated_when_its_path_dies() {
    for blow in BLOWS {
        let mut plan = Plan::default();
        plan.nat_a.tcp_transitory_idle = Duration::from_secs(30);
        let mut trio = Trio::new(1, &plan, topology::two_nats, |config| config.udp = false);
        assert!(trio.register());
        let a = trio.connect(Some(Transport::Tcp)).expect("the peer is online");
        trio.world.run_for(Duration::from_secs(5));
        let peer: &pinhole_proto::peer::Peer = trio.world.engine(trio.net.b);
        let b = peer.snapshot().sessions[0].handle;
        let mut scene = Scene { trio, sessions: [a, b], sent: 0 };
        assert!(scene.is_direct());
        let mut streams = [Stream::default(), Stream::default()];
        // Where the stream takes nothing for long there is enough to fill it.
        let (most, span) = if blow == Blow::Roam { (2_000, 40) } else { (400, 30) };
        scene.write(&mut streams, most, Duration::from_secs(2));
        scene.strike(blow);
        scene.write(&mut streams, most, Duration::from_secs(span));
        let before = streams.map(|stream| stream.read);
        scene.write(&mut streams, most, Duration::from_secs(5));
        for (stream, before) in streams.into_iter().zip(before) {
            assert!(stream.read > before, "{blow:?}: it goes on");
        }
        assert!(scene.is_direct(), "{blow:?}");
    }
}
