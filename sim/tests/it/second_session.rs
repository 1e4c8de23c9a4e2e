//! A second session between the same peers over TCP: between the same endpoints there is one stream
//! (`spec/punching-tcp.md`, "Whose a stream is").

use pinhole_proto::peer::{CloseReason, PathKind, Peer, PeerCommand, PeerEvent, PeerReply, SessionHandle};
use pinhole_proto::{Duration, Transport};
use pinhole_sim::nat::{Dependence, OnReset, Unsolicited};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Behaviour, HostId, Line};

fn connect(trio: &mut Trio, host: HostId) -> SessionHandle {
    let peer = if host == trio.net.a { trio.b } else { trio.a };
    match trio.command(host, PeerCommand::Connect { peer, transport: Some(Transport::Tcp) }) {
        Ok(PeerReply::Session(session)) => session,
        other => panic!("{other:?}"),
    }
}

/// The one session that a peer has.
fn only(trio: &Trio, host: HostId) -> Option<SessionHandle> {
    let sessions = trio.world.engine::<Peer>(host).snapshot().sessions;
    if let [session] = &sessions[..] { Some(session.handle) } else { None }
}

/// The kind of the path that a session selected last.
fn kind(trio: &Trio, host: HostId, wanted: SessionHandle) -> Option<PathKind> {
    trio.said(host).iter().rev().find_map(|(_, said)| match said.event {
        PeerEvent::Selected { session, path } if session == wanted => Some(path.kind),
        _ => None,
    })
}

// [R-TCP-015]
#[test]
fn a_second_session_is_as_direct_as_the_first_whenever_and_by_whom_it_is_asked_for() {
    for turned in [false, true] {
        for later in (0..=400).step_by(20).chain([1_000, 3_000, 20_000]) {
            let mut trio = Trio::new(later, &Plan::default(), topology::two_nats, |config| config.udp = false);
            assert!(trio.register());
            let hosts = [trio.net.a, trio.net.b];
            connect(&mut trio, hosts[0]);
            trio.world.run_for(Duration::from_millis(later));
            let by = hosts[usize::from(turned)];
            let second = connect(&mut trio, by);
            trio.world.run_for(Duration::from_secs(4));
            let what = format!("B asked: {turned}, {later} ms later");
            for host in hosts {
                let session = only(&trio, host).unwrap_or_else(|| panic!("{what}: more than one session"));
                let ladder = || trio.world.trace().ladder();
                assert_eq!(kind(&trio, host, session), Some(PathKind::Public), "{what}\n{}", ladder());
            }
            let session = only(&trio, by).expect("there is one");
            // Of two that asked for each other at once the session of one is kept for both.
            assert!(session == second || turned && later < 100, "{what}");
            let octets = b"in the second session";
            trio.command(by, PeerCommand::Write { session, octets }).expect("it is established");
            trio.world.run_for(Duration::from_secs(1));
            let other = hosts[usize::from(!turned)];
            assert!(trio.said(other).iter().any(|(_, said)| said.octets == octets), "{what}");
        }
    }
}

/// Only A can open the stream, and the endpoint that it would dial from again is one that the first session used.
// [R-TCP-015]
#[test]
fn a_second_session_is_direct_where_only_one_side_can_dial() {
    let behaviours = [
        Behaviour::symmetric(),
        Behaviour {
            mapping: Dependence::AddressDependent,
            reset: OnReset::Forget,
            ..Behaviour::symmetric().with_unsolicited_syn(Unsolicited::Reset)
        },
    ];
    for (nat, behaviour) in behaviours.into_iter().enumerate() {
        for turned in [false, true] {
            for later in (0..=400).step_by(20).chain([1_000, 3_000]) {
                let plan = Plan {
                    nat_a: behaviour,
                    line_a: Line::with_delay(Duration::from_millis(60)),
                    line_b: Line::with_delay(Duration::from_millis(18)),
                    ..Plan::default()
                };
                let mut trio = Trio::new(later, &plan, topology::b_public, |config| config.udp = false);
                assert!(trio.register());
                let hosts = [trio.net.a, trio.net.b];
                connect(&mut trio, hosts[0]);
                trio.world.run_for(Duration::from_millis(later));
                connect(&mut trio, hosts[usize::from(turned)]);
                trio.world.run_for(Duration::from_secs(8));
                for host in hosts {
                    let what = format!("NAT {nat}, B asked: {turned}, {later} ms later");
                    let session = only(&trio, host).unwrap_or_else(|| panic!("{what}: more than one session"));
                    let found = kind(&trio, host, session);
                    let ladder = || trio.world.trace().ladder();
                    assert!(found.is_some_and(|kind| kind != PathKind::Relayed), "{what}: {found:?}\n{}", ladder());
                }
            }
        }
    }
}

// [R-TCP-015]
#[test]
fn the_stream_of_the_first_session_goes_on_under_the_second() {
    let mut trio = Trio::new(1, &Plan::default(), topology::two_nats, |config| config.udp = false);
    assert!(trio.register());
    let a = trio.net.a;
    let first = connect(&mut trio, a);
    trio.world.run_for(Duration::from_secs(3));
    let streams = |trio: &Trio| trio.world.engine::<Peer>(a).snapshot().streams;
    let before = streams(&trio);
    let mark = trio.world.now();
    let second = connect(&mut trio, a);
    trio.world.run_for(Duration::from_secs(3));
    assert_eq!(streams(&trio), before);
    let events: Vec<_> =
        trio.said(a).iter().filter(|(at, _)| *at >= mark).map(|(at, said)| (*at - mark, said.event)).collect();
    let at =
        |wanted: &dyn Fn(&PeerEvent<'_>) -> bool| events.iter().find(|(_, event)| wanted(event)).map(|(at, _)| *at);
    let ended = at(
        &|event| matches!(event, PeerEvent::Closed { session, reason: CloseReason::Superseded } if *session == first),
    );
    let direct = at(
        &|event| matches!(event, PeerEvent::Selected { session, path } if *session == second && path.kind == PathKind::Public),
    );
    // One round trip between the peers, 100 ms, and not the time of a dial that fails first.
    let (ended, direct) = (ended.expect("it took the first one's place"), direct.expect("it is direct"));
    assert!(direct - ended <= Duration::from_millis(200), "{ended:?} {direct:?}");
}
