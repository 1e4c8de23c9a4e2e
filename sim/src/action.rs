//! What may be done to a world: the one alphabet of tests, fuzzers and the page.
//!
//! A run is a function of what was built, a seed and a list of [`Action`]s; in JSON the list is that of the
//! scenario files: `{"do": "cut", "machine": "NAT A"}`. Machines and networks go by their names.

mod read;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pinhole_proto::peer::StrategySet;
use pinhole_proto::{Address, CommandError, Duration, Endpoint, Transport};
use serde::Serialize;

use crate::link::Line;
use crate::nat::{Behaviour, FieldError};
use crate::world::{Fault, TooManyFaults};
use crate::{CrossingSyn, millis};

/// Something that is done to a world or by an application in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// Time passes; whatever is due happens.
    Wait {
        /// How many milliseconds, at most [`MAX_WAIT`].
        ms: u64,
    },
    /// A peer asks for a session with another.
    Connect {
        /// Who.
        host: String,
        /// With whom.
        to: String,
        /// Over one transport only.
        #[serde(skip_serializing_if = "Option::is_none")]
        transport: Option<Transport>,
    },
    /// A peer sends a datagram in its latest session with another.
    Send {
        /// Who.
        host: String,
        /// To whom.
        to: String,
        /// What.
        text: String,
    },
    /// A peer appends octets to the byte stream of its latest session with another: those that
    /// [`octet_at`](crate::cast::octet_at) has for the places in the stream.
    Write {
        /// Who.
        host: String,
        /// To whom.
        to: String,
        /// How many octets, at most [`MAX_WRITE`]; what the window does not take is not written.
        octets: u32,
    },
    /// A peer ends its byte stream to another after what was written.
    Finish {
        /// Who.
        host: String,
        /// To whom.
        to: String,
    },
    /// A peer's application takes everything that has arrived of a byte stream: the window opens again.
    Take {
        /// Who.
        host: String,
        /// From whom.
        to: String,
    },
    /// A peer ends its latest session with another.
    Close {
        /// Who.
        host: String,
        /// With whom.
        to: String,
    },
    /// A peer ends everything in order.
    Shutdown {
        /// Who.
        host: String,
    },
    /// The process on a host dies.
    Stop {
        /// Which host.
        host: String,
    },
    /// The process on a host starts anew, with its configuration and without its memory; one that runs dies.
    Start {
        /// Which host.
        host: String,
    },
    /// A host moves to another network or to other addresses.
    Move {
        /// Which host.
        host: String,
        /// Into which network.
        realm: String,
        /// Its addresses there.
        addresses: Vec<Address>,
    },
    /// Who takes a SYN that matches a dial and a listener, on a host, from here on.
    SetCrossing {
        /// Which host.
        host: String,
        /// Who.
        taker: CrossingSyn,
    },
    /// The strategies that the attempts of a peer may have, from its next start on.
    SetStrategies {
        /// Which host.
        host: String,
        /// The strategies, by their names in `spec/registries/strategies.csv`.
        #[serde(with = "crate::strategies")]
        strategies: StrategySet,
    },
    /// A NAT behaves otherwise from here on.
    SetNat {
        /// Which NAT.
        nat: String,
        /// How.
        behaviour: Behaviour,
    },
    /// A NAT behaves otherwise in one respect.
    SetField {
        /// Which NAT.
        nat: String,
        /// One of [`Behaviour::FIELDS`].
        field: String,
        /// What [`Behaviour::set`] reads.
        value: String,
    },
    /// A NAT restarts: its table is empty.
    Reboot {
        /// Which NAT.
        nat: String,
    },
    /// A machine's line (a NAT's outer one) carries nothing.
    Cut {
        /// Which machine.
        machine: String,
    },
    /// A machine's line carries packets again.
    Restore {
        /// Which machine.
        machine: String,
    },
    /// A machine's line is another one.
    SetLine {
        /// Which machine.
        machine: String,
        /// The line.
        line: Line,
    },
    /// Something happens to chosen packets.
    Fault(Fault),
    /// A plain host sends a datagram.
    Datagram {
        /// Which host.
        host: String,
        /// From which of its open ports.
        port: u16,
        /// Where to.
        to: Endpoint,
        /// Its time to live.
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl: Option<u8>,
        /// What.
        text: String,
    },
    /// A plain host dials.
    Dial {
        /// Which host.
        host: String,
        /// From which of its listening ports.
        port: u16,
        /// Where to.
        to: Endpoint,
    },
    /// A plain host writes to its stream with an endpoint.
    Say {
        /// Which host.
        host: String,
        /// The stream's port there.
        port: u16,
        /// The stream's other end.
        to: Endpoint,
        /// What.
        text: String,
    },
    /// A plain host ends its stream with an endpoint, or gives up its dial to it.
    HangUp {
        /// Which host.
        host: String,
        /// The stream's port there.
        port: u16,
        /// The stream's other end.
        to: Endpoint,
    },
    /// A plain host competes for a NAT's ports: it sends one datagram each from fresh ports.
    Compete {
        /// Which host.
        host: String,
        /// Where to.
        to: Endpoint,
        /// How many.
        count: u32,
        /// The time between two, in milliseconds.
        #[serde(rename = "every-ms", with = "millis")]
        every: Duration,
    },
}

/// Why an action did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionError {
    /// No machine of the right kind has this name.
    UnknownMachine(String),
    /// No network has this name.
    UnknownRealm(String),
    /// The host runs no engine that understands the action.
    WrongRole(String),
    /// Nothing runs on the host.
    NotRunning(String),
    /// The peer has no session with the other one.
    NoSession(String, String),
    /// The address is another machine's there, or is given twice.
    AddressTaken(Address),
    /// The wait is longer than [`MAX_WAIT`].
    WaitTooLong,
    /// The engine refused.
    Refused(CommandError),
    /// The NAT cannot be so.
    Field(FieldError),
    /// Too many faults wait.
    Faults(TooManyFaults),
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMachine(name) => write!(f, "no such machine here: `{name}`"),
            Self::UnknownRealm(name) => write!(f, "no such network: `{name}`"),
            Self::WrongRole(name) => write!(f, "what runs on `{name}` does not understand that"),
            Self::NotRunning(name) => write!(f, "nothing runs on `{name}`"),
            Self::NoSession(name, to) => write!(f, "`{name}` has no session with `{to}`"),
            Self::AddressTaken(address) => write!(f, "{address} is taken"),
            Self::WaitTooLong => write!(f, "a wait above {MAX_WAIT} ms"),
            Self::Refused(error) => write!(f, "refused: {error}"),
            Self::Field(error) => error.fmt(f),
            Self::Faults(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ActionError {}

impl From<CommandError> for ActionError {
    fn from(error: CommandError) -> Self {
        Self::Refused(error)
    }
}

impl From<FieldError> for ActionError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

impl From<TooManyFaults> for ActionError {
    fn from(error: TooManyFaults) -> Self {
        Self::Faults(error)
    }
}

/// The longest [`Action::Wait`]: a day, in milliseconds.
pub const MAX_WAIT: u64 = 86_400_000;

/// The most octets of an [`Action::Write`].
pub const MAX_WRITE: u32 = 1 << 20;
