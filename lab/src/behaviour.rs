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
    /// It drops it silently.
    Dropped,
    /// It answers with RST.
    Reset,
}
