//! Random ports: many sockets meet many ports (`spec/prediction.md`, "Birthday").

use pinhole_proto::constants::{BIRTHDAY_PORTS, BIRTHDAY_SOCKETS};
use pinhole_proto::peer::{Peer, PeerEvent};
use pinhole_proto::wire::code::{Strategy, Verdict};
use pinhole_proto::{Duration, Transport};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, HostId};

/// A random symmetric NAT and a port-restricted cone.
fn trio(seed: u64, turned: bool, wish: [bool; 2]) -> Trio {
    let (random, stable) = (Behaviour::symmetric(), Behaviour::port_restricted());
    let (nat_a, nat_b) = if turned { (stable, random) } else { (random, stable) };
    let plan = Plan { nat_a, nat_b, ..Plan::default() };
    let wish = core::cell::Cell::new(wish.into_iter());
    let mut trio = Trio::new(seed, &plan, topology::two_nats, |config| {
        config.tcp = false;
        let mut rest = wish.take();
        config.birthday = rest.next().unwrap_or_default();
        wish.set(rest);
    });
    trio.world.trace_mut().keep(false);
    assert!(trio.register());
    trio.connect(Some(Transport::Udp)).expect("the peer is online");
    trio.world.run_for(Duration::from_secs(14));
    trio
}

fn spent(trio: &Trio, host: HostId) -> (u32, u32) {
    let peer: &Peer = trio.world.engine(host);
    let session = &peer.snapshot().sessions[0];
    (session.sockets, session.shots)
}

fn last_verdict(trio: &Trio, host: HostId) -> Option<Verdict> {
    let verdict = |event: &PeerEvent<'_>| match *event {
        PeerEvent::NotDirect { verdict, .. } => Some(verdict),
        _ => None,
    };
    trio.said(host).iter().rev().find_map(|(_, said)| verdict(&said.event))
}

/// The probability that `sockets` and `ports` have a port in common.
fn closed_form(sockets: u32, ports: u32) -> f64 {
    let free = 64_512.0;
    let missed: f64 =
        (0..ports).map(|tried| (free - f64::from(sockets) - f64::from(tried)) / (free - f64::from(tried))).product();
    1.0 - missed
}

// [R-PRED-011]
#[test]
fn random_ports_meet_a_port_restricted_cone_as_often_as_the_closed_form_says() {
    let runs = if cfg!(debug_assertions) { 24 } else { 400 };
    let expected = closed_form(BIRTHDAY_SOCKETS.into(), BIRTHDAY_PORTS.into());
    assert!(expected >= 0.99, "{expected}");
    let mut direct = 0;
    for seed in 0..runs {
        let trio = trio(1_000 + seed, seed % 2 == 1, [true, true]);
        let hosts = [trio.net.a, trio.net.b];
        direct += u32::from(hosts.iter().all(|host| trio.is_direct(*host)));
        let shots: u32 = hosts.iter().map(|host| spent(&trio, *host).1).sum();
        assert!(shots <= 1_500, "{shots}");
        if !trio.is_direct(trio.net.a) {
            assert_eq!(shots, u32::from(BIRTHDAY_SOCKETS) + u32::from(BIRTHDAY_PORTS), "seed {seed}");
            assert_eq!(last_verdict(&trio, trio.net.a), Some(Verdict::BIRTHDAY_MISSED));
        }
    }
    println!("{direct} of {runs} direct, {expected:.4} expected");
    // The 99 % interval of the binomial distribution.
    let deviation = (runs as f64 * expected * (1.0 - expected)).sqrt();
    let least = runs as f64 * expected - 2.576 * deviation - 1.0;
    assert!(f64::from(direct) >= least, "{direct} of {runs}, {least:.1} at least");
}

// [R-PRED-009]
#[test]
fn without_the_wish_of_both_sides_nothing_is_shot() {
    for wish in [[false, false], [true, false], [false, true]] {
        for turned in [false, true] {
            let trio = trio(7, turned, wish);
            for host in [trio.net.a, trio.net.b] {
                assert!(!trio.is_direct(host));
                assert_eq!(spent(&trio, host).1, 0, "{wish:?} {turned}");
            }
            assert_eq!(last_verdict(&trio, trio.net.a), Some(Verdict::RANDOM_ALLOCATION));
        }
    }
}

#[test]
fn the_strategy_is_told() {
    let trio = trio(8, false, [true, true]);
    let birthday = |event: &PeerEvent<'_>| matches!(event, PeerEvent::Attempt { strategy: Strategy::BIRTHDAY, .. });
    for host in [trio.net.a, trio.net.b] {
        assert!(trio.said(host).iter().any(|(_, said)| birthday(&said.event)));
    }
}
