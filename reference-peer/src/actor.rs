//! The node's thread: it alone touches the engine and the driver.
//!
//! Handles ask through a bounded channel of [`Request`]s; buffers that changed are announced by
//! [`Signal`]s, of which each session has at most two on the way. What the engine tells goes into the
//! sessions' buffers ([`Shared`]), the node's status and the event stream.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pinhole_driver::Driver;
use pinhole_proto::peer::{Peer, PeerCommand, PeerEvent, PeerReply, ServerRefusal, SessionHandle};
use pinhole_proto::url::ServerUrl;
use pinhole_proto::{CommandError, PeerId, ServerKey, Transport};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::event::{Event, Stamped};
use crate::known_servers::KnownServers;
use crate::moment::Moment;
use crate::session::Session;
use crate::shared::{Finish, Phase, Shared, State, wake};
use crate::status::{Binding, Status, Trouble};
use crate::trace;

/// What a handle asks of the node's thread.
pub(crate) enum Request {
    Open {
        peer: PeerId,
        transport: Option<Transport>,
        asked_at: Moment,
        reply: oneshot::Sender<Result<Session, CommandError>>,
    },
    Send {
        session: SessionHandle,
        datagram: Vec<u8>,
    },
    Shutdown,
}

/// What a handle announces without waiting.
pub(crate) enum Signal {
    /// The buffers of the session changed.
    Pump(SessionHandle),
    /// The session is to end.
    Close(SessionHandle),
}

/// The ends of the channels that the thread holds.
pub(crate) struct Ports {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) weak_requests: mpsc::WeakSender<Request>,
    pub(crate) signals: mpsc::UnboundedReceiver<Signal>,
    pub(crate) signal_sender: mpsc::UnboundedSender<Signal>,
    pub(crate) incoming: mpsc::Sender<Session>,
    pub(crate) events: broadcast::Sender<Stamped>,
    pub(crate) status: watch::Sender<Status>,
}

/// Where to remember the server's key when the URL names none and none is known.
pub(crate) type Remember = Option<(KnownServers, ServerUrl)>;

/// Runs until the engine has stopped, the driver fails, or nobody holds the node any more.
pub(crate) async fn run(mut driver: Driver<Peer>, ports: Ports, remember: Remember) {
    let Ports { mut requests, weak_requests, mut signals, signal_sender, incoming, events, status } = ports;
    let mut registry = Registry {
        sessions: HashMap::new(),
        weak_requests,
        signal_sender,
        incoming,
        events,
        status,
        remember,
        server_key: None,
        pump: Vec::new(),
        stopped: false,
    };
    let mut stopping = false;
    let grace = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(grace);
    let end = loop {
        tokio::select! {
            request = requests.recv(), if !stopping => {
                if registry.on_request(&mut driver, request) {
                    stopping = true;
                    grace.as_mut().reset(tokio::time::Instant::now() + STOP_GRACE);
                }
            }
            Some(signal) = signals.recv() => registry.on_signal(&mut driver, &signal),
            () = &mut grace, if stopping => break Ok(()),
            stepped = async { driver.step(&mut |event| registry.on_event(&event)).await } => {
                if let Err(error) = stepped {
                    break Err(error);
                }
            }
        }
        registry.pump_all(&mut driver);
        if registry.stopped {
            break Ok(());
        }
    };
    if let Err(error) = driver.finish(STOP_GRACE).await {
        tracing::debug!(%error, "finish");
    }
    // The trace is complete once the driver is gone, and only then the node says that it has ended.
    drop(driver);
    registry.finish(end);
}

struct Registry {
    sessions: HashMap<SessionHandle, Arc<Shared>>,
    weak_requests: mpsc::WeakSender<Request>,
    signal_sender: mpsc::UnboundedSender<Signal>,
    incoming: mpsc::Sender<Session>,
    events: broadcast::Sender<Stamped>,
    status: watch::Sender<Status>,
    remember: Remember,
    /// The key that the server says it has; remembered once it proved that.
    server_key: Option<ServerKey>,
    /// Sessions whose byte stream has room again.
    pump: Vec<SessionHandle>,
    stopped: bool,
}

impl Registry {
    /// Applies a request; answers whether the node is to stop.
    fn on_request(&mut self, driver: &mut Driver<Peer>, request: Option<Request>) -> bool {
        match request {
            Some(Request::Open { peer, transport, asked_at, reply }) => {
                let opened = self.open(driver, peer, transport, asked_at);
                // Nobody waits any more: the session is dropped, and so closed.
                drop(reply.send(opened));
                false
            }
            Some(Request::Send { session, datagram }) => {
                let datagram = &datagram[..];
                let sent = command(driver, PeerCommand::Send { session, datagram });
                if sent.is_err()
                    && let Some(shared) = self.sessions.get(&session)
                {
                    shared.state().send_dropped += 1;
                }
                false
            }
            Some(Request::Shutdown) | None => {
                if let Err(error) = command(driver, PeerCommand::Shutdown) {
                    tracing::debug!(%error, "shutdown");
                }
                true
            }
        }
    }

    fn open(
        &mut self,
        driver: &mut Driver<Peer>,
        peer: PeerId,
        transport: Option<Transport>,
        asked_at: Moment,
    ) -> Result<Session, CommandError> {
        let requests = self.weak_requests.upgrade().ok_or(CommandError::Unknown)?;
        let PeerReply::Session(handle) = command(driver, PeerCommand::Connect { peer, transport })? else {
            return Err(CommandError::Unknown);
        };
        let signals = self.signal_sender.clone();
        let shared = Arc::new(Shared::new(handle, peer, true, asked_at, signals));
        self.sessions.insert(handle, Arc::clone(&shared));
        Ok(Session::new(shared, requests))
    }

    fn on_signal(&mut self, driver: &mut Driver<Peer>, signal: &Signal) {
        match *signal {
            Signal::Pump(session) => self.pump.push(session),
            Signal::Close(session) => {
                if let Err(error) = command(driver, PeerCommand::Close { session }) {
                    tracing::debug!(?session, %error, "close");
                }
            }
        }
    }

    /// Moves octets between the sessions' buffers and the engine.
    fn pump_all(&mut self, driver: &mut Driver<Peer>) {
        for session in self.pump.drain(..) {
            if let Some(shared) = self.sessions.get(&session) {
                let mut state = shared.state();
                state.pump_sent = false;
                pump(driver, session, &mut state);
            }
        }
    }

    fn on_event(&mut self, event: &PeerEvent<'_>) {
        let at = Moment::now();
        match *event {
            PeerEvent::Datagram { session, octets } => {
                self.with(session, |shared| shared.on_datagram(octets));
            }
            PeerEvent::Stream { session, octets } => {
                self.with(session, |shared| shared.on_stream(octets));
            }
            PeerEvent::Finished { session } => self.with(session, Shared::on_finished),
            PeerEvent::Acknowledged { session, offset } => {
                self.with(session, |shared| {
                    shared.acknowledged.send_replace(offset);
                });
            }
            PeerEvent::Writable { session } => self.pump.push(session),
            PeerEvent::ServerKey(key) => self.server_key = Some(key),
            _ => {}
        }
        if let Some(event) = Event::from_engine(event) {
            tracing::debug!(?event);
            self.on_plain_event(at, &event);
            // Nobody listens: fine.
            let _ = self.events.send(Stamped { at, event });
        }
    }

    fn on_plain_event(&mut self, at: Moment, event: &Event) {
        match *event {
            Event::Online { transport, private, public } => {
                self.remember_server();
                let binding = Binding { transport, private, public };
                self.status.send_modify(|status| status.add(binding));
            }
            Event::Offline { transport, .. } => {
                self.status.send_modify(|status| status.remove(transport));
            }
            Event::ServerUnreachable => self.trouble(Trouble::ServerUnreachable),
            Event::Replaced => self.trouble(Trouble::Replaced),
            Event::ServerRefused(ServerRefusal::KeyDiffers) => {
                self.trouble(Trouble::ServerKeyDiffers);
            }
            Event::ServerRefused(ServerRefusal::UnsupportedVersion) => {
                self.trouble(Trouble::UnsupportedVersion);
            }
            Event::Introduced { session, peer, transport, initiator } => {
                let shared = self.introduced(session, peer, initiator, at);
                // A session keeps the transport that it was introduced with.
                let _ = shared.transport.set(transport);
                self.begin(shared);
            }
            Event::Established { session, peer, initiator } => {
                let shared = self.introduced(session, peer, initiator, at);
                shared.state().proved = true;
                self.begin(shared);
            }
            Event::Path { session, .. }
            | Event::Selected { session, .. }
            | Event::PathLost { session, .. }
            | Event::NotDirect { session, .. }
            | Event::Withdrawn { session, .. } => self.with(session, |shared| {
                shared.paths.send_modify(|paths| paths.on_event(event));
            }),
            Event::Closed { session, reason } => {
                if let Some(shared) = self.sessions.remove(&session) {
                    shared.on_closed(reason);
                }
            }
            Event::Stopped => self.stopped = true,
            Event::Attempt { .. } | Event::ServerKey(_) | Event::Missed(_) => {}
        }
    }

    fn introduced(&mut self, session: SessionHandle, peer: PeerId, initiator: bool, at: Moment) -> Arc<Shared> {
        let signals = &self.signal_sender;
        let entry = self.sessions.entry(session);
        let shared = entry.or_insert_with(|| Arc::new(Shared::new(session, peer, initiator, at, signals.clone())));
        Arc::clone(shared)
    }

    /// Hands the session to the application once the other peer has proved its key and the transport, which
    /// decides the service, is known. The two come in either order: the other side's punch may be faster than
    /// the server's introduction.
    fn begin(&self, shared: Arc<Shared>) {
        let complete = shared.state().proved && shared.transport.get().is_some();
        let begun = shared.phase.send_if_modified(|phase| {
            let begins = complete && *phase == Phase::Opening;
            if begins {
                *phase = Phase::Established;
            }
            begins
        });
        if begun && !shared.initiator {
            self.offer(shared);
        }
    }

    /// Hands an incoming session to `accept`; closes it when nobody takes the earlier ones.
    fn offer(&self, shared: Arc<Shared>) {
        let Some(requests) = self.weak_requests.upgrade() else {
            return;
        };
        let peer = shared.peer;
        if self.incoming.try_send(Session::new(shared, requests)).is_err() {
            tracing::warn!(%peer, "nobody accepts sessions: closed");
        }
    }

    fn with(&self, session: SessionHandle, then: impl FnOnce(&Shared)) {
        if let Some(shared) = self.sessions.get(&session) {
            then(shared);
        }
    }

    fn trouble(&self, trouble: Trouble) {
        self.status.send_modify(|status| status.trouble = Some(trouble));
    }

    fn remember_server(&mut self) {
        let (Some(key), Some((known, url))) = (self.server_key, &self.remember) else {
            return;
        };
        match known.remember(url, key) {
            Ok(()) => {
                tracing::info!(%url, %key, file = %known.path().display(), "server key remembered")
            }
            Err(error) => tracing::warn!(%error, "the server's key is not remembered"),
        }
        self.remember = None;
    }

    fn finish(self, end: io::Result<()>) {
        for shared in self.sessions.values() {
            shared.on_closed(pinhole_proto::peer::CloseReason::Local);
        }
        let trouble = match end {
            Ok(()) => Trouble::Stopped,
            Err(error) => Trouble::Driver(Arc::new(error)),
        };
        self.status.send_modify(|status| {
            status.online.clear();
            status.trouble = Some(trouble);
        });
    }
}

/// Gives the engine a command, and the trace both command and answer.
fn command(driver: &mut Driver<Peer>, command: PeerCommand<'_>) -> Result<PeerReply, CommandError> {
    driver.note_command(&trace::Command(&command));
    let reply = driver.command(command);
    driver.note_reply(&trace::Reply(&reply));
    reply
}

fn pump(driver: &mut Driver<Peer>, session: SessionHandle, state: &mut State) {
    if state.consumed > 0 {
        let octets = std::mem::take(&mut state.consumed);
        if let Err(error) = command(driver, PeerCommand::Consume { session, octets }) {
            tracing::debug!(?session, %error, "consume");
        }
    }
    while !state.outbound.is_empty() {
        let (octets, _) = state.outbound.as_slices();
        match command(driver, PeerCommand::Write { session, octets }) {
            Ok(PeerReply::Written(0)) | Err(_) => break,
            Ok(PeerReply::Written(taken)) => drop(state.outbound.drain(..taken)),
            Ok(PeerReply::Done | PeerReply::Session(_)) => break,
        }
    }
    if state.outbound.is_empty()
        && state.finish == Finish::Asked
        && command(driver, PeerCommand::Finish { session }).is_ok()
    {
        state.finish = Finish::Done;
    }
    wake(&mut state.writer);
}

/// How long the engine has to say goodbye to the server and to its sessions.
const STOP_GRACE: Duration = Duration::from_secs(2);
