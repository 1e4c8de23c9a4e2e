//! Two engines, and a carrier between them that loses, repeats and reorders.

use super::*;
use crate::constants::{MAX_FORWARDS, PENDING_LIFETIME};
use crate::server::UnregisterReason;
use crate::wire::code::Refusal;
use crate::wire::control::{Answer, Introduce, Refuse};

const A: &str = "198.51.100.7:7000";
const B: &str = "192.0.2.9:900";
pub(super) const SESSION: SessionId = [5; 8];

/// What the carrier does to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Lost,
    Twice,
    /// Behind everything that is on its way with it.
    Last,
}

/// The engines of shards 0 and 1.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) worlds: [World; 2],
    /// Which message of all gets which fault.
    faults: Vec<(usize, Fault)>,
    pub(super) carried: usize,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let world = |shard| World::configured(ServerConfig { shard, shards: 2, ..config(Limits::default()) });
        Self { worlds: [world(0), world(1)], faults: vec![], carried: 0 }
    }

    pub(super) fn with(faults: Vec<(usize, Fault)>) -> Self {
        Self { faults, ..Self::new() }
    }

    /// Carries until nothing is on its way.
    pub(super) fn carry(&mut self) {
        self.carry_and(&mut vec![]);
    }

    /// The same, and keeps a copy of each message.
    pub(super) fn carry_and(&mut self, seen: &mut Vec<Vec<u8>>) {
        loop {
            let mut queue = vec![];
            let mut last = vec![];
            for shard in 0..2 {
                for (to, payload) in core::mem::take(&mut self.worlds[shard].forwards) {
                    let fault = self.faults.iter().find(|(number, _)| *number == self.carried);
                    self.carried += 1;
                    seen.push(payload.clone());
                    match fault.map_or(Fault::None, |(_, fault)| *fault) {
                        Fault::None => queue.push((shard, to, payload)),
                        Fault::Lost => {}
                        Fault::Twice => queue.extend([(shard, to, payload.clone()), (shard, to, payload)]),
                        Fault::Last => last.push((shard, to, payload)),
                    }
                }
            }
            queue.extend(last);
            if queue.is_empty() {
                return;
            }
            for (shard, to, payload) in queue {
                let place = match to {
                    Recipient::Shard(shard) => Some(usize::from(shard)),
                    Recipient::Peer(peer) => (0..2).find(|&at| self.worlds[at].has(peer)),
                };
                match place {
                    Some(place) => self.worlds[place].command(ServerCommand::Forwarded { payload: &payload }),
                    None => self.worlds[shard].command(ServerCommand::Undeliverable { payload: &payload }),
                }
            }
        }
    }

    /// Lets time pass for both, stopping at every deadline.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.worlds[0].now + span;
        loop {
            self.carry();
            let next = self.worlds.iter().filter_map(|world| world.deadline).min().filter(|&at| at <= end);
            let at = next.unwrap_or(end);
            for world in &mut self.worlds {
                world.now = at;
                world.input(Input::Timeout).unwrap();
                assert!(world.deadline.is_none_or(|next| next > at));
            }
            if next.is_none() {
                return self.carry();
            }
        }
    }

    /// A, registered with the first engine, and B, with the second.
    pub(super) fn peers(&mut self) -> (Client, Client) {
        let [first, second] = &mut self.worlds;
        (Client::registered(first, 1, A), Client::registered(second, 2, B))
    }

    /// B accepts what it is asked, the server's repeats included; how many sessions it was asked for.
    fn accept(&mut self, b: &mut Client) -> usize {
        let mut asked = vec![];
        for heard in b.hear(&mut self.worlds[1]) {
            let Heard::Request(id, Request::Introduce(_)) = heard else {
                panic!("{heard:?}");
            };
            if !asked.contains(&id) {
                asked.push(id);
                let message_2 = List::from_first([8; 48]);
                b.answer(&mut self.worlds[1], id, Reply::Answer(Answer { message_2 })).unwrap();
            }
        }
        asked.len()
    }
}

impl World {
    fn has(&self, peer: PeerId) -> bool {
        self.server.snapshot().registrations.iter().any(|registration| registration.peer == peer)
    }

    fn asked(&self) -> usize {
        self.server.snapshot().asked
    }
}

fn only_introduce(heard: Vec<Heard>) -> Introduce {
    match only(heard) {
        Heard::Request(_, Request::Introduce(introduce)) => introduce,
        other => panic!("{other:?}"),
    }
}

// [R-INTRO-020] [R-INTRO-001]
#[test]
fn peers_of_two_engines_are_introduced_as_those_of_one_are() {
    let mut cluster = Cluster::new();
    let (mut a, mut b) = cluster.peers();
    // With one engine.
    let mut one = World::new();
    let mut a1 = Client::registered(&mut one, 1, A);
    let mut b1 = Client::registered(&mut one, 2, B);
    let expected = a1.introduced(&mut one, b.id, SESSION);
    let expected_b = only_introduce(b1.hear(&mut one));

    a.connect(&mut cluster.worlds[0], b.id, SESSION);
    assert!(a.hear(&mut cluster.worlds[0]).is_empty());
    cluster.carry();
    let Heard::Answer(_, Reply::Introduced(introduced)) = only(a.hear(&mut cluster.worlds[0])) else {
        panic!();
    };
    let introduce = only_introduce(b.hear(&mut cluster.worlds[1]));
    assert!(introduced.channel.is_some() && introduce.channel.is_some());
    assert_eq!(Introduced { channel: expected.channel, ..introduced }, expected);
    assert_eq!(Introduce { channel: expected_b.channel, ..introduce }, expected_b);
    let told = ServerEvent::Introduced { initiator: a.id, responder: b.id, transport: crate::engine::Transport::Udp };
    assert!(cluster.worlds[1].events.contains(&told));
    assert_eq!(cluster.worlds[0].asked(), 0);
}

// [R-INTRO-005] [R-INTRO-008] [R-INTRO-015] [R-INTRO-018] [R-INTRO-020]
#[test]
fn an_engine_refuses_on_behalf_of_its_peer() {
    let refusal = |cluster: &mut Cluster, a: &mut Client, target| {
        a.connect(&mut cluster.worlds[0], target, SESSION);
        cluster.carry();
        match only(a.hear(&mut cluster.worlds[0])) {
            Heard::Answer(_, Reply::Refuse(Refuse { code })) => code,
            other => panic!("{other:?}"),
        }
    };
    let mut cluster = Cluster::new();
    let (mut a, mut b) = cluster.peers();
    let nobody = public_key(&Dalek, &[9; 32]);
    // Nobody has it: no time passes until that is known.
    assert_eq!(refusal(&mut cluster, &mut a, nobody), Refusal::NOT_REGISTERED);
    let own = a.id;
    assert_eq!(refusal(&mut cluster, &mut a, own), Refusal::REFUSED);
    b.refresh.policy = Policy::CLOSED;
    b.ask(&mut cluster.worlds[1], Request::Refresh(b.refresh.clone())).unwrap();
    assert_eq!(refusal(&mut cluster, &mut a, b.id), Refusal::REFUSED);

    // The pair's rate is kept where the responder is: an initiator gains nothing by a second engine.
    let mut cluster = Cluster::new();
    let (mut a, b) = cluster.peers();
    let mut limited = 0;
    for _ in 0..8 {
        a.connect(&mut cluster.worlds[0], b.id, SESSION);
        cluster.carry();
        limited += a
            .hear(&mut cluster.worlds[0])
            .iter()
            .filter(|heard| matches!(heard, Heard::Answer(_, Reply::Refuse(Refuse { code: Refusal::LIMITED }))))
            .count();
    }
    assert!(limited >= 3, "{limited}");
}

// [R-INTRO-020] [R-INTRO-015]
#[test]
fn the_responders_no_reaches_the_initiator_at_another_engine() {
    for answers in [true, false] {
        let mut cluster = Cluster::new();
        let (mut a, mut b) = cluster.peers();
        a.connect(&mut cluster.worlds[0], b.id, SESSION);
        cluster.carry();
        a.hear(&mut cluster.worlds[0]);
        let Heard::Request(id, _) = only(b.hear(&mut cluster.worlds[1])) else {
            panic!();
        };
        let code = if answers {
            let refuse = Reply::Refuse(Refuse { code: Refusal::REFUSED });
            b.answer(&mut cluster.worlds[1], id, refuse).unwrap();
            cluster.carry();
            Refusal::REFUSED
        } else {
            cluster.pass(Duration::from_secs(30));
            Refusal::NOT_REGISTERED
        };
        let heard = a.hear(&mut cluster.worlds[0]);
        let Some(Heard::Request(_, Request::Rejected(rejected))) = heard.first() else {
            panic!("{heard:?}");
        };
        assert_eq!((rejected.session, rejected.code), (SESSION, code));
        assert_eq!(cluster.worlds[1].asked(), 0);
    }
}

// [R-INTRO-020]
#[test]
fn whatever_message_is_lost_repeated_or_late_a_session_comes_about_once() {
    let mut faults = 0;
    for fault in [Fault::None, Fault::Lost, Fault::Twice, Fault::Last] {
        for first in 0..4 {
            for second in first + 1..6 {
                let mut cluster = Cluster::with(vec![(first, fault), (second, fault)]);
                let (mut a, mut b) = cluster.peers();
                a.connect(&mut cluster.worlds[0], b.id, SESSION);
                let (mut sessions, mut introduced, mut answered) = (0, 0, vec![]);
                for _ in 0..60 {
                    cluster.pass(Duration::from_millis(50));
                    sessions += cluster.accept(&mut b);
                    for heard in a.hear(&mut cluster.worlds[0]) {
                        match heard {
                            Heard::Answer(_, Reply::Introduced(_)) => introduced += 1,
                            Heard::Request(id, Request::Answered(_)) => {
                                if !answered.contains(&id) {
                                    answered.push(id);
                                }
                                a.answer(&mut cluster.worlds[0], id, Reply::Acknowledge(Acknowledge {})).unwrap();
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                }
                assert_eq!((sessions, introduced), (1, 1), "{fault:?} {first} {second}");
                // An answer that comes twice is told once: the second has no question.
                assert_eq!(answered.len(), 1, "{fault:?} {first} {second}");
                assert_eq!(cluster.worlds.each_ref().map(World::asked), [0, 0]);
                assert!(cluster.carried >= 4, "{}", cluster.carried);
                faults += 1;
            }
        }
    }
    assert_eq!(faults, 4 * 14);
}

#[test]
fn an_engine_that_never_answers_is_given_up() {
    let mut cluster = Cluster::with((0..20).map(|number| (number, Fault::Lost)).collect());
    let (mut a, b) = cluster.peers();
    a.connect(&mut cluster.worlds[0], b.id, SESSION);
    cluster.pass(Duration::from_secs(12));
    assert!(a.hear(&mut cluster.worlds[0]).is_empty());
    cluster.pass(Duration::from_secs(1));
    let heard = only(a.hear(&mut cluster.worlds[0]));
    assert_eq!(heard, Heard::Answer(1 + 1, Reply::Refuse(Refuse { code: Refusal::NOT_REGISTERED })));
    assert_eq!((cluster.carried, cluster.worlds[0].asked()), (7, 0));
}

// [R-LIM-002]
#[test]
fn questions_and_answers_stay_within_their_bounds() {
    let mut cluster = Cluster::new();
    let (mut a, b) = cluster.peers();
    let nobody = public_key(&Dalek, &[9; 32]);
    let mut limited = 0;
    for _ in 0..MAX_FORWARDS + 3 {
        a.connect(&mut cluster.worlds[0], nobody, SESSION);
        limited += a.hear(&mut cluster.worlds[0]).len();
    }
    assert_eq!((cluster.worlds[0].asked(), limited), (MAX_FORWARDS, 3));
    cluster.carry();
    assert_eq!(cluster.worlds[0].asked(), 0);

    for _ in 0..MAX_FORWARDS + 3 {
        a.connect(&mut cluster.worlds[0], b.id, SESSION);
        cluster.carry();
    }
    assert_eq!(cluster.worlds[1].server.snapshot().told, MAX_FORWARDS);
}

// [R-REG-010]
#[test]
fn the_newer_registration_wins_across_engines() {
    let mut cluster = Cluster::new();
    let (mut a, _) = cluster.peers();
    let again = Client::registered(&mut cluster.worlds[1], 1, "203.0.113.40:1");
    let Some(&ServerEvent::Registered { peer, transport, public, .. }) = cluster.worlds[1].events.last() else {
        panic!();
    };
    assert_eq!(peer, again.id);
    let replace = ServerCommand::Replace { peer, transport, public };
    cluster.worlds[0].command(replace);
    assert!(matches!(only(a.hear(&mut cluster.worlds[0])), Heard::Request(_, Request::Replaced(_))));
    let reason = UnregisterReason::Replaced;
    assert_eq!(cluster.worlds[0].events.last(), Some(&ServerEvent::Unregistered { peer, reason }));
    assert!(!cluster.worlds[0].has(peer) && cluster.worlds[1].has(peer));
    let before = cluster.worlds[0].state();
    cluster.worlds[0].command(replace);
    assert_eq!(cluster.worlds[0].state(), before);

    // Seen at the same endpoint it is the same peer, which need not be told.
    let mut here = Client::registered(&mut cluster.worlds[0], 3, A);
    let public = endpoint(A);
    cluster.worlds[0].command(ServerCommand::Replace { peer: here.id, transport, public });
    assert!(here.hear(&mut cluster.worlds[0]).is_empty() && !cluster.worlds[0].has(here.id));
}

// [R-REG-012] [R-REG-030]
#[test]
fn a_stream_that_names_another_engine_is_handed_over_with_what_came_on_it() {
    let mut cluster = Cluster::new();
    let (_, b) = cluster.peers();
    let mut tcp = Client { via: Via::Tcp(1), ..b };
    tcp.lane = Some(tcp.association.as_mut().unwrap().lane());
    cluster.worlds[0].accept(1, endpoint(B)).unwrap();
    let ask = tcp.request(Request::Refresh(tcp.refresh.clone()));
    let packet = tcp.seal(&[ask]);
    let behind = discover(0);
    let octets = [&frame_header(&packet)[..], &packet, &frame_header(&behind), &behind].concat();
    let (head, tail) = octets.split_at(40);
    cluster.worlds[0].stream(1, StreamInput::Received(head)).unwrap();
    cluster.worlds[0].stream(1, StreamInput::Received(tail)).unwrap();
    // The first engine stops reading, forgets it and closes nothing.
    assert_eq!(cluster.worlds[0].sent, [Sent::Read(StreamId(1), false)]);
    assert!(cluster.worlds[0].server.snapshot().streams.is_empty());
    let (shard, stream, socket, handed) = only(core::mem::take(&mut cluster.worlds[0].misplaced));
    assert_eq!((shard, stream, socket, &handed), (1, StreamId(1), MAIN_TCP, &octets));

    tcp.via = Via::Tcp(9);
    cluster.worlds[1].accept(9, endpoint(B)).unwrap();
    cluster.worlds[1].stream(9, StreamInput::Received(&handed)).unwrap();
    let frames = tcp.received(&mut cluster.worlds[1]);
    let heard = tcp.open(&frames[0]);
    let [Heard::Request(id, Request::PathCheck(check))] = heard[..] else {
        panic!("{heard:?}");
    };
    assert_eq!(discovered(&frames[1]).observed, endpoint(B));
    let proof = tcp.path_reply(id, check);
    let packet = tcp.seal(&[proof]);
    tcp.send(&mut cluster.worlds[1], &packet).unwrap();
    let registrations = cluster.worlds[1].server.snapshot().registrations;
    assert_eq!(registrations[0].bindings.len(), 2);
    // A stream of a shard that there is not is answered like any index that nobody issued.
    cluster.worlds[0].accept(5, endpoint(B)).unwrap();
    let mut packet = tcp.seal(&[]);
    packet[4] = 2;
    cluster.worlds[0].frame(5, &packet).unwrap();
    assert!(matches!(Packet::decode(&only(cluster.worlds[0].on(5))), Ok(Packet::Reset(_))));
}

#[test]
fn a_stream_that_was_bound_here_leaves_its_registration_when_it_is_handed_over() {
    let mut cluster = Cluster::new();
    let (_, mut b) = cluster.peers();
    let c = Client::registered_tcp(&mut cluster.worlds[0], 3, 1, A);
    cluster.worlds[0].sent.clear();
    let packet = b.seal(&[]);
    c.send(&mut cluster.worlds[0], &packet).unwrap();
    assert_eq!(cluster.worlds[0].misplaced.len(), 1);
    let reason = UnregisterReason::StreamClosed;
    assert_eq!(cluster.worlds[0].events.last(), Some(&ServerEvent::Unregistered { peer: c.id, reason }));
    cluster.pass(PENDING_LIFETIME);
    assert_eq!(cluster.worlds[0].sent, [Sent::Read(StreamId(1), false)]);
}

#[test]
fn garbage_from_a_carrier_is_counted_and_changes_nothing() {
    let mut cluster = Cluster::new();
    let (mut a, b) = cluster.peers();
    a.connect(&mut cluster.worlds[0], b.id, SESSION);
    let (_, good) = cluster.worlds[0].forwards[0].clone();
    let before = cluster.worlds[1].state();
    let mut long = good.clone();
    long.push(0);
    for payload in [&b""[..], &[9; 40], &good[..good.len() - 1], &long] {
        cluster.worlds[1].command(ServerCommand::Forwarded { payload });
        cluster.worlds[1].command(ServerCommand::Undeliverable { payload });
    }
    assert_eq!(cluster.worlds[1].state(), before);
    assert_eq!(cluster.worlds[1].discarded(Discard::BodyMalformed), 8);
}

#[test]
fn a_share_of_one_is_the_whole_and_shares_of_many_are_enough_for_all() {
    let whole = Limits::default();
    assert_eq!(whole.share(1), whole);
    let share = whole.share(4);
    assert_eq!((share.registrations, share.pending, share.streams), (15_000, 1_024, 4_096));
    assert_eq!((share.registrations_per_source, share.registers_per_second, share.streams_per_source), (28, 8, 48));
    assert_eq!(Limits { registrations_per_source: 1, ..whole }.share(64).registrations_per_source, 1);
    // Sixty-four ports of one source at four engines, dealt out at random: nobody is refused.
    let mut dice = crate::rng::Rng::pair([1; 32]).0;
    for _ in 0..1_000 {
        let mut engines = [0; 4];
        for _ in 0..whole.registrations_per_source {
            engines[dice.below(4) as usize] += 1;
        }
        assert!(engines.iter().all(|&count| count <= share.registrations_per_source), "{engines:?}");
    }
}
