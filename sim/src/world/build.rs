//! Networks, NATs and hosts are added; engines start and stop.

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use pinhole_proto::sorted::SortedMap;
use pinhole_proto::{Address, Input, Interface};

use super::{Access, Gateway, Host, HostId, NatId, Place, Realm, RealmId, World};
use crate::kernel::{HostOptions, Kernel};
use crate::link::Line;
use crate::nat::{Behaviour, Nat};
use crate::node::Node;

/// A NAT to be added, with the private realm behind it.
#[derive(Clone, Copy, Debug)]
pub struct NatPlan<'a> {
    /// Its name, for ladders.
    pub name: &'a str,
    /// The realm that it is attached to.
    pub outside: RealmId,
    /// Its address there.
    pub address: Address,
    /// The network behind it: any address of it, and the prefix. Packets to this network stay inside.
    pub network: Interface,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// Its line to the outer realm.
    pub line: Line,
}

impl World {
    /// Adds a NAT; [`World::inside`] is the realm behind it.
    ///
    /// # Panics
    /// If the address is taken in the outer realm.
    pub fn add_nat(&mut self, plan: &NatPlan<'_>) -> NatId {
        let id = NatId(u32::try_from(self.nats.len()).expect("fewer than 2^32 NATs"));
        let inside = RealmId(u32::try_from(self.realms.len()).expect("fewer than 2^32 realms"));
        self.realms.push(Realm {
            network: Some(plan.network),
            gateway: Some(id),
            occupants: SortedMap::new(),
            hops: 0,
        });
        self.occupy(plan.outside, plan.address, Place::Nat(id));
        let rng = self.rng.fork(u64::from(id.0) << 8 | 1);
        self.nats.push(Gateway {
            inside,
            outside: plan.outside,
            access: self.access(plan.line, Place::Nat(id)),
            nat: Nat::new(plan.behaviour, plan.address, rng),
            queued: None,
        });
        let names = self.trace.names_mut();
        names.nats.push(plan.name.to_string());
        names.realms.push(alloc::format!("{} LAN", plan.name));
        id
    }

    /// Gives a NAT another external address.
    ///
    /// # Panics
    /// If the address is taken in the outer realm.
    pub fn add_nat_address(&mut self, nat: NatId, address: Address) {
        self.route_to_nat(nat, address);
        self.nats[nat.0 as usize].nat.add_address(address);
    }

    /// Lets packets from the outer realm to an address behind a NAT go to that NAT, as a firewall needs
    /// that translates nothing.
    ///
    /// # Panics
    /// If the address is taken in the outer realm.
    pub fn route_to_nat(&mut self, nat: NatId, address: Address) {
        let outside = self.nats[nat.0 as usize].outside;
        self.occupy(outside, address, Place::Nat(nat));
    }

    /// Adds a host without an engine.
    ///
    /// # Panics
    /// If an address is taken in the realm.
    pub fn add_host(&mut self, name: &str, realm: RealmId, addresses: &[Address], line: Line) -> HostId {
        let id = HostId(u32::try_from(self.hosts.len()).expect("fewer than 2^32 hosts"));
        let rng = self.rng.fork(u64::from(id.0) << 8 | 2);
        let access = self.access(line, Place::Host(id));
        self.hosts.push(Host {
            realm,
            interfaces: Vec::new(),
            access,
            kernel: Kernel::new(addresses, HostOptions::default(), rng),
            node: None,
            deadline: None,
            queued: [None; 2],
        });
        self.trace.names_mut().hosts.push(name.to_string());
        self.settle(id, realm, addresses);
        id
    }

    /// Sets how a host's network side behaves; connections that exist keep their ways.
    pub fn set_options(&mut self, host: HostId, options: HostOptions) {
        *self.host_mut(host).kernel.options_mut() = options;
    }

    /// How a host's network side behaves.
    #[must_use]
    pub fn options(&self, host: HostId) -> &HostOptions {
        self.hosts[host.0 as usize].kernel.options()
    }

    /// The machine that has an address in a realm.
    #[must_use]
    pub fn occupant(&self, realm: RealmId, address: Address) -> Option<Place> {
        self.realms[realm.0 as usize].occupants.get(&address).copied()
    }

    /// Sets how many routers a packet passes between two machines of a realm (first 4 in the internet, 0
    /// elsewhere).
    pub fn set_hops(&mut self, realm: RealmId, hops: u8) {
        self.realms[realm.0 as usize].hops = hops;
    }

    /// Starts an engine on a host, in place of the one that ran there, and tells it the interfaces.
    pub fn start(&mut self, host: HostId, node: impl Node + 'static) {
        self.stop(host);
        self.host_mut(host).node = Some(Box::new(node));
        self.tell_interfaces(host);
    }

    /// Ends a host's engine as the end of a process does: its sockets close, its streams are reset, and
    /// the engine is not asked.
    pub fn stop(&mut self, host: HostId) {
        let now = self.now;
        let state = self.host_mut(host);
        state.node = None;
        state.deadline = None;
        state.kernel.end_process(now);
        self.pump(host);
    }

    /// Moves a host to another realm or other addresses, and tells its engine. Sockets stay; streams
    /// stay too and time out, because their addresses are gone.
    ///
    /// # Panics
    /// If an address is taken in the realm.
    pub fn move_host(&mut self, host: HostId, realm: RealmId, addresses: &[Address]) {
        let old = self.host_mut(host).realm;
        self.realms[old.0 as usize].occupants.retain(|_, place| *place != Place::Host(host));
        self.settle(host, realm, addresses);
        self.tell_interfaces(host);
    }

    /// The realm behind a NAT.
    #[must_use]
    pub fn inside(&self, nat: NatId) -> RealmId {
        self.nats[nat.0 as usize].inside
    }

    fn settle(&mut self, host: HostId, realm: RealmId, addresses: &[Address]) {
        let prefix = self.realms[realm.0 as usize].network.map(|network| network.prefix);
        let interfaces = addresses.iter().map(|address| Interface {
            address: *address,
            prefix: prefix.unwrap_or(match address {
                Address::V4(_) => 32,
                Address::V6(_) => 128,
            }),
        });
        let interfaces = interfaces.collect();
        for address in addresses {
            self.occupy(realm, *address, Place::Host(host));
        }
        let state = self.host_mut(host);
        state.realm = realm;
        state.interfaces = interfaces;
        state.kernel.set_addresses(addresses);
    }

    fn tell_interfaces(&mut self, host: HostId) {
        let interfaces = self.host_mut(host).interfaces.clone();
        self.feed(host, Input::Interfaces(&interfaces));
        self.pump(host);
    }

    fn occupy(&mut self, realm: RealmId, address: Address, place: Place) {
        let previous = self.realms[realm.0 as usize].occupants.insert(address, place);
        assert!(previous.is_none(), "{address} is taken in {realm:?}");
    }

    fn access(&self, line: Line, place: Place) -> Access {
        let label = match place {
            Place::Host(host) => u64::from(host.0) << 8 | 3,
            Place::Nat(nat) => u64::from(nat.0) << 8 | 4,
        };
        Access { line, cut: false, rng: self.rng.fork(label) }
    }
}
