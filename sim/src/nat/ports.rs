//! Which external endpoint a mapping gets.

use alloc::vec::Vec;

use pinhole_proto::sorted::{SortedMap, SortedSet};
use pinhole_proto::{Address, Endpoint, Transport};

use super::behaviour::Behaviour;
use super::habits::{
    CounterScope, FreshPort, Kind, OnConflict, OnReboot, Overloading, Pooling, PortRanges, Translation,
};
use super::receipt::PortRule;
use super::rule::{Checks, Operand, Rule, Taken};
use super::table::{Flow, Table};
use crate::rng::Rng;

/// What has been given out beyond the rows: counters, addresses of hosts, blocks.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    /// The next sequential port.
    counters: SortedMap<(Transport, Option<Address>), u16>,
    /// The external address of an inside host that has rows.
    addresses: SortedMap<Address, Address>,
    /// External addresses that belong to one host.
    owned: SortedSet<Address>,
    /// Who has a block of an external address.
    blocks: SortedMap<(Address, u16), Address>,
    /// The blocks of a host.
    of_host: SortedMap<Address, Vec<(Address, u16)>>,
}

/// Where an allocation looks, and for whom.
struct Search<'a> {
    table: &'a Table,
    behaviour: &'a Behaviour,
    flow: Flow,
}

/// Ranges of ports, counted through.
struct Spans(Vec<(u16, u16)>);

impl Ports {
    pub(super) const fn new() -> Self {
        Self {
            counters: SortedMap::new(),
            addresses: SortedMap::new(),
            owned: SortedSet::new(),
            blocks: SortedMap::new(),
            of_host: SortedMap::new(),
        }
    }

    /// Forgets everything at a restart, counters if the NAT does so.
    pub(super) fn clear(&mut self, behaviour: &Behaviour) {
        let counters = core::mem::take(&mut self.counters);
        *self = Self::new();
        if behaviour.reboot == OnReboot::Resume {
            self.counters = counters;
        }
    }

    /// Takes back what belongs to a host without rows.
    pub(super) fn release(&mut self, host: Address) {
        if let Some(address) = self.addresses.remove(&host) {
            self.owned.remove(&address);
        }
        for block in self.of_host.remove(&host).into_iter().flatten() {
            self.blocks.remove(&block);
        }
    }

    /// The external endpoint of a mapping to be made.
    pub(super) fn allocate(
        &mut self,
        table: &Table,
        behaviour: &Behaviour,
        pool: &[Address],
        rng: &mut Rng,
        flow: Flow,
        checks: &mut Checks,
    ) -> Option<(Endpoint, PortRule)> {
        let search = Search { table, behaviour, flow };
        let host = flow.internal.address();
        match behaviour.translation {
            Translation::Firewall => return Some((flow.internal, PortRule::Untranslated)),
            Translation::Basic => {
                let address = self.own_address(pool, host, checks)?;
                return Some((Endpoint::new(address, flow.internal.port()), PortRule::Untranslated));
            }
            Translation::Napt => {}
        }
        let addresses = self.candidates(behaviour, pool, rng, host);
        let found = self
            .keep_port(&search, &addresses, checks)
            .or_else(|| search.contiguous(checks))
            .or_else(|| addresses.iter().find_map(|address| self.fresh(&search, *address, rng, checks)))?;
        if pool.len() > 1 {
            self.addresses.or_insert_with(host, || found.0.address());
        }
        Some(found)
    }

    /// The address that a host has to itself.
    fn own_address(&mut self, pool: &[Address], host: Address, checks: &mut Checks) -> Option<Address> {
        if let Some(address) = self.addresses.get(&host) {
            return Some(*address);
        }
        let free = pool.iter().copied().find(|address| !self.owned.contains(address));
        let against = free.map_or(Operand::Number(pool.len() as u64), Operand::Address);
        checks.note(Rule::AddressFree, Operand::Address(host), against, free.is_some());
        let address = free?;
        self.owned.insert(address);
        self.addresses.insert(host, address);
        Some(address)
    }

    /// The addresses to try, in order.
    fn candidates(&self, behaviour: &Behaviour, pool: &[Address], rng: &mut Rng, host: Address) -> Vec<Address> {
        if pool.len() == 1 {
            return pool.to_vec();
        }
        let paired = self.addresses.get(&host).filter(|address| pool.contains(address));
        match (behaviour.pooling, paired) {
            (Pooling::Paired, Some(address)) => alloc::vec![*address],
            (Pooling::Paired, None) => {
                let drawn = usize::try_from(rng.below(pool.len() as u64)).unwrap_or(0);
                pool.get(drawn).copied().into_iter().collect()
            }
            (Pooling::Arbitrary, _) => {
                let drawn = usize::try_from(rng.below(pool.len() as u64)).unwrap_or(0);
                let mut addresses = pool.to_vec();
                addresses.rotate_left(drawn.min(pool.len()));
                addresses
            }
        }
    }

    /// The internal port, where the NAT keeps it and may.
    fn keep_port(
        &self,
        search: &Search<'_>,
        addresses: &[Address],
        checks: &mut Checks,
    ) -> Option<(Endpoint, PortRule)> {
        let Search { behaviour, flow, .. } = search;
        if !behaviour.preserve_port {
            return None;
        }
        let port = flow.internal.port();
        let elsewhere = behaviour.conflict == OnConflict::AnotherAddress && behaviour.pooling == Pooling::Arbitrary;
        for address in addresses.iter().take(if elsewhere { addresses.len() } else { 1 }) {
            let external = Endpoint::new(*address, port);
            let allowed = self.own_spans(search, *address).contains(port);
            let taken = if allowed { search.taken(external, true) } else { Some(Taken::OutOfRange) };
            let against = taken.map_or(Operand::Nothing, Operand::Taken);
            checks.note(Rule::PortPreserved, Operand::Endpoint(external), against, taken.is_none());
            if taken.is_none() {
                let shared = search.table.holder(flow.transport, external).is_some();
                return Some((external, if shared { PortRule::Overloaded } else { PortRule::Preserved }));
            }
        }
        None
    }

    /// A port that is not the internal one.
    fn fresh(
        &mut self,
        search: &Search<'_>,
        address: Address,
        rng: &mut Rng,
        checks: &mut Checks,
    ) -> Option<(Endpoint, PortRule)> {
        let mut spans = self.own_spans(search, address);
        let mut found = self.pick(search, address, &spans, rng);
        if found.is_none() && search.behaviour.block.is_some() {
            let host = search.flow.internal.address();
            let block = self.another_block(search, address);
            let had = self.of_host.get(&host).map_or(0, Vec::len);
            let most = u64::from(search.behaviour.blocks_per_host);
            checks.note(Rule::BlockFree, Operand::Number(had as u64), Operand::Number(most), block.is_some());
            let (block, part) = block?;
            spans = part;
            found = self.pick(search, address, &spans, rng);
            if found.is_some() {
                self.blocks.insert(block, host);
                self.of_host.or_insert_with(host, Default::default).push(block);
            }
        }
        let against = Operand::Number(u64::from(spans.len()));
        let port = found.map_or(Operand::Nothing, |(external, _)| Operand::Port(external.port()));
        checks.note(Rule::PortFree, port, against, found.is_some());
        found
    }

    fn pick(
        &mut self,
        search: &Search<'_>,
        address: Address,
        spans: &Spans,
        rng: &mut Rng,
    ) -> Option<(Endpoint, PortRule)> {
        let Search { behaviour, flow, .. } = search;
        let size = spans.len();
        let free = |port: u16| {
            let parity = !behaviour.preserve_parity || port % 2 == flow.internal.port() % 2;
            let external = Endpoint::new(address, port);
            (parity && search.taken(external, false).is_none()).then_some(external)
        };
        match behaviour.fresh_port {
            FreshPort::Sequential => {
                let host = (behaviour.counter == CounterScope::Host).then_some(flow.internal.address());
                let counter = (flow.transport, host);
                let start = self.counters.get(&counter).copied().unwrap_or(behaviour.first_port);
                let start = spans.index(start);
                let mut busy = None;
                for skipped in 0..size {
                    let index = (start + skipped) % size;
                    if skipped == DRAWS {
                        busy = search.busy(address, spans);
                    }
                    if is_busy(busy.as_ref(), index) {
                        continue;
                    }
                    if let Some(external) = free(spans.nth(index)) {
                        let next = spans.nth((index + u32::from(behaviour.port_step.max(1))) % size);
                        self.counters.insert(counter, next);
                        if self.counters.len() > MAX_COUNTERS {
                            self.counters.pop_first();
                        }
                        return Some((external, PortRule::Sequential { skipped }));
                    }
                }
            }
            FreshPort::Random if size > 0 => {
                // Draws; where the range is nearly full, then takes the neighbours in turn.
                let mut draw = || u32::try_from(rng.below(u64::from(size))).unwrap_or(0);
                let mut index = draw();
                let mut busy = None;
                for tried in 0..DRAWS + size {
                    if tried == DRAWS {
                        busy = search.busy(address, spans);
                    }
                    if !is_busy(busy.as_ref(), index)
                        && let Some(external) = free(spans.nth(index))
                    {
                        return Some((external, PortRule::Random));
                    }
                    index = if tried < DRAWS { draw() } else { (index + 1) % size };
                }
            }
            FreshPort::Random => {}
        }
        None
    }

    /// The ports that a flow may get, of the host's own blocks where ports come in blocks.
    fn own_spans(&self, search: &Search<'_>, address: Address) -> Spans {
        let spans = search.spans();
        let Some(size) = search.behaviour.block else {
            return spans;
        };
        let blocks = self.of_host.get(&search.flow.internal.address()).into_iter().flatten();
        let own = blocks.filter(|(of, _)| *of == address).filter_map(|(_, n)| search.block(size, *n));
        Spans(own.flat_map(|block| spans.part(block).0).collect())
    }

    /// The block that a host would get: the lowest that nobody has and that has a port for it.
    fn another_block(&self, search: &Search<'_>, address: Address) -> Option<((Address, u16), Spans)> {
        let size = search.behaviour.block?;
        let host = search.flow.internal.address();
        if self.of_host.get(&host).map_or(0, Vec::len) >= usize::from(search.behaviour.blocks_per_host) {
            return None;
        }
        let spans = search.spans();
        let mut n = 0;
        while let Some(block) = search.block(size, n) {
            let part = spans.part(block);
            if part.len() > 0 && !self.blocks.contains_key(&(address, n)) {
                return Some(((address, n), part));
            }
            n = n.checked_add(1)?;
        }
        None
    }
}

impl Search<'_> {
    /// Why a mapping cannot have an external endpoint; `same` says that its port is the internal one.
    fn taken(&self, external: Endpoint, same: bool) -> Option<Taken> {
        let Flow { transport, remote, .. } = self.flow;
        if self.table.traces.contains((transport, external, remote)) {
            return Some(Taken::ByEarlyTrace);
        }
        if self.table.resting.contains((transport, external)) {
            return Some(Taken::Resting);
        }
        self.table.holder(transport, external)?;
        let shared = match self.behaviour.overloading {
            Overloading::Never => false,
            Overloading::OtherRemotes => self.table.pair(transport, external, remote).is_none(),
            Overloading::Always => same,
        };
        if shared { None } else { Some(Taken::ByMapping) }
    }

    /// Which ports are held or rest, found in one go where few are free; none where ports are shared.
    fn busy(&self, address: Address, spans: &Spans) -> Option<Vec<bool>> {
        if self.behaviour.overloading == Overloading::OtherRemotes {
            return None;
        }
        let mut busy = Vec::new();
        for (low, high) in &spans.0 {
            let start = busy.len();
            busy.resize(start + usize::from(high - low) + 1, false);
            let range = (Endpoint::new(address, *low), Endpoint::new(address, *high));
            for external in self.table.busy(self.flow.transport, range) {
                if let Some(mark) = busy.get_mut(start + usize::from(external.port() - low)) {
                    *mark = true;
                }
            }
        }
        Some(busy)
    }

    /// The neighbour of the port that the neighbouring internal port has.
    fn contiguous(&self, checks: &mut Checks) -> Option<(Endpoint, PortRule)> {
        let Flow { transport, internal, .. } = self.flow;
        if !self.behaviour.contiguous {
            return None;
        }
        let port = internal.port();
        let below = port.checked_sub(1).and_then(|port| self.table.row_of(transport, internal.with_port(port)));
        let above = port.checked_add(1).and_then(|port| self.table.row_of(transport, internal.with_port(port)));
        let after = below.and_then(|row| Some(row.external.with_port(row.external.port().checked_add(1)?)));
        let before = above.and_then(|row| Some(row.external.with_port(row.external.port().checked_sub(1)?)));
        let spans = self.spans();
        for external in [after, before].into_iter().flatten() {
            let allowed = spans.contains(external.port()) && self.behaviour.block.is_none();
            let taken = if allowed { self.taken(external, false) } else { Some(Taken::OutOfRange) };
            let against = taken.map_or(Operand::Nothing, Operand::Taken);
            if checks.note(Rule::PortContiguous, Operand::Endpoint(external), against, taken.is_none()) {
                return Some((external, PortRule::Contiguous));
            }
        }
        None
    }

    /// The ports that the flow may get, blocks aside.
    fn spans(&self) -> Spans {
        let behaviour = self.behaviour;
        let port = self.flow.internal.port();
        let all = Spans(if behaviour.ports.0 <= behaviour.ports.1 { alloc::vec![behaviour.ports] } else { Vec::new() });
        let range = match (behaviour.port_ranges, port) {
            (PortRanges::One, _) => (0, u16::MAX),
            (PortRanges::Two | PortRanges::Three, 0..=1023) => (0, 1023),
            (PortRanges::Two, 1024..) => (1024, u16::MAX),
            (PortRanges::Three, 1024..=49_151) => (1024, 49_151),
            (PortRanges::Three, 49_152..) => (49_152, u16::MAX),
        };
        let ranged = all.part(range);
        let spans = if ranged.len() == 0 { all } else { ranged };
        match behaviour.one_to_many {
            None => spans,
            Some(set_apart) if behaviour.is_one_to_many(port) => Spans(alloc::vec![set_apart]),
            Some((low, high)) => {
                let below = low.checked_sub(1).map(|end| spans.part((0, end)));
                let above = high.checked_add(1).map(|start| spans.part((start, u16::MAX)));
                Spans([below, above].into_iter().flatten().flat_map(|part| part.0).collect())
            }
        }
    }

    /// The ports of a block; none behind the last.
    fn block(&self, size: u16, n: u16) -> Option<(u16, u16)> {
        let (lowest, highest) = self.behaviour.ports;
        let low = u32::from(lowest) + u32::from(n) * u32::from(size);
        let high = low + u32::from(size.max(1)) - 1;
        (size > 0 && high <= u32::from(highest))
            .then(|| Some((u16::try_from(low).ok()?, u16::try_from(high).ok()?)))
            .flatten()
    }
}

impl Behaviour {
    /// Whether an internal port has mappings out of [`one_to_many`](Self::one_to_many).
    #[must_use]
    pub fn is_one_to_many(&self, internal_port: u16) -> bool {
        let (low, high) = self.one_to_many_for;
        self.one_to_many.is_some_and(|(first, last)| first <= last) && (low..=high).contains(&internal_port)
    }

    pub(super) fn kind_of(&self, flow: Flow) -> Kind {
        let split = self.translation == Translation::Napt && self.is_one_to_many(flow.internal.port());
        if split { Kind::EndpointIndependent } else { self.mapping_of(flow.transport) }
    }
}

impl Spans {
    /// How many ports there are.
    fn len(&self) -> u32 {
        self.0.iter().map(|(low, high)| u32::from(high - low) + 1).sum()
    }

    fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&port))
    }

    /// The part within a range.
    fn part(&self, (low, high): (u16, u16)) -> Self {
        let cut = self.0.iter().map(|(from, to)| ((*from).max(low), (*to).min(high)));
        Self(cut.filter(|(from, to)| from <= to).collect())
    }

    /// The port of an index, the lowest for none.
    fn nth(&self, mut index: u32) -> u16 {
        for (low, high) in &self.0 {
            let size = u32::from(high - low) + 1;
            if index < size {
                return low + u16::try_from(index).unwrap_or(0);
            }
            index -= size;
        }
        self.0.first().map_or(0, |(low, _)| *low)
    }

    /// The index of a port; of one that is not there the next, else the first.
    fn index(&self, port: u16) -> u32 {
        let mut before = 0;
        for (low, high) in &self.0 {
            if port <= *high {
                return before + u32::from(port.saturating_sub(*low));
            }
            before += u32::from(high - low) + 1;
        }
        0
    }
}

fn is_busy(busy: Option<&Vec<bool>>, index: u32) -> bool {
    let mark = busy.and_then(|busy| busy.get(usize::try_from(index).ok()?));
    mark.copied().unwrap_or(false)
}

/// How often a random port is drawn before the search goes on one by one, and how many are looked at one by
/// one before all that are held are found in one go.
const DRAWS: u32 = 64;

/// The most sequential counters; of more the first is forgotten.
const MAX_COUNTERS: usize = 65_536;
