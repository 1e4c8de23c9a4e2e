//! Both sides connect at once.

use pinhole_proto::peer::{CloseReason, Peer, PeerCommand, PeerEvent, PeerReply, SessionHandle};
use pinhole_proto::{Duration, Transport};
use pinhole_sim::topology::{self, Plan};
use pinhole_sim::worlds::Trio;
use pinhole_sim::{Chance, HostId, Line};

fn connect(trio: &mut Trio, host: HostId, transport: Transport) -> SessionHandle {
    let peer = if host == trio.net.a { trio.b } else { trio.a };
    match trio.command(host, PeerCommand::Connect { peer, transport: Some(transport) }) {
        Ok(PeerReply::Session(session)) => session,
        other => panic!("{other:?}"),
    }
}

/// The sessions that the application has.
fn alive(trio: &Trio, host: HostId) -> Vec<SessionHandle> {
    let peer: &Peer = trio.world.engine(host);
    let sessions = peer.snapshot().sessions.into_iter();
    sessions.filter(|session| session.state == "established").map(|session| session.handle).collect()
}

fn established(trio: &Trio, host: HostId, wanted: SessionHandle) -> bool {
    let mut said = trio.said(host).iter();
    said.any(|(_, said)| matches!(said.event, PeerEvent::Established { session, .. } if session == wanted))
}

/// A asks, B asks `later`, or sooner where that is negative; and what came of it.
fn meet(seed: u64, transport: Transport, later: i64, plan: &Plan) -> Result<Duration, String> {
    let mut trio = Trio::new(seed, plan, topology::two_nats, |config| {
        config.udp = transport == Transport::Udp;
        config.tcp = transport == Transport::Tcp;
    });
    if !trio.register() {
        return Err("no registration".into());
    }
    let (a, b) = (trio.net.a, trio.net.b);
    let (first, second) = if later >= 0 { (a, b) } else { (b, a) };
    let begin = trio.world.now();
    let one = connect(&mut trio, first, transport);
    trio.world.run_for(Duration::from_millis(later.unsigned_abs()));
    let two = connect(&mut trio, second, transport);
    let direct = |trio: &Trio| [a, b].into_iter().all(|host| trio.is_direct(host) && alive(trio, host).len() == 1);
    let mut after = None;
    for _ in 0..2_000 {
        trio.world.run_for(Duration::from_millis(10));
        after = after.filter(|_| direct(&trio)).or_else(|| direct(&trio).then(|| trio.world.now() - begin));
    }
    for (host, session) in [(first, one), (second, two)] {
        if !established(&trio, host, session) {
            return Err(format!("{host:?} did not get what it asked for\n{}", trio.world.trace().ladder()));
        }
        let known = trio.said(host).iter().filter_map(|(_, said)| match said.event {
            PeerEvent::Closed { session, reason } => Some((session, reason)),
            _ => None,
        });
        let known: Vec<_> = known.filter(|(_, reason)| *reason != CloseReason::Superseded).collect();
        if !known.is_empty() || alive(&trio, host).len() != 1 {
            return Err(format!("{host:?}: {known:?}, {:?} alive", alive(&trio, host)));
        }
    }
    // Data flows both ways on what is left.
    for (from, to) in [(a, b), (b, a)] {
        let session = alive(&trio, from)[0];
        for _ in 0..8 {
            trio.command(from, PeerCommand::Send { session, datagram: b"one" }).map_err(|error| error.to_string())?;
            trio.world.run_for(Duration::from_millis(100));
        }
        let kept = alive(&trio, to)[0];
        let heard = trio.said(to).iter().any(|(_, said)| {
            said.octets == b"one" && matches!(said.event, PeerEvent::Datagram { session, .. } if session == kept)
        });
        if !heard {
            return Err(format!("{to:?} heard nothing"));
        }
    }
    after.ok_or_else(|| format!("relayed\n{}", trio.world.trace().ladder()))
}

// [R-INTRO-016] [R-INTRO-017]
#[test]
fn whenever_two_ask_for_each_other_both_get_the_one_session_there_is() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut worst = Duration::ZERO;
        for later in (-260..=260).step_by(10) {
            match meet(1, transport, later, &Plan::default()) {
                Ok(after) => worst = worst.max(after),
                Err(why) => panic!("{transport:?}, {later} ms: {why}"),
            }
        }
        println!("{transport:?}: direct after at most {worst:?}");
        assert!(worst < Duration::from_secs(4), "{transport:?}: {worst:?}");
    }
}

// [R-INTRO-017]
#[test]
fn both_keep_the_same_session_though_they_hear_of_the_two_in_another_order() {
    for (to_a, to_b) in [(60, 0), (0, 60)] {
        let [line_a, line_b] = [to_a, to_b].map(|ms| Line::with_delay(Duration::from_millis(ms)));
        let plan = Plan { line_a, line_b, ..Plan::default() };
        for later in (-250..=250).step_by(5) {
            if let Err(why) = meet(1, Transport::Udp, later, &plan) {
                panic!("{to_a} and {to_b} ms, {later} ms later: {why}");
            }
        }
    }
}

#[test]
fn two_that_ask_for_each_other_meet_over_bad_lines_too() {
    let mut plan = Plan::default();
    for line in [&mut plan.line_a, &mut plan.line_b] {
        *line = line.with_loss(Chance::percent(5)).with_jitter(Duration::from_millis(30));
    }
    for seed in 1..=20 {
        let later = i64::try_from(seed % 7).expect("a small number") * 25 - 75;
        if let Err(why) = meet(seed, Transport::Udp, later, &plan) {
            panic!("seed {seed}: {why}");
        }
    }
}

/// Both write while both ask: what they wrote belongs to whichever session is kept.
#[test]
fn octets_written_while_both_ask_are_not_lost() {
    let mut early = 0;
    for late in [0, 5, 10, 20, 30, 40] {
        for first in 0..2 {
            let mut trio = Trio::new(9, &Plan::default(), topology::two_nats, |config| config.udp = false);
            assert!(trio.register());
            let hosts = if first == 0 { [trio.net.a, trio.net.b] } else { [trio.net.b, trio.net.a] };
            let one = connect(&mut trio, hosts[0], Transport::Tcp);
            let begun = trio.world.now();
            let mut sessions = [Some(one), None];
            let mut written = [Vec::new(), Vec::new()];
            for octet in 0..80_u8 {
                if sessions[1].is_none() && trio.world.now() - begun >= Duration::from_millis(late) {
                    sessions[1] = Some(connect(&mut trio, hosts[1], Transport::Tcp));
                }
                trio.world.run_for(Duration::from_millis(2));
                for side in 0..2 {
                    let Some(session) = sessions[side] else { continue };
                    let write = PeerCommand::Write { session, octets: &[octet] };
                    if let Ok(PeerReply::Written(1)) = trio.command(hosts[side], write) {
                        early += usize::from(trio.selected(hosts[side]).is_none());
                        written[side].push(octet);
                    }
                }
            }
            trio.world.run_for(Duration::from_secs(20));
            for side in 0..2 {
                let stream = trio.said(hosts[1 - side]).iter();
                let stream = stream.filter(|(_, said)| matches!(said.event, PeerEvent::Stream { .. }));
                let arrived: Vec<u8> = stream.flat_map(|(_, said)| said.octets.clone()).collect();
                assert_eq!(arrived, written[side], "{late} ms, {first} first, from side {side}");
            }
        }
    }
    assert!(early > 100, "{early} octets were written before there was a way");
}
