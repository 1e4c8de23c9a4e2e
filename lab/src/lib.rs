//! Real packets through real NATs.
//!
//! A *lab* is a small internet on one machine: a server, two peers, and the NATs between them, made of
//! network namespaces. Programs run in it unchanged; their packets pass the kernel's own NAT, and lines
//! that take time and lose packets. What works here works because the packets got through.
//!
//! # The life of a lab
//!
//! A program calls [`enter`] first of all. That starts it again inside namespaces of its own, where it is
//! root over its own network and nobody else's: root on the machine is not needed, the machine's
//! network is not touched, and everything that is ever started inside ends with the program, however
//! it ends. Where the machine forbids this, the error says what is [`Missing`] and how to get it.
//!
//! [`Lab::build`] then turns a [`Topology`] into namespaces, in less than a tenth of a second:
//!
//! ```no_run
//! use std::time::Duration;
//! use pinhole_lab::{Kind, Lab, Line, NatKind, Topology, enter};
//!
//! fn main() -> Result<(), pinhole_lab::LabError> {
//!     enter()?;
//!     let mut topology = Topology::new(Kind::TwoNats);
//!     topology.nat_b = NatKind::PortRestrictedOtherPort;
//!     topology.line_a = Line::with_delay(Duration::from_millis(25)).losing(0.05, 1);
//!     let lab = Lab::build(&topology)?;
//!     let server = lab.command("s", "pinhole-server")?.spawn();
//!     let peer = lab.command("a", "pinhole-peer")?.arg("id").output();
//!     println!("{} octets on A's line", lab.wire("a")?.totals().octets());
//!     Ok(())
//! }
//! ```
//!
//! # Hosts, routers and lines
//!
//! Each host and each router is a namespace. [`Kind`] lists the networks and their addresses, which are
//! those of the draft's figures. Hosts hang on the LAN of a router by veth pairs and a bridge; the
//! interface of a host is `eth0`, those of a router are `wan` and `lan`.
//!
//! A site, which is a host or a router with a public address, hangs on the core by its access [`Line`]:
//! a TUN device whose other end is a thread of the program that built the lab. The thread carries a
//! packet from one site to another after the delay of both lines, or loses it, and rewrites nothing. A
//! packet to an address that no site has goes nowhere, as on the Internet. The thread sees every packet, and
//! [`Lab::wire`] gives its [`Recording`]: counts between two moments, and capture files.
//!
//! # NATs
//!
//! A router's behaviour is a handful of nftables rules; `nat/*.nft` holds them with the reasons.
//! [`NatKind`] has the draft's names, [`Behaviour`] the words of RFC 4787 for what they declare, and
//! [`probe`] measures the same from outside with ordinary sockets. [`prove`] compares the two: a table of
//! results behind some kind of NAT means something only where that NAT has been proved to be of the
//! kind.
//!
//! # NATs of the model
//!
//! [`NatKind::Model`] puts the simulator's NAT in front of the same packets: a [`Gateway`] on the router's
//! outside, which can be everything that `sim`'s `Behaviour` can say, sequential ports and address-dependent
//! mapping among it. `pinhole-lab behind` runs any program behind one.
//!
//! [`against`] sends generated packets through NATs of the kernel and through the model, and finds where the model
//! is not what the kernel is; `nat/differences.csv` says which differences are known, and why they are.
//!
//! # Trials
//!
//! [`trial`] runs the reference server and two peers in a lab and collects what they say; [`cells`] is the
//! table of networks, kinds of NAT and transports with what is expected of each; [`ladder`] draws the
//! packets of one connection.
//!
//! [`shares`] counts how often guessed ports hit, beside the closed form of `spec/prediction.md`.
//!
//! # What it does not do
//!
//! - Lines have no bandwidth, queue, jitter or reordering.
//! - The kernel's NATs draw public ports by a hash or at random, never one after the other; ICMP errors are
//!   translated as the kernel does it; a mapping lives as long as the kernel's flow (30 s, or 120 s once it
//!   has been two-way).
//! - The model's NATs translate IPv4, UDP, TCP and ICMP errors about these. They drop and count fragments
//!   (against RFC 4787, REQ-14), ICMP echoes, and everything else. They follow TCP's flags, not its windows.
//!   One of them can be behind another, but not behind one of the kernel.
//! - A NAT that turns packets around does not filter them on that way, and the symmetric kind does not
//!   turn any around.
//! - Linux only.

#![forbid(unsafe_code)]

pub mod against;
mod behaviour;
mod capture;
pub mod cells;
pub mod competing;
mod core;
mod enter;
mod error;
mod gateway;
mod lab;
pub mod ladder;
mod line;
mod namespace;
mod nat;
pub mod oracle;
mod plan;
mod probe;
mod program;
mod recording;
pub mod shares;
mod topology;
pub mod trial;
mod wiring;

pub use behaviour::{Behaviour, EarlyDatagram, Filtering, Hairpin, Mapping, Port, SynAnswer};
pub use capture::Capture;
pub use enter::{enter, missing};
pub use error::{LabError, Missing};
pub use gateway::{Counts, Gateway, PRESETS, Unread, behaviour, preset};
pub use lab::Lab;
pub use line::{Line, Way};
pub use nat::{NatKind, UnsolicitedSyn};
pub use probe::{Finer, probe, prove};
pub use recording::{Direction, Fate, KEPT_OCTETS, Packet, Recording, Totals};
pub use topology::{Kind, Topology};
