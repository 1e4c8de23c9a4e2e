//! The behaviour of a NAT in the words of RFC 4787 and RFC 5382: what kinds declare and probes measure.

/// How a NAT behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Which remote endpoints see one inside UDP endpoint at the same public endpoint.
    pub mapping: Mapping,
    /// The same for TCP.
    pub tcp_mapping: Mapping,
    /// Which remote endpoints may send to a mapped UDP endpoint.
    pub filtering: Filtering,
    /// Whether the public port is the private one.
    pub port: Port,
    /// Whether an inside host reaches another one at its public endpoint.
    pub hairpin: Hairpin,
    /// What a datagram does that arrives before the inside has sent to its source.
    pub early_datagram: EarlyDatagram,
    /// What happens to a TCP SYN from a remote address that the inside has not contacted.
    pub unsolicited_syn: SynAnswer,
}

/// Which remote endpoints share a mapping (RFC 4787 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Each remote endpoint has its own.
    AddressAndPortDependent,
    /// All ports of one remote address.
    AddressDependent,
    /// All.
    EndpointIndependent,
}

/// From where packets to a mapped endpoint pass (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// Only from endpoints that the inside has sent to.
    AddressAndPortDependent,
    /// From every port of addresses that the inside has sent to.
    AddressDependent,
    /// From everywhere.
    EndpointIndependent,
}

/// How the public port relates to the private one (RFC 4787 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// It is the same.
    Kept,
    /// It is another.
    Other,
}

/// What becomes of a packet from inside to a public endpoint of the inside (RFC 4787 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hairpin {
    /// It arrives from the sender's public endpoint.
    ExternalSource,
    /// It arrives from the sender's private endpoint.
    InternalSource,
    /// It does not arrive.
    None,
}

/// Whether a datagram from a stranger changes how the inside later appears to that stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyDatagram {
    /// It does not.
    Harmless,
    /// The question does not arise: the stranger would see another public endpoint anyway.
    NotApplicable,
    /// The inside appears at another public endpoint than to everybody else.
    Spoils,
}

/// What a NAT does with an unsolicited SYN to a mapped endpoint (RFC 5382 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SynAnswer {
    /// It passes it to the inside.
    Admitted,
    /// It drops it silently, or what answers to it comes from another endpoint.
    Dropped,
    /// It answers with RST, or with an ICMP error, which a socket cannot tell from it.
    Reset,
}

impl Behaviour {
    /// What the probe measures behind a NAT of the model.
    #[must_use]
    pub fn of_model(model: &pinhole_sim::Behaviour) -> Self {
        use pinhole_sim::nat::{Dependence, Hairpin as Turning, Unsolicited};
        let mapping = match model.mapping {
            Dependence::EndpointIndependent => Mapping::EndpointIndependent,
            Dependence::AddressDependent => Mapping::AddressDependent,
            Dependence::AddressAndPortDependent => Mapping::AddressAndPortDependent,
        };
        Self {
            mapping,
            tcp_mapping: mapping,
            filtering: match model.filtering {
                Dependence::EndpointIndependent => Filtering::EndpointIndependent,
                Dependence::AddressDependent => Filtering::AddressDependent,
                Dependence::AddressAndPortDependent => Filtering::AddressAndPortDependent,
            },
            port: if model.preserve_port { Port::Kept } else { Port::Other },
            hairpin: match model.hairpin {
                Turning::None => Hairpin::None,
                Turning::ExternalSource => Hairpin::ExternalSource,
                Turning::InternalSource => Hairpin::InternalSource,
            },
            early_datagram: match (mapping, model.spoiled_by_early) {
                (Mapping::AddressDependent | Mapping::AddressAndPortDependent, _) => EarlyDatagram::NotApplicable,
                (Mapping::EndpointIndependent, None) => EarlyDatagram::Harmless,
                (Mapping::EndpointIndependent, Some(_)) => EarlyDatagram::Spoils,
            },
            unsolicited_syn: match (model.filtering, model.unsolicited_syn) {
                (Dependence::EndpointIndependent, _) if mapping == Mapping::EndpointIndependent => SynAnswer::Admitted,
                // The SYN is admitted, but its answer leaves by another mapping.
                (Dependence::EndpointIndependent, _) => SynAnswer::Dropped,
                (_, Unsolicited::LetIn) if mapping == Mapping::EndpointIndependent => SynAnswer::Admitted,
                // What is put off comes after the probe has stopped waiting.
                (_, Unsolicited::Drop | Unsolicited::LetIn | Unsolicited::IcmpDelayed) => SynAnswer::Dropped,
                (_, Unsolicited::Reset | Unsolicited::Icmp) => SynAnswer::Reset,
            },
        }
    }
}
