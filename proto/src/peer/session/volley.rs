//! Shots: sealed checks to ports that were told or guessed (`spec/prediction.md`, "Who sends what").

use alloc::vec::Vec;

use super::choose::Class;
use super::{Attempt, PathState, Session};
use crate::constants::{
    BIRTHDAY_CATCH_UP, BIRTHDAY_INTERVAL, BIRTHDAY_SOCKETS, BIRTHDAY_SPAN, MAX_WINDOW, VOLLEY_TIMES,
};
use crate::endpoint::{Address, Endpoint};
use crate::engine::{SocketId, Transport};
use crate::peer::core::{Core, Timer};
use crate::peer::path::Link;
use crate::time::{Duration, Instant};
use crate::wire::Nonce;
use crate::wire::code::Strategy;
use crate::wire::control::{Forecast, PathCheck};
use crate::wire::message::{Message, Request};

/// What both sides agreed on.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) number: u16,
    pub(super) strategy: Strategy,
    /// Whether this side proposed it.
    pub(super) proposer: bool,
    pub(super) delay: Duration,
    pub(super) width: u16,
    pub(super) own: Terms,
    pub(super) other: Terms,
    /// Throw-away sockets that are there already, in the order in which they are to be used.
    pub(super) sockets: Vec<SocketId>,
}

/// What one side told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) class: Class,
    pub(super) forecast: Forecast,
}

/// Shots, and when they leave.
#[derive(Clone, Debug)]
pub(in crate::peer) struct Volley {
    shots: Vec<Shot>,
    round: usize,
    /// When the rounds are counted from.
    from: Instant,
    /// The first round leaves before `from`, and dies on the way.
    early: Option<u8>,
    /// When the next shot of many was to leave.
    due: Instant,
    /// When the last one leaves at the latest.
    until: Instant,
    rest: Rest,
}

#[derive(Clone, Debug)]
struct Shot {
    socket: SocketId,
    remote: Endpoint,
    nonces: Vec<Nonce>,
}

/// Shots that are made one after the other.
#[derive(Clone, Copy, Debug)]
enum Rest {
    Nothing,
    /// Many sockets, one remote endpoint.
    Sockets {
        left: u16,
        remote: Endpoint,
    },
    /// One socket, many ports.
    Ports {
        left: u16,
        socket: SocketId,
        address: Address,
    },
}

/// From where to where one side sends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Aim {
    /// How many throw-away sockets; none: the port that faces the server.
    sockets: u16,
    targets: Vec<Endpoint>,
}

/// Who sends what, so that exactly one pair of endpoints meets where ports were stolen meanwhile.
// [R-PRED-004]
fn aim(initiator: bool, own: &Terms, other: &Terms, width: u16) -> Aim {
    let width = width.clamp(1, MAX_WINDOW);
    let port = |at: u16| {
        let port = other.forecast.endpoint.port().wrapping_add(other.forecast.step.wrapping_mul(at));
        other.forecast.endpoint.with_port(port)
    };
    let swept = if other.forecast.step == 0 { 1 } else { width };
    let sweep = || (0..swept).map(port).filter(|target| target.port() != 0).collect();
    let follow = |terms: &Terms| terms.class == Class::Port && terms.forecast.step != 0;
    match (own.class.is_dependent(), other.class.is_dependent()) {
        (false, _) => Aim { sockets: 0, targets: sweep() },
        (true, false) => Aim { sockets: 1, targets: alloc::vec![other.forecast.endpoint] },
        // Sweeping from both sides, each packet has a port of its own: were one stolen, none would meet.
        (true, true) if follow(own) && follow(other) && width > 1 && initiator => {
            Aim { sockets: width, targets: alloc::vec![port(width - 1)] }
        }
        // Only the first packet of a socket keeps its port.
        (true, true) if own.forecast.step == 0 => Aim { sockets: 1, targets: alloc::vec![other.forecast.endpoint] },
        (true, true) => Aim { sockets: 1, targets: sweep() },
    }
}

impl Session {
    /// Prepares the shots of an attempt, and orders the sockets that are missing.
    pub(super) fn load(&mut self, core: &mut Core, agreed: &Agreed) -> Option<Volley> {
        let Agreed { own, other, delay, .. } = agreed;
        let main = core.port_of(Transport::Udp, other.forecast.endpoint.family())?;
        let from = core.now + *delay;
        let until = core.now + BIRTHDAY_SPAN;
        let mut volley =
            Volley { shots: Vec::new(), round: 0, from, early: None, due: from, until, rest: Rest::Nothing };
        match agreed.strategy {
            Strategy::LOW_TTL => {
                // [R-PUNCH-031] The first packet opens this side's NAT and does not reach the other one.
                volley.early = u8::try_from(agreed.width).ok();
                volley.shot(*agreed.sockets.first()?, other.forecast.endpoint);
            }
            // [R-PRED-011]
            Strategy::BIRTHDAY if own.class.is_dependent() => {
                volley.rest = Rest::Sockets { left: BIRTHDAY_SOCKETS, remote: other.forecast.endpoint };
            }
            Strategy::BIRTHDAY => {
                let address = other.forecast.endpoint.address();
                volley.rest = Rest::Ports { left: agreed.width, socket: main, address };
            }
            _ => {
                let guesses = self.guesses(core, agreed, Transport::Udp, main);
                guesses.into_iter().for_each(|(socket, target)| volley.shot(socket, target));
            }
        }
        Some(volley)
    }

    /// From where to where this side sends or dials in a predicted attempt; `main` is the port that faces the server.
    pub(super) fn guesses(
        &mut self,
        core: &mut Core,
        agreed: &Agreed,
        transport: Transport,
        main: SocketId,
    ) -> Vec<(SocketId, Endpoint)> {
        let aim = aim(self.is_initiator(), &agreed.own, &agreed.other, agreed.width);
        let mut guesses = Vec::new();
        // [R-PRED-003]
        let mut ready = agreed.sockets.iter().copied();
        for _ in 0..aim.sockets.max(1) {
            let socket = match aim.sockets {
                0 => main,
                // A socket that sent to nobody keeps its port on the first packet only.
                _ => ready.next().unwrap_or_else(|| {
                    self.spent.sockets += 1;
                    core.open_for(self.handle, transport, agreed.other.forecast.endpoint.family())
                }),
            };
            guesses.extend(aim.targets.iter().map(|target| (socket, *target)));
        }
        guesses
    }

    /// The next round, or the next shot of many.
    pub(super) fn on_volley_due(&mut self, core: &mut Core) {
        let Attempt::Running { volley: Some(volley), .. } = &mut self.attempt else {
            return;
        };
        let (next, from, early) = (Timer::Punch(self.handle), volley.from, volley.early);
        match volley.rest {
            Rest::Nothing => {
                let round = volley.round;
                volley.round += 1;
                let lead = usize::from(early.is_some());
                let ttl = early.filter(|_| round == 0);
                for at in 0..volley.shots.len() {
                    self.shoot(core, at, ttl);
                }
                if let Some(millis) = VOLLEY_TIMES.get(round + 1 - lead) {
                    core.timers.set(next, (from + Duration::from_millis(*millis)).max(core.now));
                }
            }
            Rest::Sockets { left: 0, .. } | Rest::Ports { left: 0, .. } => {}
            // [R-PRED-015]
            Rest::Sockets { .. } | Rest::Ports { .. } if core.now > volley.until => {}
            Rest::Sockets { left, remote } => {
                volley.rest = Rest::Sockets { left: left - 1, remote };
                volley.round = 1;
                let socket = core.open_for(self.handle, Transport::Udp, remote.family());
                self.spent.sockets += 1;
                volley.shot(socket, remote);
                let due = volley.after(core.now, BIRTHDAY_INTERVAL * u32::from(PORTS_PER_SOCKET));
                core.timers.set(next, due);
            }
            Rest::Ports { left, socket, address } => {
                volley.rest = Rest::Ports { left: left - 1, socket, address };
                volley.round = 1;
                let visible = &mut core.visible;
                let scatter = self.scatter.get_or_insert_with(|| super::scatter::Scatter::new(visible));
                // [R-PRED-010]
                if let Some(port) = scatter.next() {
                    volley.shot(socket, Endpoint::new(address, port));
                    let at = volley.shots.len() - 1;
                    core.timers.set(next, volley.after(core.now, BIRTHDAY_INTERVAL));
                    self.shoot(core, at, None);
                }
            }
        }
    }

    /// A socket that was ordered for the attempt is open: what waits for it leaves.
    pub(super) fn shoot_from(&mut self, core: &mut Core, socket: SocketId) {
        let Attempt::Running { volley: Some(Volley { shots, round: 1.., .. }), .. } = &self.attempt else {
            return;
        };
        let waiting = |(_, shot): &(usize, &Shot)| shot.socket == socket && shot.nonces.is_empty();
        let waiting: Vec<usize> = shots.iter().enumerate().filter(waiting).map(|(at, _)| at).collect();
        for at in waiting {
            self.shoot(core, at, None);
        }
    }

    /// The nonces of shots from and to the ends of a link.
    pub(super) fn shot_at(&self, link: Link) -> &[Nonce] {
        let (Attempt::Running { volley: Some(volley), .. }, Link::Udp { socket, remote }) = (&self.attempt, link)
        else {
            return &[];
        };
        let shot = volley.shots.iter().find(|shot| shot.socket == socket && shot.remote == remote);
        shot.map_or(&[], |shot| &shot.nonces)
    }

    /// Sends one shot, within the budget of its address.
    fn shoot(&mut self, core: &mut Core, at: usize, ttl: Option<u8>) {
        let (Attempt::Running { volley: Some(volley), .. }, Some(association)) =
            (&mut self.attempt, &mut self.association)
        else {
            return;
        };
        let Some(shot) = volley.shots.get_mut(at) else {
            return;
        };
        let link = Link::Udp { socket: shot.socket, remote: shot.remote };
        let known = self.paths.iter().any(|path| path.link == link && path.state() != PathState::Untried);
        if known || core.port(shot.socket).is_none_or(|port| port.local.is_none()) {
            return;
        }
        // [R-PRED-006]
        if !core.budget.take_shot(core.now, shot.remote.address()) {
            return core.note(crate::discard::Discard::OverLimit);
        }
        // [R-PUNCH-018]
        let nonce = core.visible.octets();
        shot.nonces.push(nonce);
        let check = Request::PathCheck(PathCheck { nonce, observed: shot.remote });
        let packet = association.seal(None, &[Message::Request(self.requests.reserve(), check)]);
        core.outbox.transmit_with(shot.socket, None, shot.remote, ttl, &packet);
        self.spent.shots += 1;
    }

    /// The same, unless an attempt is under way and needs them.
    pub(super) fn drop_idle_sockets(&self, core: &mut Core) {
        if matches!(self.attempt, Attempt::Idle { .. } | Attempt::Pausing { .. }) {
            self.drop_sockets(core);
        }
    }

    /// Shuts the throw-away sockets that no path uses.
    // [R-PRED-007]
    pub(super) fn drop_sockets(&self, core: &mut Core) {
        let used = |socket: SocketId| {
            let on = |link: Link| matches!(link, Link::Udp { socket: of, .. } if of == socket);
            self.paths.iter().any(|path| path.state() != PathState::Untried && on(path.link))
        };
        core.shut_owned(self.handle, |socket| !used(socket));
    }
}

impl Volley {
    fn shot(&mut self, socket: SocketId, remote: Endpoint) {
        self.shots.push(Shot { socket, remote, nonces: Vec::new() });
    }

    /// When the next shot of many is due, `interval` after this one was, whenever that left.
    // [R-PRED-011]
    fn after(&mut self, now: Instant, interval: Duration) -> Instant {
        let late = now.saturating_since(self.due + interval);
        self.due = self.due + interval + late.saturating_sub(BIRTHDAY_CATCH_UP);
        self.due.max(now)
    }
}

/// What a session spent on guesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::peer) struct Spent {
    /// Throw-away sockets, those of samples included.
    pub(in crate::peer) sockets: u32,
    /// Packets.
    pub(in crate::peer) shots: u32,
}

/// How many ports are tried in the time of one socket, so that both sides end together.
const PORTS_PER_SOCKET: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::code::Allocation;
    use alloc::collections::BTreeMap;

    const A: &str = "155.99.25.11";
    const B: &str = "138.76.29.7";

    fn terms(class: Class, address: &str, port: u16, step: u16) -> Terms {
        let endpoint = Endpoint::new(address.parse().unwrap(), port);
        let allocation = if class.is_dependent() { Allocation::SEQUENTIAL } else { Allocation::UNKNOWN };
        Terms { class, forecast: Forecast { allocation, endpoint, step } }
    }

    /// What leaves a NAT: for each packet of an aim the external port that a sequential NAT gives it.
    fn external(aim: &Aim, own: &Terms, stolen: u16) -> Vec<(u16, u16)> {
        let mut mapped: BTreeMap<(u16, u16), u16> = BTreeMap::new();
        let mut next = own.forecast.endpoint.port().wrapping_add(stolen.wrapping_mul(own.forecast.step));
        let mut packets = Vec::new();
        for socket in 0..aim.sockets.max(1) {
            for target in &aim.targets {
                let port = match own.class {
                    Class::Port | Class::Address => {
                        let key = (socket, if own.class == Class::Port { target.port() } else { 0 });
                        *mapped.entry(key).or_insert_with(|| {
                            let port = next;
                            next = next.wrapping_add(own.forecast.step);
                            port
                        })
                    }
                    Class::Stable | Class::Unknown => own.forecast.endpoint.port(),
                };
                packets.push((port, target.port()));
            }
        }
        packets
    }

    fn meets(a: &Terms, b: &Terms, width: u16, stolen: (u16, u16)) -> bool {
        let of_a = external(&aim(true, a, b, width), a, stolen.0);
        let of_b = external(&aim(false, b, a, width), b, stolen.1);
        of_a.iter().any(|(from, to)| of_b.contains(&(*to, *from)))
    }

    // [R-PRED-004]
    #[test]
    fn exactly_as_many_ports_may_be_stolen_as_the_window_says() {
        let classes = [Class::Stable, Class::Address, Class::Port];
        for width in [1, 8, 64] {
            for a in classes {
                for b in classes {
                    for stolen in [
                        (0, 0),
                        (1, 0),
                        (0, 1),
                        (3, 4),
                        (4, 4),
                        (7, 0),
                        (8, 0),
                        (0, 8),
                        (31, 32),
                        (32, 32),
                        (63, 0),
                        (0, 64),
                    ] {
                        let (of_a, of_b) = (terms(a, A, 62_001, 1), terms(b, B, 31_001, 2));
                        let expected = match (a, b) {
                            (Class::Stable, Class::Stable) => true,
                            (Class::Stable, _) => stolen.1 < width,
                            (_, Class::Stable) => stolen.0 < width,
                            (Class::Address, Class::Address) => stolen.0 < width && stolen.1 < width,
                            _ => stolen.0 + stolen.1 < width,
                        };
                        assert_eq!(meets(&of_a, &of_b, width, stolen), expected, "{a:?} {b:?} {width} {stolen:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn descending_ports_are_swept_downwards() {
        let (a, b) = (terms(Class::Port, A, 62_001, 0xffff), terms(Class::Port, B, 3, 0xffff));
        assert!(meets(&a, &b, 8, (0, 2)) && meets(&a, &b, 8, (5, 0)));
    }

    // [R-PRED-004]
    #[test]
    fn a_preserved_port_is_sent_from_once() {
        let kept = Terms {
            class: Class::Port,
            forecast: Forecast {
                allocation: Allocation::PRESERVING,
                endpoint: Endpoint::new(A.parse().unwrap(), 5_000),
                step: 0,
            },
        };
        for width in [1, 64] {
            let other = terms(Class::Port, B, 31_001, 1);
            assert_eq!(
                aim(true, &kept, &other, width),
                Aim { sockets: 1, targets: alloc::vec![other.forecast.endpoint] }
            );
            assert_eq!(
                aim(true, &other, &kept, width),
                Aim { sockets: 1, targets: alloc::vec![kept.forecast.endpoint] }
            );
        }
    }
}
