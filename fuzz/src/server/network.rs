//! What passes between clients, engines and the carrier, and what holds of it.

use pinhole_proto::server::{Recipient, ServerCommand};
use pinhole_proto::wire::{Nonce, Packet, frame_header};
use pinhole_proto::{Discard, Endpoint, Input, SocketId, StreamId, StreamInput, Transport};

use super::carrier::Flight;
use super::{CLIENTS, STRANGERS, Via, World, endpoint};
use crate::checked::{Order, ServerTold, span};
use crate::compose;

impl World {
    // --- what clients send ---

    /// Seals and sends: `how` selects where from and on which path number.
    pub(super) fn seal(&mut self, who: usize, how: u8, plaintext: &[u8]) {
        let via = if how & 0x1f == 0 { self.own(who) } else { self.via(how) };
        let client = &mut self.clients[who];
        let lane = match how >> 5 {
            0 if matches!(via, Via::Stream(_)) => client.lane,
            other => u16::from(other),
        };
        if let Some(packet) = client.seal(lane, plaintext) {
            self.send(via, &packet, compose::nonces(plaintext));
        }
    }

    pub(super) fn own(&self, who: usize) -> Via {
        let client = &self.clients[who];
        match client.stream {
            Some(stream) if client.over_tcp => Via::Stream(stream),
            _ => Via::Datagram(client.engine, client.home),
        }
    }

    /// Any client's home or stream, or a stranger.
    pub(super) fn via(&self, at: u8) -> Via {
        let who = usize::from(at) % CLIENTS;
        let client = &self.clients[who];
        match (at / 5) % 4 {
            0 | 1 => self.own(who),
            2 => Via::Datagram(client.engine, client.home),
            _ => Via::Datagram(client.engine, endpoint(STRANGERS[who % STRANGERS.len()])),
        }
    }

    pub(super) fn send(&mut self, via: Via, packet: &[u8], nonces: Vec<Nonce>) {
        self.past.push((packet.to_vec(), nonces));
        match via {
            Via::Datagram(engine, remote) => {
                let (socket, local) =
                    if remote.address().is_ipv4() { (0, "18.181.0.31:1") } else { (4, "[2001:db8::31]:1") };
                self.datagram(engine, (SocketId(socket), endpoint(local)), remote, packet);
            }
            Via::Stream(stream) => {
                if !packet.is_empty() {
                    let octets = [&frame_header(packet), packet].concat();
                    self.on_stream(stream, StreamInput::Received(&octets));
                }
            }
        }
    }

    fn datagram(&mut self, engine: usize, (socket, local): (SocketId, Endpoint), remote: Endpoint, packet: &[u8]) {
        let sent = self.past.iter().rev().find(|(before, _)| before == packet);
        let account = self.accounts.entry((engine, remote)).or_default();
        account.received += packet.len();
        account.proved |= sent.is_some_and(|(_, nonces)| nonces.iter().any(|nonce| account.nonces.contains(nonce)));
        let _ = self.input(engine, Input::Datagram { socket, local: local.address(), remote, payload: packet });
    }

    /// A client dials its engine.
    pub(super) fn accept(&mut self, who: usize) {
        let remote = self.clients[who].home.with_port(20_002 + self.next_stream as u16);
        if let Some(stream) = self.accepted(self.clients[who].engine, SocketId(1), remote) {
            self.clients[who].stream = Some(stream);
            self.clients[who].lane += 1;
        }
    }

    fn accepted(&mut self, engine: usize, socket: SocketId, remote: Endpoint) -> Option<StreamId> {
        let stream = StreamId(self.next_stream);
        self.next_stream += 2;
        let what = StreamInput::Accepted { socket, local: endpoint("18.181.0.31:4653"), remote };
        self.open.insert(stream, remote);
        let taken = self.input(engine, Input::Stream { stream, what }).is_ok();
        assert!(taken || !self.servers[engine].streams.contains_key(&stream), "a stream that is refused is closed");
        taken.then_some(stream)
    }

    /// Something happens to a stream, if an engine has it.
    pub(super) fn on_stream(&mut self, stream: StreamId, what: StreamInput<'_>) {
        if let Some(engine) = self.engine_of(stream) {
            let _ = self.input(engine, Input::Stream { stream, what });
        }
    }

    pub(super) fn engine_of(&self, stream: StreamId) -> Option<usize> {
        self.servers.iter().position(|server| server.streams.contains_key(&stream))
    }

    /// Lets time pass, stopping at every deadline unless `skip` is odd. What is on its way between engines arrives.
    pub(super) fn pass(&mut self, skip: u8, length: u8) {
        let end = self.servers[0].now + span(length);
        let mut stops = 0;
        loop {
            self.carry_all();
            let due = self.servers.iter().filter_map(|server| server.due(end)).min();
            let due = due.filter(|_| skip & 1 == 0 && stops < 200);
            stops += 1;
            for engine in 0..self.servers.len() {
                self.servers[engine].now = due.unwrap_or(end);
                assert_eq!(self.input(engine, Input::Timeout), Ok(()));
            }
            if due.is_none() {
                return;
            }
        }
    }

    // --- between the engines ---

    fn carry_all(&mut self) {
        for _ in 0..MAX_FLIGHTS {
            if self.flights.is_empty() {
                return;
            }
            self.carry(0, false);
        }
    }

    /// What is at this place arrives; a forward also stays on its way if it is to come again.
    pub(super) fn carry(&mut self, place: usize, again: bool) {
        if self.flights.is_empty() {
            return;
        }
        let flight = self.flights.remove(place % self.flights.len());
        match flight {
            Flight::Forward { from, to, ref payload } => {
                let place = match to {
                    Recipient::Shard(shard) => Some(usize::from(shard)).filter(|shard| *shard < self.servers.len()),
                    Recipient::Peer(peer) => self.directory.place(peer).filter(|engine| *engine != from),
                };
                if again && self.flights.len() < MAX_FLIGHTS {
                    self.flights.push(flight.clone());
                }
                match place {
                    Some(engine) => self.command(engine, ServerCommand::Forwarded { payload }),
                    None => self.command(from, ServerCommand::Undeliverable { payload }),
                }
            }
            Flight::Replace { to, peer, transport, public } => {
                self.command(to, ServerCommand::Replace { peer, transport, public });
            }
            Flight::Datagram { to, socket, local, remote, payload } => {
                let local = local.unwrap_or_else(|| endpoint("18.181.0.31:1").address());
                self.datagram(to, (socket, Endpoint::new(local, 1)), remote, &payload);
            }
            Flight::Stream { to, socket, remote, client, octets } => {
                let stream = self.accepted(to, socket, remote);
                if let Some(client) = client {
                    self.clients[client].stream = stream;
                }
                if let Some(stream) = stream.filter(|_| !octets.is_empty()) {
                    self.on_stream(stream, StreamInput::Received(&octets));
                }
            }
        }
    }

    /// A forward at this place is lost, or comes back as one for nobody. A carrier keeps everything else.
    pub(super) fn lose(&mut self, place: usize, back: bool) {
        let place = place % self.flights.len().max(1);
        let Some(Flight::Forward { from, payload, .. }) = self.flights.get(place).cloned() else { return };
        self.flights.remove(place);
        if back {
            self.command(from, ServerCommand::Undeliverable { payload: &payload });
        }
    }

    // --- what the engines do ---

    pub(super) fn input(&mut self, engine: usize, input: Input<'_>) -> Result<(), Discard> {
        let (result, orders) = self.servers[engine].input(input);
        self.heed(engine, orders);
        result
    }

    pub(super) fn command(&mut self, engine: usize, command: ServerCommand<'_>) {
        let (result, orders) = self.servers[engine].command(command);
        assert_eq!(result, Ok(()), "{command:?}");
        self.heed(engine, orders);
    }

    fn heed(&mut self, engine: usize, orders: Vec<Order<ServerTold>>) {
        for order in orders {
            match order {
                Order::Transmit(_, remote, payload) => {
                    let account = self.accounts.entry((engine, remote)).or_default();
                    account.sent += payload.len();
                    assert!(
                        account.proved || account.sent <= account.received,
                        "{} octets to {remote}, which sent {} and proved nothing",
                        account.sent,
                        account.received
                    );
                    self.hear(Some((engine, remote)), &payload);
                }
                Order::Dial(_, _, remote) => {
                    let asks = self.open.values().any(|known| *known == remote);
                    assert!(asks, "dials {remote}, which has no stream here");
                }
                Order::Event(told) => self.told(engine, told),
                _ => {}
            }
        }
        for (_, frame) in std::mem::take(&mut self.servers[engine].frames) {
            self.hear(None, &frame);
        }
        self.open.retain(|stream, _| self.servers.iter().any(|server| server.streams.contains_key(stream)));
        for client in &mut self.clients {
            client.stream = client.stream.filter(|stream| self.open.contains_key(stream));
        }
    }

    fn told(&mut self, engine: usize, told: ServerTold) {
        let flight = match told {
            ServerTold::Registered(peer, transport, public, since) => {
                let proved = self.accounts.get(&(engine, public)).is_some_and(|account| account.proved);
                assert!(transport == Transport::Tcp || proved, "{public} returned its nonce");
                self.directory.registered(engine, peer, (transport, public), since)
            }
            ServerTold::Unregistered(peer) => {
                self.directory.unregistered(engine, peer);
                None
            }
            ServerTold::Forward(to, payload) => {
                self.forwards.push(payload.clone());
                Some(Flight::Forward { from: engine, to, payload })
            }
            ServerTold::Misdirected(shard, socket, local, remote, payload) => {
                Some(Flight::Datagram { to: self.other(engine, shard), socket, local, remote, payload })
            }
            ServerTold::Misplaced(shard, socket, stream, octets) => {
                let remote = self.open.get(&stream).copied().expect("it was open");
                let client = self.clients.iter().position(|client| client.stream == Some(stream));
                Some(Flight::Stream { to: self.other(engine, shard), socket, remote, client, octets })
            }
            ServerTold::Other(_) => None,
        };
        // Replacements and what was said to arrive are kept in any case.
        let full = self.flights.len() >= MAX_FLIGHTS && matches!(flight, Some(Flight::Forward { .. }));
        self.flights.extend(flight.filter(|_| !full));
    }

    fn other(&self, engine: usize, shard: u8) -> usize {
        let other = usize::from(shard);
        assert!(other != engine && other < self.servers.len(), "engine {engine} has something for {shard}");
        other
    }

    /// What the server says is understood by the client that it is for.
    fn hear(&mut self, at: Option<(usize, Endpoint)>, packet: &[u8]) {
        match Packet::decode(packet) {
            Ok(Packet::Discovered(discovered)) => {
                let remote = at.map(|(_, remote)| remote);
                let client = self.clients.iter_mut().find(|client| remote.is_none_or(|remote| remote == client.home));
                if let Some(client) = client {
                    client.cookie = discovered.cookie;
                }
            }
            Ok(Packet::Registered(registered)) => {
                if let Some(who) = self.clients.iter().position(|client| client.awaits(&registered))
                    && self.clients[who].registered(&registered).is_some()
                {
                    self.open(who, at, registered.sealed);
                }
            }
            Ok(Packet::Sealed(sealed)) => {
                let [_, _, _, secret] = sealed.index.0;
                if (1..=CLIENTS as u8).contains(&secret) {
                    self.open(usize::from(secret) - 1, at, packet);
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, who: usize, at: Option<(usize, Endpoint)>, packet: &[u8]) {
        let Ok(Packet::Sealed(sealed)) = Packet::decode(packet) else { panic!("not sealed") };
        let Some(learnt) = self.clients[who].open(&sealed) else { return };
        if let Some((keys, _)) = self.clients[who].keys {
            self.counters.on(keys.receive, sealed.counter, packet);
        }
        self.channels.extend(learnt.channels);
        if let Some(at) = at {
            self.accounts.entry(at).or_default().nonces.extend(learnt.nonces);
        }
    }
}

/// What is on its way between engines at most.
const MAX_FLIGHTS: usize = 64;
