//! Every check finds what it is for: real runs, with one thing in them changed.

use std::path::Path;

use pinhole_proto::Endpoint;
use pinhole_proto::peer::PeerEvent;
use pinhole_sim::Packet;
use pinhole_sim::worlds::{PeerSaid, Trio};

use super::life::{Life, Run};
use super::{MOST_RECORDS, STRANGER, Scene, check};
use crate::Oracle;

/// The first drawn world for which `fits`, played, with nothing wrong in it.
fn played(fits: impl Fn(&Run) -> bool) -> (Scene, Trio, Life) {
    let oracle = Oracle::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec")).expect("the oracle is complete");
    for seed in 0.. {
        let scene = Scene::draw(seed);
        let (wrong, trio, life) = scene.lived(&oracle);
        if fits(life.last(0)) && fits(life.last(1)) {
            assert!(wrong.is_empty() && check::all(&scene, &trio, &life).is_empty(), "seed {seed}");
            return (scene, trio, life);
        }
    }
    unreachable!("seeds do not end")
}

fn place(run: &Run, is: impl Fn(&PeerEvent<'static>) -> bool) -> Option<usize> {
    run.said.iter().position(|(_, said)| is(&said.event))
}

fn is_datagram(event: &PeerEvent<'static>) -> bool {
    matches!(event, PeerEvent::Datagram { .. })
}

fn is_stream(event: &PeerEvent<'static>) -> bool {
    matches!(event, PeerEvent::Stream { .. })
}

/// Both sides hear datagrams in one run each.
fn talks(run: &Run) -> bool {
    place(run, is_datagram).is_some() && run.runs
}

/// A byte stream arrives in several pieces.
fn pours(run: &Run) -> bool {
    run.said.iter().filter(|(_, said)| is_stream(&said.event)).count() > 3
}

/// What is found when A's last run is changed.
fn found(fits: impl Fn(&Run) -> bool, change: impl FnOnce(&mut Vec<(pinhole_proto::Instant, PeerSaid)>)) -> String {
    let (scene, trio, mut life) = played(fits);
    let run = life.runs.iter_mut().rev().find(|run| run.side == 0).expect("A ran");
    change(&mut run.said);
    check::all(&scene, &trio, &life).join("; ")
}

fn at(said: &[(pinhole_proto::Instant, PeerSaid)], is: impl Fn(&PeerEvent<'static>) -> bool) -> usize {
    said.iter().position(|(_, said)| is(&said.event)).expect("the run has one")
}

#[test]
fn data_before_the_session_is_authenticated_is_found() {
    let found = found(talks, |said| {
        let place = at(said, is_datagram);
        let early = said.remove(place);
        said.insert(0, early);
    });
    assert!(found.contains("not established"), "{found}");
}

#[test]
fn a_datagram_that_comes_twice_or_that_nobody_sent_is_found() {
    let twice = found(talks, |said| {
        let place = at(said, is_datagram);
        said.insert(place, said[place].clone());
    });
    assert!(twice.contains("for the second time"), "{twice}");
    let foreign = found(talks, |said| {
        let place = at(said, is_datagram);
        said[place].1.octets = b"from a stranger".to_vec();
    });
    assert!(foreign.contains("that nobody sent"), "{foreign}");
}

#[test]
fn octets_of_a_stream_that_are_lost_or_repeated_are_found() {
    let lost = found(pours, |said| {
        said.remove(at(said, is_stream));
    });
    assert!(lost.contains("are others"), "{lost}");
    let repeated = found(pours, |said| {
        let place = at(said, is_stream);
        said.insert(place, said[place].clone());
    });
    assert!(repeated.contains("are others"), "{repeated}");
}

#[test]
fn octets_that_were_acknowledged_and_never_delivered_are_found() {
    let found = found(pours, |said| said.retain(|(_, said)| !is_stream(&said.event)));
    assert!(found.contains("were acknowledged"), "{found}");
}

#[test]
fn a_question_that_is_never_answered_is_found() {
    let found = found(
        |run| run.side == 1 || run.runs && !run.asked.is_empty(),
        |said| {
            said.retain(|(_, said)| {
                !matches!(
                    said.event,
                    PeerEvent::Selected { .. } | PeerEvent::NotDirect { .. } | PeerEvent::Closed { .. }
                )
            });
        },
    );
    assert!(found.contains("neither a direct path nor a verdict"), "{found}");
}

#[test]
fn a_verdict_that_is_told_twice_is_found() {
    let verdict = |event: &PeerEvent<'static>| matches!(event, PeerEvent::NotDirect { .. });
    let found = found(
        |run| run.side == 1 || place(run, verdict).is_some(),
        |said| {
            let place = at(said, verdict);
            said.insert(place, said[place].clone());
        },
    );
    assert!(found.contains("for the second time"), "{found}");
}

#[test]
fn packets_beyond_the_budget_and_storms_are_found() {
    let (scene, mut trio, life) = played(talks);
    let from = trio.world.interfaces(trio.net.a)[0].address;
    let packet = Packet::udp(Endpoint::new(from, 1234), Endpoint::new(STRANGER, 9), &[0; 40]);
    for _ in 0..2_000 {
        trio.world.inject(trio.net.a, packet.clone());
    }
    trio.world.run_for(pinhole_proto::Duration::from_secs(1));
    let found = check::all(&scene, &trio, &life).join("; ");
    assert!(found.contains("octets to 203.0.113.7"), "{found}");
    while trio.world.trace().count() <= MOST_RECORDS {
        trio.world.inject(trio.net.a, packet.clone());
    }
    let found = check::all(&scene, &trio, &life).join("; ");
    assert!(found.contains("a storm"), "{found}");
}
