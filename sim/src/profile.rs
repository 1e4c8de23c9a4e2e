//! What a check found, as a behaviour: the NAT on the way, put into virtual time.

use pinhole_proto::Duration;
use pinhole_proto::netcheck::{self, NatReport, Report};

use crate::nat::{Behaviour, Dependence, FreshPort, Hairpin, Kind, PermissionScope, Translation, Unsolicited};

/// The behaviour of the NAT that `report` is about; what was not seen has its default.
///
/// A timeout is put in the middle of its bounds. A field that both transports share is what UDP showed, or TCP where UDP did not get through.
#[must_use]
pub fn behaviour(report: &Report) -> Behaviour {
    let mut behaviour = Behaviour::default();
    let reached = |half: &&NatReport| half.reachable;
    let udp = report.udp.as_ref();
    let tcp = report.tcp.as_ref().filter(reached);
    behaviour.block_udp = udp.is_some_and(|udp| !udp.reachable) && tcp.is_some();
    let udp = udp.filter(reached);
    if let Some(half) = udp.or(tcp) {
        shared(&mut behaviour, half);
    }
    if let Some(tcp) = tcp {
        let mapping = tcp.mapping.value.map(dependence);
        behaviour.tcp_mapping = mapping.filter(|mapping| *mapping != behaviour.mapping).map(Kind::from);
        let filtering = tcp.filtering.value.map(dependence);
        behaviour.tcp_filtering = filtering.filter(|filtering| *filtering != behaviour.filtering).map(Kind::from);
        if let Some(answer) = tcp.unsolicited_syn.value {
            behaviour.unsolicited_syn = match answer {
                netcheck::Unsolicited::Dropped => Unsolicited::Drop,
                netcheck::Unsolicited::Refused => Unsolicited::Reset,
            };
        }
    }
    if let Some(rewritten) = udp.and_then(|udp| udp.look_alikes.value) {
        behaviour.rewrite_payload = rewritten;
    }
    if let Some(idle) = udp.and_then(|udp| udp.idle_timeout.value) {
        let least = Duration::from_millis(idle.at_least_ms);
        behaviour.udp_idle = match idle.at_most_ms.map(Duration::from_millis) {
            // Whole milliseconds, as a profile has them, and not none.
            Some(most) => Duration::from_millis(((least + most) / 2).as_millis() as u64 + 1),
            None => behaviour.udp_idle.max(least),
        };
    }
    behaviour
}

fn shared(behaviour: &mut Behaviour, half: &NatReport) {
    if half.translated.value == Some(false) {
        behaviour.translation = Translation::Firewall;
    }
    if let Some(mapping) = half.mapping.value {
        behaviour.mapping = dependence(mapping);
    }
    if let Some(filtering) = half.filtering.value {
        behaviour.filtering = dependence(filtering);
    }
    if let Some(permission) = half.permission.value {
        behaviour.permission = match permission {
            netcheck::PermissionScope::Mapping => PermissionScope::Mapping,
            netcheck::PermissionScope::InternalEndpoint => PermissionScope::InternalEndpoint,
        };
    }
    if let Some(hairpin) = half.hairpin.value {
        behaviour.hairpin = match hairpin {
            netcheck::Hairpin::None => Hairpin::None,
            netcheck::Hairpin::ExternalSource => Hairpin::ExternalSource,
            netcheck::Hairpin::InternalSource => Hairpin::InternalSource,
        };
    }
    if let Some(filtered) = half.hairpin_filtered.value {
        behaviour.hairpin_filtered = filtered;
    }
    if let Some(preserved) = half.port_preservation.value {
        behaviour.preserve_port = preserved;
    }
    match half.allocation.value {
        Some(netcheck::Allocation::Sequential { first, step }) => {
            behaviour.fresh_port = FreshPort::Sequential;
            behaviour.first_port = first;
            let (lowest, highest) = behaviour.ports;
            // The model counts up, round and round.
            let around = if step.cast_signed() < 0 { highest.wrapping_sub(lowest).wrapping_add(1) } else { 0 };
            behaviour.port_step = around.wrapping_add(step);
        }
        Some(netcheck::Allocation::Random) => behaviour.fresh_port = FreshPort::Random,
        None => {}
    }
}

const fn dependence(found: netcheck::Dependence) -> Dependence {
    match found {
        netcheck::Dependence::EndpointIndependent => Dependence::EndpointIndependent,
        netcheck::Dependence::AddressDependent => Dependence::AddressDependent,
        netcheck::Dependence::AddressAndPortDependent => Dependence::AddressAndPortDependent,
    }
}
