//! Behaviours of the model by name.

use std::io::ErrorKind;
use std::time::Duration;

use pinhole_sim::nat::{Dependence, PermissionScope, Unsolicited};
use pinhole_sim::{Behaviour, Hairpin};

use crate::error::LabError;

/// The behaviour of this name.
#[must_use]
pub fn preset(name: &str) -> Option<Behaviour> {
    PRESETS.iter().find(|(known, _, _)| *known == name).map(|(_, _, behaviour)| *behaviour)
}

/// The behaviour that a name or a file says: a preset, or JSON with the fields of `sim`'s `Behaviour`.
///
/// # Errors
///
/// [`LabError::NoSuch`] where it is neither; [`LabError::Io`] with what is wrong in the file.
pub fn behaviour(name: &str) -> Result<Behaviour, LabError> {
    if let Some(behaviour) = preset(name) {
        return Ok(behaviour);
    }
    let text = match std::fs::read_to_string(name) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let known: Vec<_> = PRESETS.iter().map(|(name, _, _)| *name).collect();
            return Err(LabError::NoSuch(format!("{name}, neither a file nor one of {}", known.join(", "))));
        }
        Err(error) => return Err(LabError::io(format!("read {name}"), error)),
    };
    serde_json::from_str(&text).map_err(|error| LabError::io(format!("read {name}"), std::io::Error::other(error)))
}

/// Name, what it stands for, behaviour.
pub const PRESETS: &[(&str, &str, Behaviour)] = &[
    ("full-cone", "endpoint-independent mapping and filtering", Behaviour::full_cone()),
    (
        "address-restricted",
        "endpoint-independent mapping, address-dependent filtering",
        Behaviour::address_restricted(),
    ),
    (
        "port-restricted",
        "endpoint-independent mapping, address-and-port-dependent filtering",
        Behaviour::port_restricted(),
    ),
    (
        "address-dependent",
        "address-dependent mapping, address-and-port-dependent filtering, random ports",
        Behaviour::port_restricted().with_mapping(Dependence::AddressDependent),
    ),
    ("symmetric", "address-and-port-dependent mapping and filtering, random ports", Behaviour::symmetric()),
    (
        "symmetric-sequential",
        "address-and-port-dependent mapping and filtering, ports one after the other",
        Behaviour::symmetric_sequential(SEQUENTIAL),
    ),
    (
        "symmetric-internal-permission",
        "as symmetric, but whoever the inside endpoint sent to may use each of its mappings",
        Behaviour { permission: PermissionScope::InternalEndpoint, ..Behaviour::symmetric() },
    ),
    (
        "symmetric-open",
        "address-and-port-dependent mapping, endpoint-independent filtering",
        Behaviour::symmetric().with_filtering(Dependence::EndpointIndependent),
    ),
    (
        "hairpin-internal-source",
        "as port-restricted, and turns packets around with the sender's private endpoint, unfiltered",
        Behaviour { hairpin_filtered: false, ..Behaviour::port_restricted().with_hairpin(Hairpin::InternalSource) },
    ),
    (
        "hairpin-filtered",
        "as port-restricted, and turns packets around that its filter admits",
        Behaviour::port_restricted().with_hairpin(Hairpin::ExternalSource),
    ),
    (
        "short-timeout",
        "as port-restricted, with UDP mappings that live for 2 s",
        Behaviour { udp_idle: Duration::from_secs(2), ..Behaviour::port_restricted() },
    ),
    (
        "unsolicited-rst",
        "as port-restricted, and answers unsolicited SYNs with a reset",
        Behaviour::port_restricted().with_unsolicited_syn(Unsolicited::Reset),
    ),
    (
        "unsolicited-icmp",
        "as port-restricted, and answers unsolicited SYNs with an ICMP error",
        Behaviour::port_restricted().with_unsolicited_syn(Unsolicited::Icmp),
    ),
    (
        "unsolicited-icmp-delayed",
        "as port-restricted, and answers unsolicited SYNs with an ICMP error after 6 s (RFC 5382, REQ-4)",
        Behaviour::port_restricted().with_unsolicited_syn(Unsolicited::IcmpDelayed),
    ),
];

/// The first port of the presets that give ports out one after the other: the draft's 62000.
const SEQUENTIAL: u16 = 62_000;
