//! One engine on its own thread, with its own sockets on the ports that all share.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pinhole_driver::{Driver, Options};
use pinhole_proto::server::{Recipient, Server, ServerCommand, ServerConfig, ServerEvent, UnregisterReason};
use pinhole_proto::{Address, Endpoint, Family, Input, SocketId, StreamId};

use crate::carrier::{Carrier, Inbox, Order, Packet, Replacement};
use crate::listening::Listening;
use crate::report::{Report, Tables};

/// What a thread needs for its engine.
pub(crate) struct Shard {
    pub(crate) config: ServerConfig,
    pub(crate) seed: [u8; 32],
    pub(crate) options: Options,
    pub(crate) inbox: Inbox,
    pub(crate) carrier: Arc<Carrier>,
    pub(crate) report: Arc<Mutex<Report>>,
}

/// What a thread says to the one that started it.
pub(crate) enum Word {
    /// What became of the ports.
    Ports(Listening, Vec<ServerEvent<'static>>),
    /// The engine has ended.
    Ended(anyhow::Result<()>),
}

impl Shard {
    /// Runs the engine until it is told to stop.
    pub(crate) fn run(self, words: &Sender<Word>, ended: &tokio::sync::mpsc::UnboundedSender<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(self.serve(words)));
        let _ = words.send(Word::Ended(result));
        let _ = ended.send(());
    }

    async fn serve(self, words: &Sender<Word>) -> anyhow::Result<()> {
        let Self { config, seed, options, mut inbox, carrier, report } = self;
        let mut listening = Listening::new(config.port, config.alternate_port, config.ipv6);
        let shard = config.shard;
        let now = options.clock.map_or(pinhole_proto::Instant::ZERO, |clock| clock.now());
        let mut driver = Driver::new(Server::new(config, seed, now), options)?;
        let mut early = Vec::new();
        while !listening.is_decided() {
            driver
                .step(&mut |event| match event {
                    ServerEvent::Listening { transport, socket, local } => {
                        listening.on_open(transport, local);
                        early.push(ServerEvent::Listening { transport, socket, local });
                    }
                    ServerEvent::ListenFailed { transport, port, error } => {
                        listening.on_failed(transport, port, error);
                        early.push(ServerEvent::ListenFailed { transport, port, error });
                    }
                    other => tracing::debug!(?other, "an event before the ports are open"),
                })
                .await?;
        }
        let _ = words.send(Word::Ports(listening, early));

        let mut voice =
            Voice { shard, carrier, report, stopped: false, back: Vec::new(), away: Vec::new(), kept: Vec::new() };
        loop {
            let waits = !voice.kept.is_empty();
            let mut told = |event: ServerEvent<'_>| voice.hear(event);
            let turn = tokio::select! {
                Some(order) = inbox.orders.recv() => Turn::Order(order),
                Some(packet) = inbox.packets.recv() => Turn::Packet(packet),
                result = driver.step(&mut told) => result.map(|()| Turn::Stepped)?,
                () = tokio::time::sleep(RETRY), if waits => Turn::Stepped,
            };
            match turn {
                Turn::Order(first) => {
                    let others = std::iter::from_fn(|| inbox.orders.try_recv().ok()).take(MAX_TURN);
                    for order in [first].into_iter().chain(others) {
                        if matches!(order, Order::Stop) {
                            return stop(driver, voice).await;
                        }
                        voice.on_order(&mut driver, order)?;
                    }
                }
                Turn::Packet(first) => {
                    let others = std::iter::from_fn(|| inbox.packets.try_recv().ok()).take(MAX_TURN);
                    for packet in [first].into_iter().chain(others) {
                        voice.on_packet(&mut driver, packet)?;
                    }
                }
                Turn::Stepped => {}
            }
            voice.carry_out(&mut driver)?;
        }
    }
}

/// What a thread woke up for.
enum Turn {
    Order(Order),
    Packet(Packet),
    Stepped,
}

/// What an engine's events lead to.
struct Voice {
    shard: u8,
    carrier: Arc<Carrier>,
    report: Arc<Mutex<Report>>,
    stopped: bool,
    /// Forwards for which there is nobody.
    back: Vec<Vec<u8>>,
    /// Streams for other engines.
    away: Vec<(u8, SocketId, StreamId, Vec<u8>)>,
    /// Replacements that had no room.
    kept: Vec<Replacement>,
}

impl Voice {
    fn hear(&mut self, event: ServerEvent<'_>) {
        match event {
            ServerEvent::Forward { to, droppable, payload } => self.forward(to, droppable, payload.to_vec()),
            ServerEvent::Misdirected { shard, socket, local, remote, payload } => {
                let local = local.unwrap_or_else(|| unspecified(remote));
                self.carrier.packet(shard, Packet::Datagram { socket, local, remote, payload: payload.to_vec() });
            }
            ServerEvent::Misplaced { shard, stream, socket, octets } => {
                self.away.push((shard, socket, stream, octets.to_vec()));
            }
            ServerEvent::Registered { peer, transport, public, since } => {
                let older = self.carrier.registered(self.shard, peer, (transport, public), since);
                self.kept.extend(older);
                self.tell(&event);
            }
            ServerEvent::Unregistered { peer, reason } => {
                // Who replaced it has the place in the directory.
                if reason != UnregisterReason::Replaced {
                    self.carrier.unregistered(self.shard, peer);
                }
                self.tell(&event);
            }
            ServerEvent::Stopped => self.stopped = true,
            ServerEvent::Listening { .. }
            | ServerEvent::ListenFailed { .. }
            | ServerEvent::Introduced { .. }
            | ServerEvent::RelayOpened { .. }
            | ServerEvent::RelayClosed { .. } => self.tell(&event),
        }
    }

    fn forward(&mut self, to: Recipient, droppable: bool, payload: Vec<u8>) {
        let place = match to {
            Recipient::Shard(shard) => Some(shard),
            // The engine would not ask if the peer were here.
            Recipient::Peer(peer) => self.carrier.place(peer).filter(|&shard| shard != self.shard),
        };
        match place {
            Some(shard) if droppable => self.carrier.packet(shard, Packet::Forwarded(payload)),
            Some(shard) => {
                self.carrier.order(shard, Order::Forwarded(payload));
            }
            None => self.back.push(payload),
        }
    }

    fn on_packet(&mut self, driver: &mut Driver<Server>, packet: Packet) -> anyhow::Result<()> {
        match packet {
            Packet::Datagram { socket, local, remote, payload } => {
                let input = Input::Datagram { socket, local, remote, payload: &payload };
                driver.apply(input, &mut |event| self.hear(event));
                Ok(())
            }
            Packet::Forwarded(payload) => command(driver, ServerCommand::Forwarded { payload: &payload }),
        }
    }

    fn on_order(&mut self, driver: &mut Driver<Server>, order: Order) -> anyhow::Result<()> {
        match order {
            Order::Forwarded(payload) => command(driver, ServerCommand::Forwarded { payload: &payload })?,
            Order::Replace(Replacement { peer, transport, public, .. }) => {
                command(driver, ServerCommand::Replace { peer, transport, public })?;
            }
            Order::Stream { socket, stream, octets } => {
                if let Err(error) = driver.attach(socket, stream, &octets, &mut |event| self.hear(event)) {
                    tracing::debug!(%error, "a stream did not survive being handed over");
                }
            }
            Order::Tables => self.report().tables(self.shard, &Tables::of(&driver.engine().snapshot())),
            Order::Stop => {}
        }
        Ok(())
    }

    /// Does what the events left to do.
    fn carry_out(&mut self, driver: &mut Driver<Server>) -> anyhow::Result<()> {
        for payload in std::mem::take(&mut self.back) {
            command(driver, ServerCommand::Undeliverable { payload: &payload })?;
        }
        for (shard, socket, stream, octets) in std::mem::take(&mut self.away) {
            // Whoever sends a stream to and fro has it closed.
            if let Some(stream) = driver.detach(stream).filter(|stream| stream.moves() <= MAX_MOVES) {
                self.carrier.order(shard, Order::Stream { socket, stream, octets });
            }
        }
        let carrier = &self.carrier;
        self.kept.retain(|older| !carrier.order(older.shard, Order::Replace(*older)));
        Ok(())
    }

    fn tell(&self, event: &ServerEvent<'_>) {
        tracing::debug!(shard = self.shard, ?event);
        self.report().event(self.shard, event);
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the engine end, and writes out what it still had to say.
async fn stop(mut driver: Driver<Server>, mut voice: Voice) -> anyhow::Result<()> {
    command(&mut driver, ServerCommand::Shutdown)?;
    while !voice.stopped {
        driver.step(&mut |event| voice.hear(event)).await?;
    }
    driver.finish(GRACE).await?;
    tracing::info!(shard = voice.shard, discards = ?driver.discards(), unsent = driver.unsent(), "stopped");
    Ok(())
}

fn command(driver: &mut Driver<Server>, command: ServerCommand<'_>) -> anyhow::Result<()> {
    driver.note_command(&command);
    Ok(driver.command(command)?)
}

fn unspecified(remote: Endpoint) -> Address {
    match remote.family() {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// How long closed streams may take to write out what they hold.
const GRACE: Duration = Duration::from_secs(1);
/// How often a stream may be handed from one engine to another.
const MAX_MOVES: u32 = 4;
/// How much of a queue is taken in one turn, so that the sockets are served too.
const MAX_TURN: usize = 64;
/// When what had no room is tried again.
const RETRY: Duration = Duration::from_millis(10);
