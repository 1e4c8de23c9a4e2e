//! Typed access to the engines in a world.

use alloc::vec::Vec;

use pinhole_proto::{Instant, Interface};

use super::{HostId, NatId, RealmId, World};

impl World {
    /// Looks at a host's engine.
    ///
    /// # Panics
    /// If no engine of type `E` runs there.
    pub fn engine<E: 'static>(&self, host: HostId) -> &E {
        self.hosts[host.0 as usize]
            .node
            .as_ref()
            .and_then(|node| node.engine().downcast_ref())
            .expect("the host runs an engine of this type")
    }

    /// Looks at a host's engine, if one of type `E` runs there.
    #[must_use]
    pub fn engine_if<E: 'static>(&self, host: HostId) -> Option<&E> {
        self.hosts[host.0 as usize].node.as_ref()?.engine().downcast_ref()
    }

    /// The hosts, in the order in which they were added.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)).map(HostId)
    }

    /// The NATs, in the order in which they were added.
    pub fn nats(&self) -> impl Iterator<Item = NatId> + use<> {
        (0..u32::try_from(self.nats.len()).unwrap_or(u32::MAX)).map(NatId)
    }

    /// A host's addresses.
    #[must_use]
    pub fn interfaces(&self, host: HostId) -> &[Interface] {
        &self.hosts[host.0 as usize].interfaces
    }

    /// The network that a NAT is attached to.
    #[must_use]
    pub fn outside(&self, nat: NatId) -> RealmId {
        self.nats[nat.0 as usize].outside
    }

    /// Calls a host's engine, as its application does, and carries out what it orders thereupon.
    ///
    /// # Panics
    /// If no engine of type `E` runs there.
    pub fn command<E: 'static, R>(&mut self, host: HostId, command: impl FnOnce(&mut E, Instant) -> R) -> R {
        let now = self.now;
        let engine = self
            .host_mut(host)
            .node
            .as_mut()
            .and_then(|node| node.engine_mut().downcast_mut())
            .expect("the host runs an engine of this type");
        let reply = command(engine, now);
        self.drain(host);
        self.pump(host);
        reply
    }

    /// The events of a host's engine, as its [`EngineNode`](crate::EngineNode) keeps them; empty where
    /// no engine runs.
    ///
    /// # Panics
    /// If the engine's node keeps events of another type.
    #[must_use]
    pub fn log<T: 'static>(&self, host: HostId) -> &[(Instant, T)] {
        self.hosts[host.0 as usize].node.as_ref().map_or(&[], |node| {
            node.log().downcast_ref::<Vec<(Instant, T)>>().expect("the node keeps events of this type")
        })
    }
}
