//! `pinhole://<server key>@host:port`: where a server is and how it proves to be the one.

use alloc::string::{String, ToString as _};
use core::fmt;
use core::str::FromStr;

use crate::constants::DEFAULT_PORT;
use crate::key::{KeyError, ServerKey};

/// The address of a server as people write it (`spec/discovery.md`, "Server URLs").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// The server's key; when absent the first key seen is remembered by whoever runs the peer.
    pub key: Option<ServerKey>,
    /// A host name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The main port.
    pub port: u16,
}

/// Why a server URL was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Not `pinhole://`.
    Scheme,
    /// The part before `@` is not a public key.
    Key(KeyError),
    /// No host, or characters that no host name has.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("a server URL begins with pinhole://"),
            Self::Key(error) => write!(f, "the server key is {error}"),
            Self::Host => f.write_str("the host is missing or malformed"),
            Self::Port => f.write_str("the port is not a number from 1 to 65535"),
        }
    }
}

impl core::error::Error for UrlError {}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = text.strip_prefix("pinhole://").ok_or(UrlError::Scheme)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (key, place) = match rest.split_once('@') {
            Some((key, place)) => (Some(key.parse().map_err(UrlError::Key)?), place),
            None => (None, rest),
        };
        let (host, port) = if let Some(bracketed) = place.strip_prefix('[') {
            let (host, tail) = bracketed.split_once(']').ok_or(UrlError::Host)?;
            host.parse::<core::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
            (host, if tail.is_empty() { None } else { Some(tail.strip_prefix(':').ok_or(UrlError::Port)?) })
        } else {
            match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            }
        };
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(named) {
            return Err(UrlError::Host);
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(digits) => digits.parse().ok().filter(|&port| port != 0).ok_or(UrlError::Port)?,
        };
        Ok(Self { key, host: host.to_string(), port })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pinhole://")?;
        if let Some(key) = &self.key {
            write!(f, "{key}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_survives_being_written_and_read() {
        let key = ServerKey::new([9; 32]).unwrap();
        for host in ["example.org", "192.0.2.1", "2001:db8::1"] {
            for key in [None, Some(key)] {
                let url = ServerUrl { key, host: host.into(), port: 7 };
                assert_eq!(url.to_string().parse(), Ok(url));
            }
        }
        assert_eq!("pinhole://host".parse::<ServerUrl>().unwrap().port, DEFAULT_PORT);
    }

    #[test]
    fn each_fault_has_its_name() {
        let parse = |text: &str| text.parse::<ServerUrl>().unwrap_err();
        assert_eq!(parse("http://host"), UrlError::Scheme);
        assert_eq!(parse("pinhole://abc@host"), UrlError::Key(KeyError::Spelling));
        assert_eq!(parse("pinhole://"), UrlError::Host);
        assert_eq!(parse("pinhole://ho st"), UrlError::Host);
        assert_eq!(parse("pinhole://[::1"), UrlError::Host);
        assert_eq!(parse("pinhole://host:0"), UrlError::Port);
        assert_eq!(parse("pinhole://host:65536"), UrlError::Port);
    }
}
