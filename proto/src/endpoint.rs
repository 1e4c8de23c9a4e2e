//! Endpoints: an address and a port.
//!
//! On the wire (`spec/wire.md`, "Endpoint"): family (1 octet, 4 or 6), address (4 or 16 octets),
//! port (2 octets, big-endian). An IPv4-mapped IPv6 address would be a second spelling of an IPv4
//! endpoint, so it is malformed; here it cannot be built.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An IPv4 or IPv6 address.
pub type Address = IpAddr;

/// An address and a port, in the sense of RFC 4787. Never an IPv4-mapped IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    address: IpAddr,
    port: u16,
}

/// The address family of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Endpoint {
    /// The endpoint of `address` and `port`; an IPv4-mapped IPv6 address becomes the IPv4 address.
    #[must_use]
    pub const fn new(address: Address, port: u16) -> Self {
        // [R-WIRE-028]
        Self { address: address.to_canonical(), port }
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> Address {
        self.address
    }

    /// The port.
    #[must_use]
    pub const fn port(self) -> u16 {
        self.port
    }

    /// The address family.
    #[must_use]
    pub const fn family(self) -> Family {
        match self.address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// The same address with another port.
    #[must_use]
    pub const fn with_port(self, port: u16) -> Self {
        Self { address: self.address, port }
    }

    /// Whether a packet may be sent there at all: not unspecified, loopback, multicast, broadcast or
    /// port 0 (`spec/punching.md`, "What is never a candidate"). Loopback is allowed where both ends are.
    #[must_use]
    pub fn is_candidate(self) -> bool {
        let broadcast = matches!(self.address, IpAddr::V4(v4) if v4.is_broadcast());
        self.port != 0
            && !self.address.is_unspecified()
            && !self.address.is_loopback()
            && !self.address.is_multicast()
            && !broadcast
    }

    /// The address's realm prefix that counts as "one source": an IPv4 address, or an IPv6 /64.
    #[must_use]
    pub fn source_prefix(self) -> Address {
        match self.address {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => {
                let mut octets = v6.octets();
                octets[8..].fill(0);
                IpAddr::V6(Ipv6Addr::from(octets))
            }
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl FromStr for Endpoint {
    type Err = core::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        SocketAddr::from_str(text).map(Self::from)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(socket: SocketAddr) -> Self {
        Self::new(socket.ip(), socket.port())
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.address, endpoint.port)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        let port = self.port.to_be_bytes();
        match self.address {
            IpAddr::V4(v4) => {
                let mut tuple = serializer.serialize_tuple(3)?;
                tuple.serialize_element(&4u8)?;
                tuple.serialize_element(&v4.octets())?;
                tuple.serialize_element(&port)?;
                tuple.end()
            }
            IpAddr::V6(v6) => {
                let mut tuple = serializer.serialize_tuple(3)?;
                tuple.serialize_element(&6u8)?;
                tuple.serialize_element(&v6.octets())?;
                tuple.serialize_element(&port)?;
                tuple.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = alloc::string::String::deserialize(deserializer)?;
            return text.parse().map_err(D::Error::custom);
        }
        deserializer.deserialize_tuple(3, EndpointVisitor)
    }
}

struct EndpointVisitor;

impl<'de> Visitor<'de> for EndpointVisitor {
    type Value = Endpoint;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("family, address, port")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Endpoint, A::Error> {
        let missing = || A::Error::custom("endpoint cut short");
        let address = match seq.next_element::<u8>()?.ok_or_else(missing)? {
            4 => {
                let octets: [u8; 4] = seq.next_element()?.ok_or_else(missing)?;
                IpAddr::V4(Ipv4Addr::from(octets))
            }
            6 => {
                let octets: [u8; 16] = seq.next_element()?.ok_or_else(missing)?;
                let v6 = Ipv6Addr::from(octets);
                // [R-WIRE-025]
                if v6.to_ipv4_mapped().is_some() {
                    return Err(A::Error::custom("IPv4-mapped address"));
                }
                IpAddr::V6(v6)
            }
            _ => return Err(A::Error::custom("unknown address family")),
        };
        let port: [u8; 2] = seq.next_element()?.ok_or_else(missing)?;
        Ok(Endpoint { address, port: u16::from_be_bytes(port) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // [R-WIRE-028]
    #[test]
    fn an_ipv4_mapped_address_has_one_spelling() {
        let mapped: Endpoint = "[::ffff:192.0.2.1]:7".parse().unwrap();
        assert_eq!(mapped, "192.0.2.1:7".parse().unwrap());
        let mut octets = alloc::vec![6u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, 0, 7];
        assert!(postcard::from_bytes::<Endpoint>(&octets).is_err());
        octets[11] = 0;
        assert!(postcard::from_bytes::<Endpoint>(&octets).is_ok());
    }

    #[test]
    fn the_layout_is_family_address_port_in_network_order() {
        let endpoint: Endpoint = "192.0.2.1:4653".parse().unwrap();
        assert_eq!(postcard::to_allocvec(&endpoint).unwrap(), [4, 192, 0, 2, 1, 0x12, 0x2d]);
    }
}
