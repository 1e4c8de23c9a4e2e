//! What the other peer says to a session, without its engine: it holds the right keys and means no good.

mod guesses;
mod proposals;

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Role, Session, Stage};
use crate::association::Association;
use crate::constants::KEEPALIVE;
use crate::endpoint::Endpoint;
use crate::engine::{Interface, Output, SocketId, Transport};
use crate::noise::{Dalek, Keys, public_key};
use crate::peer::api::{Accept, PeerConfig, RelayPolicy, SessionHandle, StrategySet};
use crate::peer::core::Core;
use crate::peer::leg::Leg;
use crate::time::{Duration, Instant};
use crate::wire::sealed::{ChannelId, Index};

/// An established session over UDP, without a server, and what it sends.
struct Scene {
    core: Core,
    leg: Leg,
    session: Session,
}

impl Scene {
    fn new(initiator: bool) -> Self {
        Self::over(Transport::Udp, initiator)
    }

    fn over(transport: Transport, initiator: bool) -> Self {
        let config = PeerConfig {
            secret: [1; 32],
            server_key: None,
            servers: alloc::vec![endpoint("18.181.0.31:1234")],
            udp: transport == Transport::Udp,
            tcp: transport == Transport::Tcp,
            port: 1234,
            relay: RelayPolicy::Allow,
            accept: Accept::Anybody,
            probe_private: false,
            refresh: Duration::from_secs(25),
            keepalive: KEEPALIVE,
            adapt_keepalive: true,
            strategies: StrategySet::ALL,
            birthday: false,
            x25519: Arc::new(Dalek),
        };
        let other = public_key(&Dalek, &[2; 32]);
        let mut core = Core::new(config, public_key(&Dalek, &[1; 32]), [7; 32], Instant::from_micros(1_000_000));
        let leg = Leg::new(&mut core);
        core.interfaces = alloc::vec![Interface { address: endpoint("10.0.0.1:0").address(), prefix: 24 }];
        core.ports[0].local = Some(endpoint("0.0.0.0:1234"));
        core.outbox = crate::outbox::Outbox::new();
        let role = if initiator {
            Role::Initiator { written: None, tries: 0, message_2: None }
        } else {
            Role::Responder { hash: [0; 32], message_2: alloc::vec![1; 60] }
        };
        let mut session = Session::new(&mut core, SessionHandle(0), other, [9; 8], role, true);
        session.transport = Some(transport);
        session.stage = Stage::Established;
        session.channel = Some(ChannelId([6; 8]));
        session.association = Some(Association::new(Keys { send: [3; 32], receive: [4; 32] }, Index([5; 4])));
        Self { core, leg, session }
    }

    /// Where to was dialled since the last call.
    fn dialled(&mut self) -> Vec<Endpoint> {
        let mut dialled = Vec::new();
        loop {
            match self.core.outbox.poll(None) {
                crate::outbox::Next::Output(Output::Dial { remote, .. }) => dialled.push(remote),
                crate::outbox::Next::Output(Output::Wait(_)) => return dialled,
                crate::outbox::Next::Output(_) | crate::outbox::Next::Event(..) => {}
            }
        }
    }

    /// The datagrams that were ordered since the last call.
    fn sent(&mut self) -> Vec<(SocketId, Endpoint, usize)> {
        let mut sent = Vec::new();
        loop {
            match self.core.outbox.poll(None) {
                crate::outbox::Next::Output(Output::Transmit { socket, remote, payload, .. }) => {
                    sent.push((socket, remote, payload.len()));
                }
                crate::outbox::Next::Output(Output::Wait(_)) => return sent,
                crate::outbox::Next::Output(_) | crate::outbox::Next::Event(..) => {}
            }
        }
    }
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}
