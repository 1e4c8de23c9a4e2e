//! The server's ports: UDP and TCP, main and alternate, for each family.

use super::api::{ServerConfig, ServerEvent};
use crate::discard::Discard;
use crate::endpoint::{Endpoint, Family};
use crate::engine::{NetError, SocketId, Transport};
use crate::outbox::Outbox;
use crate::sorted::SortedMap;

/// The ports that were ordered and did not fail.
#[derive(Clone, Debug)]
pub(super) struct Sockets {
    table: SortedMap<SocketId, Socket>,
}

#[derive(Clone, Copy, Debug)]
struct Socket {
    transport: Transport,
    family: Family,
    role: Role,
    port: u16,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Main,
    Alternate,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Ordered,
    Open { local: Endpoint },
}

impl Sockets {
    /// Orders every port of the configuration.
    pub(super) fn open(config: &ServerConfig, out: &mut Outbox<ServerEvent<'static>>) -> Self {
        let mut table = SortedMap::new();
        let families: &[Family] = if config.ipv6 { &[Family::V4, Family::V6] } else { &[Family::V4] };
        let mut first = [None; 2];
        for &family in families {
            for (role, port) in [(Role::Main, config.port), (Role::Alternate, config.alternate_port)] {
                for transport in [Transport::Udp, Transport::Tcp] {
                    let socket = SocketId(u32::try_from(table.len()).unwrap_or(u32::MAX));
                    // With port 0 the first socket of a role finds the number for all of them.
                    let share = first[role as usize].filter(|_| port == 0);
                    first[role as usize].get_or_insert(socket);
                    out.open(socket, transport, family, port, share);
                    table.insert(socket, Socket { transport, family, role, port, state: State::Ordered });
                }
            }
        }
        Self { table }
    }

    pub(super) fn on_opened(
        &mut self,
        socket: SocketId,
        local: Endpoint,
        out: &mut Outbox<ServerEvent<'static>>,
    ) -> Result<(), Discard> {
        let entry = self.table.get_mut(&socket).ok_or(Discard::SocketUnknown)?;
        if let State::Open { .. } = entry.state {
            return Err(Discard::SocketUnknown);
        }
        entry.state = State::Open { local };
        out.event(ServerEvent::Listening { transport: entry.transport, socket, local });
        Ok(())
    }

    pub(super) fn on_open_failed(
        &mut self,
        socket: SocketId,
        error: NetError,
        out: &mut Outbox<ServerEvent<'static>>,
    ) -> Result<(), Discard> {
        let entry = self.table.remove(&socket).ok_or(Discard::SocketUnknown)?;
        out.event(ServerEvent::ListenFailed { transport: entry.transport, port: entry.port, error });
        Ok(())
    }

    /// The local port of an open socket for `transport`.
    pub(super) fn port(&self, socket: SocketId, transport: Transport) -> Result<u16, Discard> {
        let entry = self.table.get(&socket).ok_or(Discard::SocketUnknown)?;
        match entry.state {
            State::Open { local } if entry.transport == transport => Ok(local.port()),
            State::Open { .. } | State::Ordered => Err(Discard::SocketUnknown),
        }
    }

    /// The open UDP socket of the same family on the other port.
    pub(super) fn other_port(&self, socket: SocketId) -> Option<SocketId> {
        let one = self.table.get(&socket)?;
        self.table.iter().find_map(|(&id, other)| {
            let opposite = other.role != one.role
                && other.family == one.family
                && other.transport == one.transport
                && matches!(other.state, State::Open { .. });
            opposite.then_some(id)
        })
    }

    /// Shuts every port.
    pub(super) fn shut(&mut self, out: &mut Outbox<ServerEvent<'static>>) {
        for &socket in self.table.keys() {
            out.shut(socket);
        }
        self.table.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
