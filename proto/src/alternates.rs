//! The server's other endpoints, as they are used to see how a NAT behaves (`spec/behaviour.md`).

use crate::endpoint::Endpoint;

/// What differs from a main endpoint in one respect only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Alternates {
    /// The same address with another port.
    pub(crate) other_port: Option<Endpoint>,
    /// Another address with the same port.
    pub(crate) other_address: Option<Endpoint>,
}

impl Alternates {
    /// Those of `main` among what `Discovered` lists.
    pub(crate) fn of(main: Endpoint, listed: &[Endpoint]) -> Self {
        let loopback = main.address().is_loopback();
        let usable = |endpoint: &Endpoint| {
            let reachable =
                endpoint.is_candidate() || loopback && endpoint.address().is_loopback() && endpoint.port() != 0;
            endpoint.family() == main.family() && reachable
        };
        let find = |fits: fn(Endpoint, Endpoint) -> bool| {
            listed.iter().copied().find(|&endpoint| usable(&endpoint) && fits(main, endpoint))
        };
        Self {
            other_port: find(|main, other| main.address() == other.address() && main.port() != other.port()),
            other_address: find(|main, other| main.address() != other.address() && main.port() == other.port()),
        }
    }

    /// Whether `endpoint` is one of them.
    pub(crate) fn contains(&self, endpoint: Endpoint) -> bool {
        self.other_port == Some(endpoint) || self.other_address == Some(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_differs_from_the_main_endpoint_in_one_respect() {
        let all = ["192.0.2.2:4654", "[2001:db8::1]:4654", "127.0.0.1:4653", "192.0.2.1:4654", "192.0.2.2:4653"];
        let all = all.map(|text| text.parse().unwrap());
        let main = "192.0.2.1:4653".parse().unwrap();
        let found = Alternates::of(main, &all);
        assert_eq!(found.other_port, Some(all[3]));
        assert_eq!(found.other_address, Some(all[4]));
        assert!(found.contains(all[3]) && !found.contains(all[0]));
        assert_eq!(Alternates::of(main, &all[..3]), Alternates::default());
    }
}
