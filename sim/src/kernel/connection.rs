//! One TCP connection: the handshake, simultaneous open included, and the ways to end.

use alloc::vec::Vec;

use pinhole_proto::{Duration, Endpoint, Instant, NetError, SocketId, StreamId};

use super::flow::{Emission, Receiver, Sender};
use super::receipt::{HostRule, Numbers, TcpState};
use super::{HostOptions, Notice, Tuple};
use crate::packet::{Body, Flags, Octets, Packet, Segment};

#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) tuple: Tuple,
    /// The engine's name for it; none before it is accepted and after it is closed.
    pub(super) owner: Option<StreamId>,
    pub(super) packets: Vec<Packet>,
    pub(super) said: Vec<Said>,
    /// The timer that the kernel keeps for it.
    pub(super) scheduled: Option<Instant>,
    listener: Option<SocketId>,
    accepted: bool,
    state: State,
    sender: Sender,
    receiver: Receiver,
    options: HostOptions,
    isn: u64,
    /// The engine has closed it.
    closing: bool,
    /// The engine was told that it ended.
    told: bool,
    /// When a segment that carries nothing and does not fit was answered last.
    answered: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A SYN was sent.
    SynSent { tries: u32, deadline: Instant },
    /// A SYN came; it was answered.
    SynReceived { tries: u32, deadline: Instant },
    /// Both know that it exists. `linger`: until when an engine that has gone waits for the other's FIN.
    Open { linger: Option<Instant> },
    /// This side ended first: the tuple stays in use.
    TimeWait { until: Instant },
    /// It may be forgotten.
    Dead,
}

/// What the owner hears.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Connected(Endpoint),
    Received(Octets),
    Written(u32),
    Closed(Option<NetError>),
}

/// What becomes of a connection, and when its timer is due.
pub(super) enum Fate {
    Lives(Option<Instant>),
    /// It goes on without its owner.
    Orphaned(Option<Instant>),
    Gone,
}

impl Connection {
    /// Sends a SYN. `ttl` is that of this first one only.
    pub(super) fn dial(
        now: Instant,
        tuple: Tuple,
        owner: StreamId,
        isn: u64,
        ttl: Option<u8>,
        options: &HostOptions,
    ) -> Self {
        let state = State::SynSent { tries: 0, deadline: now + FIRST_SYN_TIMEOUT };
        let mut this = Self::new(tuple, isn, 0, state, options);
        this.owner = Some(owner);
        this.send_handshake(Flags::SYN);
        if let (Some(ttl), Some(packet)) = (ttl, this.packets.last_mut()) {
            packet.ttl = ttl;
        }
        this
    }

    /// Answers a SYN to a listener.
    pub(super) fn accept(
        now: Instant,
        tuple: Tuple,
        listener: SocketId,
        isn: u64,
        syn: &Segment,
        options: &HostOptions,
    ) -> Self {
        let state = State::SynReceived { tries: 0, deadline: now + FIRST_SYN_TIMEOUT };
        let mut this = Self::new(tuple, isn, syn.seq + 1, state, options);
        this.listener = Some(listener);
        this.send_handshake(Flags::SYN_ACK);
        this
    }

    fn new(tuple: Tuple, isn: u64, expected: u64, state: State, options: &HostOptions) -> Self {
        Self {
            tuple,
            owner: None,
            packets: Vec::new(),
            said: Vec::new(),
            scheduled: None,
            listener: None,
            accepted: false,
            state,
            sender: Sender::new(isn + 1),
            receiver: Receiver::new(expected, options.window),
            options: *options,
            isn,
            closing: false,
            told: false,
            answered: None,
        }
    }

    /// Gives a pending dial to a listener; answers the stream whose dial fails thereby.
    pub(super) fn hand_to_listener(&mut self, socket: SocketId) -> Option<StreamId> {
        if !matches!(self.state, State::SynSent { .. }) {
            return None;
        }
        self.listener = Some(socket);
        self.owner.take()
    }

    /// The listener that is to hand over the connection, once it is open.
    pub(super) fn take_accepted(&mut self) -> Option<SocketId> {
        let open = matches!(self.state, State::Open { .. });
        match self.listener {
            Some(socket) if open && !self.accepted => {
                self.accepted = true;
                Some(socket)
            }
            Some(_) | None => None,
        }
    }

    pub(super) fn is_half_open_of(&self, socket: SocketId) -> bool {
        self.listener == Some(socket) && matches!(self.state, State::SynReceived { .. })
    }

    pub(super) const fn is_in_time_wait(&self) -> bool {
        matches!(self.state, State::TimeWait { .. })
    }

    pub(super) fn write(&mut self, octets: &[u8]) {
        if !self.told {
            self.sender.write(octets);
        }
    }

    pub(super) fn unwritten(&self) -> usize {
        self.sender.unwritten()
    }

    pub(super) fn read(&mut self, on: bool) {
        let resumed = on && !self.receiver.is_reading();
        self.receiver.read(on);
        if resumed && matches!(self.state, State::Open { .. }) {
            self.deliver();
            self.send_ack(None);
        }
    }

    pub(super) fn close(&mut self, abort: bool) {
        self.owner = None;
        self.closing = true;
        match self.state {
            State::Open { .. } if !abort => {
                self.receiver.read(true);
                self.sender.finish();
            }
            State::Open { .. } | State::SynReceived { .. } => {
                self.send(Flags::RST, self.sender.next, Octets::from([]), None);
                self.state = State::Dead;
            }
            State::SynSent { .. } => self.state = State::Dead,
            State::TimeWait { .. } | State::Dead => {}
        }
    }

    /// An ICMP error: it ends a handshake and nothing else.
    pub(super) fn on_unreachable(&mut self, error: NetError) -> HostRule {
        if matches!(self.state, State::SynSent { .. }) {
            self.fail(error);
            return HostRule::ErrorEndsDial;
        }
        HostRule::ErrorIgnored
    }

    /// Fires the handshake's timers; those of the data are [`Connection::work`]'s.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        match self.state {
            State::SynSent { tries, deadline } if deadline <= now => {
                if tries == SYN_RETRIES {
                    self.fail(NetError::TimedOut);
                } else {
                    let tries = tries + 1;
                    let deadline = now + FIRST_SYN_TIMEOUT * (1 << tries);
                    self.state = State::SynSent { tries, deadline };
                    self.send_handshake(Flags::SYN);
                }
            }
            State::SynReceived { tries, deadline } if deadline <= now => {
                if tries == SYN_ACK_RETRIES {
                    self.fail(NetError::TimedOut);
                } else {
                    let tries = tries + 1;
                    let deadline = now + FIRST_SYN_TIMEOUT * (1 << tries);
                    self.state = State::SynReceived { tries, deadline };
                    self.send_handshake(Flags::SYN_ACK);
                }
            }
            State::TimeWait { until } if until <= now => self.state = State::Dead,
            State::Open { linger: Some(until) } if until <= now => self.state = State::Dead,
            State::SynSent { .. }
            | State::SynReceived { .. }
            | State::Open { .. }
            | State::TimeWait { .. }
            | State::Dead => {}
        }
    }

    /// Takes a segment; answers by which rule.
    pub(super) fn handle_segment(&mut self, now: Instant, segment: &Segment) -> HostRule {
        match self.state {
            State::SynSent { .. } => self.on_segment_in_syn_sent(now, segment),
            State::SynReceived { .. } => self.on_segment_in_syn_received(now, segment),
            State::Open { .. } => self.on_segment_in_open(now, segment),
            State::TimeWait { .. } if segment.flags.rst => {
                self.state = State::Dead;
                HostRule::ResetEnds
            }
            State::TimeWait { .. } => {
                if segment.length() > 0 {
                    self.send_ack(None);
                }
                HostRule::TimeWait
            }
            State::Dead => HostRule::Unexpected,
        }
    }

    /// A segment's numbers beside its own.
    pub(super) const fn numbers(&self, segment: &Segment) -> Numbers {
        Numbers { seq: segment.seq, expected: self.receiver.next, ack: segment.ack, sent: self.sender.next }
    }

    pub(super) const fn state(&self) -> TcpState {
        match self.state {
            State::SynSent { .. } => TcpState::SynSent,
            State::SynReceived { .. } => TcpState::SynReceived,
            State::Open { .. } => TcpState::Established,
            State::TimeWait { .. } => TcpState::TimeWait,
            State::Dead => TcpState::Closed,
        }
    }

    fn on_segment_in_syn_sent(&mut self, now: Instant, segment: &Segment) -> HostRule {
        let flags = segment.flags;
        let acknowledged = flags.ack && segment.ack == self.isn + 1;
        if flags.ack && !acknowledged {
            self.refuse(segment);
            return if flags.rst { HostRule::ResetWrong } else { HostRule::AckWrong };
        }
        if flags.rst {
            if acknowledged {
                self.fail(NetError::Refused);
                return HostRule::ResetRefuses;
            }
            return HostRule::ResetWrong;
        }
        if !flags.syn {
            return HostRule::Unexpected;
        }
        self.receiver = Receiver::new(segment.seq + 1, self.options.window);
        if acknowledged {
            self.open(now, segment);
            self.send_ack(None);
            return HostRule::SynAckOpens;
        }
        let deadline = now + FIRST_SYN_TIMEOUT;
        self.state = State::SynReceived { tries: 0, deadline };
        self.send_handshake(Flags::SYN_ACK);
        if self.listener.is_some() { HostRule::ListenerTakesCrossingSyn } else { HostRule::DialTakesSyn }
    }

    fn on_segment_in_syn_received(&mut self, now: Instant, segment: &Segment) -> HostRule {
        let flags = segment.flags;
        if flags.rst {
            if self.receiver.expects(segment.seq) {
                self.fail(NetError::Reset);
                return HostRule::ResetEnds;
            }
            return HostRule::ResetWrong;
        }
        if flags.opens() {
            self.send_handshake(Flags::SYN_ACK);
            return HostRule::SynAgain;
        }
        if !flags.ack {
            return HostRule::Unexpected;
        }
        if segment.ack != self.isn + 1 {
            self.refuse(segment);
            return HostRule::AckWrong;
        }
        self.open(now, segment);
        if flags.syn {
            self.send_ack(None);
        } else {
            self.on_segment_in_open(now, segment);
        }
        HostRule::AckOpens
    }

    fn on_segment_in_open(&mut self, now: Instant, segment: &Segment) -> HostRule {
        let flags = segment.flags;
        if flags.rst {
            if self.receiver.expects(segment.seq) {
                self.fail(NetError::Reset);
                return HostRule::ResetEnds;
            }
            return HostRule::ResetWrong;
        }
        if flags.syn {
            self.answer_misfit(now);
            return HostRule::SynAgain;
        }
        if flags.ack && segment.ack > self.sender.next {
            self.answer_misfit(now);
            return HostRule::AckWrong;
        }
        if flags.ack {
            let credit = self.sender.on_ack(now, segment.ack, segment.single, segment.window);
            if credit > 0 {
                self.said.push(Said::Written(credit));
            }
        }
        let fresh = segment.seq + segment.octets.len() as u64 > self.receiver.next;
        if self.closing && !segment.octets.is_empty() && fresh {
            self.send(Flags::RST, self.sender.next, Octets::from([]), None);
            self.state = State::Dead;
            return HostRule::AfterClose;
        }
        if segment.length() > 0 {
            let kept = self.receiver.accept(segment.seq, &segment.octets, flags.fin);
            self.deliver();
            self.send_ack(kept.then_some(segment.seq));
            return if kept { HostRule::InWindow } else { HostRule::OutsideWindow };
        }
        if segment.seq < self.receiver.next {
            self.answer_misfit(now);
            return HostRule::OutsideWindow;
        }
        HostRule::AckNoted
    }

    fn open(&mut self, now: Instant, segment: &Segment) {
        self.state = State::Open { linger: None };
        self.sender.on_ack(now, segment.ack, None, segment.window);
        if self.listener.is_none() {
            self.said.push(Said::Connected(self.tuple.0));
        }
    }

    fn deliver(&mut self) {
        while let Some(octets) = self.receiver.take() {
            self.said.push(Said::Received(octets));
        }
    }

    /// Sends what may be sent and notices the end.
    pub(super) fn work(&mut self, now: Instant) {
        let State::Open { linger } = self.state else {
            return;
        };
        if self.receiver.is_finished() && !self.told && !self.closing {
            self.told = true;
            self.said.push(Said::Closed(None));
            self.sender.finish();
        }
        while let Some(emission) = self.sender.emit(now, self.options.segment) {
            match emission {
                Emission::Segment { seq, octets, fin } => {
                    let flags = if fin { Flags::FIN } else { Flags::ACK };
                    self.send(flags, seq, octets, None);
                }
                Emission::Probe => {
                    self.send(Flags::ACK, self.sender.next - 1, Octets::from([]), None);
                }
                Emission::GiveUp => {
                    self.fail(NetError::TimedOut);
                    return;
                }
            }
        }
        if self.sender.is_finished() {
            if !self.receiver.is_finished() {
                let until = linger.unwrap_or(now + LINGER);
                self.state = State::Open { linger: Some(until) };
            } else if self.closing {
                let until = now + self.options.time_wait;
                self.state = State::TimeWait { until };
            } else {
                self.state = State::Dead;
            }
        }
    }

    pub(super) fn fate(&self) -> Fate {
        let deadline = match self.state {
            State::SynSent { deadline, .. } | State::SynReceived { deadline, .. } => Some(deadline),
            State::Open { linger } => self.sender.deadline().into_iter().chain(linger).min(),
            State::TimeWait { until } => Some(until),
            State::Dead => return Fate::Gone,
        };
        if self.told || self.closing { Fate::Orphaned(deadline) } else { Fate::Lives(deadline) }
    }

    fn fail(&mut self, error: NetError) {
        self.state = State::Dead;
        if !self.told {
            self.told = true;
            self.said.push(Said::Closed(Some(error)));
        }
    }

    fn refuse(&mut self, segment: &Segment) {
        let packet = Packet {
            source: self.tuple.1,
            destination: self.tuple.0,
            ttl: Packet::TTL,
            body: Body::Tcp(segment.clone()),
        };
        self.packets.extend(packet.reset_for());
    }

    /// Says what is expected. Two connections that do not belong together, as after the reboot of a NAT, would
    /// answer each other's answers for ever (RFC 5961 section 7).
    fn answer_misfit(&mut self, now: Instant) {
        if self.answered.is_none_or(|before| now - before >= MISFIT_PAUSE) {
            self.answered = Some(now);
            self.send_ack(None);
        }
    }

    fn send_handshake(&mut self, flags: Flags) {
        self.send(flags, self.isn, Octets::from([]), None);
    }

    fn send_ack(&mut self, single: Option<u64>) {
        self.send(Flags::ACK, self.sender.next, Octets::from([]), single);
    }

    fn send(&mut self, flags: Flags, seq: u64, octets: Octets, single: Option<u64>) {
        self.packets.push(Packet {
            source: self.tuple.0,
            destination: self.tuple.1,
            ttl: Packet::TTL,
            body: Body::Tcp(Segment {
                flags,
                seq,
                ack: if flags.ack { self.receiver.next } else { 0 },
                window: self.receiver.window(),
                single,
                octets,
            }),
        });
    }
}

impl Said {
    pub(super) fn notice(self, stream: StreamId) -> Notice {
        match self {
            Self::Connected(local) => Notice::Connected(stream, local),
            Self::Received(octets) => Notice::Received(stream, octets),
            Self::Written(octets) => Notice::Written(stream, octets),
            Self::Closed(error) => Notice::Closed(stream, error),
        }
    }
}

/// Linux: 1 s, doubling, 6 repetitions of a SYN and 5 of a SYN-ACK.
const FIRST_SYN_TIMEOUT: Duration = Duration::from_secs(1);
const SYN_RETRIES: u32 = 6;
const SYN_ACK_RETRIES: u32 = 5;
/// Linux: `tcp_invalid_ratelimit`.
const MISFIT_PAUSE: Duration = Duration::from_millis(500);
/// How long a stream whose engine has gone waits for the other side's FIN.
const LINGER: Duration = Duration::from_secs(60);
