//! Which of the machine's addresses are served.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pinhole_proto::{Address, Family};

/// The addresses that a driver's ports belong to: for a family without one, all.
///
/// A port of one address is bound to it. A port of several is bound to the wildcard, and what arrives at any
/// other address is ignored; so every local port is one socket, whichever address an answer leaves from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses(Vec<IpAddr>);

impl Addresses {
    pub(crate) fn new(only: Vec<IpAddr>) -> Self {
        Self(only)
    }

    /// The address that sockets of `family` are bound to.
    pub(crate) fn source(&self, family: Family) -> IpAddr {
        let mut of_family = self.of(family);
        match (of_family.next(), of_family.next(), family) {
            (Some(only), None, _) => only,
            (_, _, Family::V4) => Ipv4Addr::UNSPECIFIED.into(),
            (_, _, Family::V6) => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Whether what was sent to `local` is for this driver.
    pub(crate) fn serves(&self, local: Address) -> bool {
        let family = if local.is_ipv4() { Family::V4 } else { Family::V6 };
        self.of(family).next().is_none() || self.0.contains(&local)
    }

    /// Those of a family; none means all.
    pub(crate) fn of(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        self.0.iter().copied().filter(move |address| address.is_ipv4() == (family == Family::V4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_bound_and_two_are_picked_out_of_all() {
        let [a, b, c]: [IpAddr; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|text| text.parse().unwrap());
        let one = Addresses::new(vec![a]);
        assert_eq!(one.source(Family::V4), a);
        assert_eq!(one.source(Family::V6), Ipv6Addr::UNSPECIFIED);
        assert!(one.serves(c));
        let two = Addresses::new(vec![a, b]);
        assert_eq!(two.source(Family::V4), Ipv4Addr::UNSPECIFIED);
        assert!(two.serves(a) && two.serves(b) && !two.serves("192.0.2.3".parse().unwrap()));
    }
}
