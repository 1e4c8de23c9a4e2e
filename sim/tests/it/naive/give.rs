//! Which external endpoints may be given, by enumeration.

use pinhole_proto::{Address, Endpoint, Transport};
use pinhole_sim::Behaviour;
use pinhole_sim::nat::{CounterScope, OnConflict, Overloading, Pooling, PortRanges, PortRule, Translation};

use super::{Given, Naive};

type Flow = (Transport, Endpoint, Endpoint);

impl Naive {
    /// Whether what was given is what the definitions allow, and demand where they do.
    pub(super) fn check_given(&mut self, behaviour: &Behaviour, flow: Flow, given: Option<&Given>) {
        let (transport, internal, _) = flow;
        let host = internal.address();
        // What hosts without rows had is free again, but for rows that made room just then.
        let paired = self.addresses.iter().find(|(of, _)| *of == host).map(|(_, address)| *address);
        match behaviour.translation {
            Translation::Firewall => {
                let given = given.expect("a firewall has room");
                assert_eq!((given.external, given.rule), (internal, PortRule::Untranslated));
                return;
            }
            Translation::Basic => {
                let free = |address: &&Address| !self.addresses.iter().any(|(_, of)| of == *address);
                let expected = paired.or_else(|| self.pool.iter().find(free).copied());
                assert_eq!(given.map(|given| given.external), expected.map(|a| Endpoint::new(a, internal.port())));
                if let (None, Some(address)) = (paired, expected) {
                    self.addresses.push((host, address));
                }
                return;
            }
            Translation::Napt => {}
        }
        let known = if behaviour.pooling == Pooling::Paired { paired } else { None };
        let addresses: Vec<Address> = known.map_or_else(|| self.pool.clone(), |address| vec![address]);
        let Some(Given { external, rule }) = given else {
            let full = |address: &Address| self.open(behaviour, flow, *address).is_empty();
            match behaviour.pooling {
                Pooling::Arbitrary => assert!(addresses.iter().all(full), "a port is free"),
                Pooling::Paired => assert!(addresses.iter().any(full), "a port is free"),
            }
            return;
        };
        let address = external.address();
        assert!(addresses.contains(&address), "{external} is none of the host's addresses");
        let kept = |address: &Address| behaviour.preserve_port && self.may_keep(behaviour, flow, *address);
        let elsewhere = behaviour.conflict == OnConflict::AnotherAddress && behaviour.pooling == Pooling::Arbitrary;
        let mut contiguous: Vec<Endpoint> = vec![];
        if behaviour.contiguous && behaviour.block.is_none() {
            let neighbour = |port: Option<u16>| {
                let other = internal.with_port(port?);
                self.rows
                    .iter()
                    .rfind(|row| (row.transport, row.internal) == (transport, other))
                    .map(|row| row.external)
            };
            let after = neighbour(internal.port().checked_sub(1))
                .and_then(|external| Some(external.with_port(external.port().checked_add(1)?)));
            let before = neighbour(internal.port().checked_add(1))
                .and_then(|external| Some(external.with_port(external.port().checked_sub(1)?)));
            let ports = self.ports_for(behaviour, internal.port());
            contiguous = [after, before]
                .into_iter()
                .flatten()
                .filter(|external| ports.contains(&external.port()) && !self.taken(behaviour, flow, *external, false))
                .collect();
        }
        let must_keep = if elsewhere { addresses.iter().any(kept) } else { addresses.iter().all(kept) };
        match rule {
            PortRule::Preserved | PortRule::Overloaded => {
                assert!(kept(&address) && external.port() == internal.port(), "{external} is not to be kept");
                let shared = self.rows.iter().any(|row| (row.transport, row.external) == (transport, *external));
                assert_eq!(*rule == PortRule::Overloaded, shared);
            }
            PortRule::Contiguous => {
                assert!(!must_keep);
                assert_eq!(contiguous.first(), Some(external));
            }
            PortRule::Sequential { .. } | PortRule::Random => {
                assert!(!must_keep, "{internal} keeps its port");
                assert!(contiguous.is_empty(), "{contiguous:?} are contiguous");
                let open = self.open(behaviour, flow, address);
                assert!(open.contains(&external.port()), "{external} is not open to {internal}: {open:?}");
                // In a block that is new to the host the count goes on among its ports.
                let new = self.take_block(behaviour, internal, *external);
                if let PortRule::Sequential { skipped } = rule {
                    let all = new.unwrap_or_else(|| self.own_ports(behaviour, internal, address));
                    self.check_counter(behaviour, flow, *external, *skipped, (&all, &open));
                }
            }
            PortRule::Untranslated => panic!("ports are translated here"),
        }
        if paired.is_none() && self.pool.len() > 1 {
            self.addresses.push((host, address));
        }
    }

    fn check_counter(
        &mut self,
        behaviour: &Behaviour,
        flow: Flow,
        external: Endpoint,
        skipped: u32,
        (all, open): (&[u16], &[u16]),
    ) {
        let (transport, internal, _) = flow;
        let host = (behaviour.counter == CounterScope::Host).then_some(internal.address());
        let counter = self.counters.iter().find(|(of, _)| *of == (transport, host)).map(|(_, port)| *port);
        let wanted = counter.unwrap_or(behaviour.first_port);
        let start = all.iter().position(|port| *port >= wanted).unwrap_or(0);
        let found = (0..all.len()).find(|n| open.contains(&all[(start + n) % all.len()])).expect("one is open");
        assert_eq!(all[(start + found) % all.len()], external.port(), "not the next of {all:?} after {wanted}");
        assert_eq!(found as u32, skipped);
        let next = all[(start + found + usize::from(behaviour.port_step)) % all.len()];
        self.counters.retain(|(of, _)| *of != (transport, host));
        self.counters.push(((transport, host), next));
    }

    /// The ports that an internal port may get, in order, blocks aside.
    fn ports_for(&self, behaviour: &Behaviour, internal: u16) -> Vec<u16> {
        let all: Vec<u16> = (behaviour.ports.0..=behaviour.ports.1).collect();
        let class = |port: u16| match behaviour.port_ranges {
            PortRanges::One => 0,
            PortRanges::Two => u8::from(port >= 1024),
            PortRanges::Three => u8::from(port >= 1024) + u8::from(port >= 49_152),
        };
        let same: Vec<u16> = all.iter().copied().filter(|port| class(*port) == class(internal)).collect();
        let ports = if same.is_empty() { all } else { same };
        match behaviour.one_to_many {
            None => ports,
            Some((low, high)) if behaviour.is_one_to_many(internal) => (low..=high).collect(),
            Some((low, high)) => ports.into_iter().filter(|port| *port < low || *port > high).collect(),
        }
    }

    /// The same, of the host's own blocks.
    fn own_ports(&self, behaviour: &Behaviour, internal: Endpoint, address: Address) -> Vec<u16> {
        let ports = self.ports_for(behaviour, internal.port());
        let Some(size) = behaviour.block else {
            return ports;
        };
        let mut own = vec![];
        for (_, block, _) in self.blocks.iter().filter(|(at, _, host)| (*at, *host) == (address, internal.address())) {
            let low = behaviour.ports.0 + block * size;
            own.extend(ports.iter().copied().filter(|port| (low..low + size).contains(port)));
        }
        own
    }

    fn taken(&self, behaviour: &Behaviour, (transport, _, remote): Flow, external: Endpoint, same: bool) -> bool {
        let traced = self.traces.iter().any(|trace| (trace.0, trace.1, trace.2) == (transport, external, remote));
        let resting = self.resting.iter().any(|rest| (rest.0, rest.1) == (transport, external));
        let mut holders = self.rows.iter().filter(|row| (row.transport, row.external) == (transport, external));
        let held = match behaviour.overloading {
            Overloading::Always if same => false,
            Overloading::Always | Overloading::Never => holders.next().is_some(),
            Overloading::OtherRemotes => holders.any(|row| row.sessions.iter().any(|s| s.remote == remote)),
        };
        traced || resting || held
    }

    fn may_keep(&self, behaviour: &Behaviour, flow: Flow, address: Address) -> bool {
        let port = flow.1.port();
        self.own_ports(behaviour, flow.1, address).contains(&port)
            && !self.taken(behaviour, flow, Endpoint::new(address, port), true)
    }

    /// The ports of an address that a flow could get.
    fn open(&self, behaviour: &Behaviour, flow: Flow, address: Address) -> Vec<u16> {
        let fits = |port: &u16| {
            (!behaviour.preserve_parity || port % 2 == flow.1.port() % 2)
                && !self.taken(behaviour, flow, Endpoint::new(address, *port), false)
        };
        let own: Vec<u16> = self.own_ports(behaviour, flow.1, address).into_iter().filter(fits).collect();
        if !own.is_empty() || behaviour.block.is_none() {
            return own;
        }
        let block = self.next_block(behaviour, flow.1, address);
        block.map_or_else(Vec::new, |(_, ports)| ports.into_iter().filter(fits).collect())
    }

    /// The block that a host would get, with the ports of it that an internal port may have.
    fn next_block(&self, behaviour: &Behaviour, internal: Endpoint, address: Address) -> Option<(u16, Vec<u16>)> {
        let size = behaviour.block?;
        let host = internal.address();
        let had = self.blocks.iter().filter(|(_, _, of)| *of == host).count();
        if had >= usize::from(behaviour.blocks_per_host) {
            return None;
        }
        let ports = self.ports_for(behaviour, internal.port());
        let whole = (behaviour.ports.1 - behaviour.ports.0 + 1) / size;
        (0..whole).find_map(|block| {
            let low = behaviour.ports.0 + block * size;
            let part: Vec<u16> = ports.iter().copied().filter(|port| (low..low + size).contains(port)).collect();
            let owned = self.blocks.iter().any(|(at, other, _)| (*at, *other) == (address, block));
            (!owned && !part.is_empty()).then_some((block, part))
        })
    }

    /// Notes whose block a port is in; answers the ports of a block that is new to the host.
    fn take_block(&mut self, behaviour: &Behaviour, internal: Endpoint, external: Endpoint) -> Option<Vec<u16>> {
        if self.own_ports(behaviour, internal, external.address()).contains(&external.port()) {
            return None;
        }
        let (block, ports) = self.next_block(behaviour, internal, external.address())?;
        self.blocks.push((external.address(), block, internal.address()));
        Some(ports)
    }
}
