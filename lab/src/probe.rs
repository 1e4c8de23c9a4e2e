//! The probe: what a NAT of a lab really does, measured with two inside hosts and three outside endpoints.
//!
//! It needs a lab with the hosts `a` and `a2` behind NAT A and nothing else that talks, such as
//! [`Kind::OneNat`](crate::Kind::OneNat). The outside endpoints are two ports of the server's first
//! address and one of its second: what differs between the first two depends on the port, what
//! differs for the third alone depends on the address.

mod finer;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

pub use finer::Finer;

use crate::behaviour::{Behaviour, EarlyDatagram, Filtering, Hairpin, Mapping, Port, SynAnswer};
use crate::error::LabError;
use crate::lab::Lab;
use crate::nat::{NatKind, UnsolicitedSyn};
use crate::topology::{Kind, Topology};

/// Builds a lab with one NAT of a kind, measures it, and compares the result with what the kind declares.
///
/// What differs is measured once more, in another lab and with longer waits: on a busy machine a packet may be on its
/// way for longer than a silence is usually waited for.
///
/// # Errors
///
/// [`LabError::NotAsDeclared`] when the two differ; otherwise as [`Lab::build`].
pub fn prove(kind: NatKind, syn: UnsolicitedSyn, hairpin: bool) -> Result<Behaviour, LabError> {
    prove_in(kind, syn, hairpin, PATIENCE).or_else(|_| prove_in(kind, syn, hairpin, LONG_PATIENCE))
}

fn prove_in(kind: NatKind, syn: UnsolicitedSyn, hairpin: bool, patience: Duration) -> Result<Behaviour, LabError> {
    let mut topology = Topology::new(Kind::OneNat { hairpin });
    topology.nat_a = kind;
    topology.syn = syn;
    let lab = Lab::build(&topology)?;
    let probe = Probe::new(&lab, patience)?;
    let measured = probe.behaviour()?;
    let declared = kind.declared(syn, hairpin);
    agree(kind, &declared, &measured)?;
    if let NatKind::Model(model) = kind {
        let dependent = measured.mapping != Mapping::EndpointIndependent;
        let filters = measured.filtering != Filtering::EndpointIndependent;
        agree(kind, &Finer::of_model(&model), &finer::measure(&probe, dependent, filters)?)?;
    }
    Ok(measured)
}

fn agree<T: PartialEq + std::fmt::Debug>(kind: NatKind, declared: &T, measured: &T) -> Result<(), LabError> {
    if measured == declared {
        return Ok(());
    }
    Err(LabError::NotAsDeclared {
        kind: kind.name().to_owned(),
        declared: format!("{declared:?}"),
        measured: format!("{measured:?}"),
    })
}

/// Measures NAT A of a lab.
///
/// # Errors
///
/// [`LabError::NoSuch`] for a lab without the host `a2`; [`LabError::Io`] when not even the way out works.
pub fn probe(lab: &Lab) -> Result<Behaviour, LabError> {
    Probe::new(lab, PATIENCE)?.behaviour()
}

struct Probe<'a> {
    lab: &'a Lab,
    a: IpAddr,
    a2: IpAddr,
    /// Same address, other port, other address.
    outside: [UdpSocket; 3],
    listeners: [TcpListener; 3],
    /// How long silence has to last to count as none.
    patience: Duration,
}

impl<'a> Probe<'a> {
    fn new(lab: &'a Lab, patience: Duration) -> Result<Self, LabError> {
        let servers = lab.addresses("s")?;
        let [first, second] = servers[..] else {
            return Err(LabError::NoSuch("second address of s".into()));
        };
        let endpoints = [
            SocketAddr::new(first, FIRST_PORT),
            SocketAddr::new(first, FIRST_PORT + 1),
            SocketAddr::new(second, FIRST_PORT),
        ];
        let topology = lab.topology();
        let lines = [topology.line_a, topology.line_s];
        let (outside, listeners) = lab
            .run_on("s", || -> io::Result<_> {
                let udp = endpoints.map(UdpSocket::bind);
                let tcp = endpoints.map(TcpListener::bind);
                let [u1, u2, u3] = udp;
                let [t1, t2, t3] = tcp;
                Ok(([u1?, u2?, u3?], [t1?, t2?, t3?]))
            })?
            .map_err(|error| LabError::io("open the probe's outside sockets", error))?;
        for socket in &outside {
            socket.set_nonblocking(true).map_err(sockets)?;
        }
        for listener in &listeners {
            listener.set_nonblocking(true).map_err(sockets)?;
        }
        Ok(Self {
            lab,
            a: lab.address("a")?,
            a2: lab.address("a2")?,
            outside,
            listeners,
            patience: patience + lines.iter().map(|line| line.up.delay + line.down.delay).sum::<Duration>(),
        })
    }

    fn behaviour(&self) -> Result<Behaviour, LabError> {
        let (mapping, port) = self.mapping()?;
        Ok(Behaviour {
            mapping,
            port,
            filtering: self.filtering()?,
            early_datagram: self.early_datagram(mapping)?,
            hairpin: self.hairpin()?,
            tcp_mapping: self.tcp_mapping()?,
            unsolicited_syn: self.unsolicited_syn()?,
        })
    }

    /// One inside endpoint towards all outside ones. Both hosts use the same private port, so that a NAT
    /// that keeps ports has to show that it can tell them apart.
    fn mapping(&self) -> Result<(Mapping, Port), LabError> {
        let inside = self.inside("a", self.a, 40_000)?;
        let other = self.inside("a2", self.a2, 40_000)?;
        let seen = self.seen_by_all(&inside)?;
        let others = self.seen_by_all(&other)?;
        if seen.iter().any(|endpoint| others.contains(endpoint)) {
            return Err(LabError::io(
                "tell two inside hosts apart",
                io::Error::other(format!("both appear among {seen:?} and {others:?}")),
            ));
        }
        let port = if seen[0].port() == 40_000 { Port::Kept } else { Port::Other };
        Ok((classify(&seen), port))
    }

    /// After one datagram to the first outside endpoint, each of them sends to the mapping.
    fn filtering(&self) -> Result<Filtering, LabError> {
        let inside = self.inside("a", self.a, 40_001)?;
        let mapped = self.seen_by(&inside, 0)?;
        for (number, outside) in self.outside.iter().enumerate() {
            outside.send_to(&[number as u8], mapped).map_err(sockets)?;
        }
        let mut passed = [false; 3];
        while let Some((number, _)) = self.receive(&inside)? {
            if let Some(passed) = passed.get_mut(usize::from(number)) {
                *passed = true;
            }
        }
        match passed {
            [true, true, true] => Ok(Filtering::EndpointIndependent),
            [true, true, false] => Ok(Filtering::AddressDependent),
            [true, false, false] => Ok(Filtering::AddressAndPortDependent),
            other => Err(LabError::io("measure filtering", io::Error::other(format!("replies passed: {other:?}")))),
        }
    }

    /// A stranger sends to a mapping, and only then the inside sends to the stranger.
    fn early_datagram(&self, mapping: Mapping) -> Result<EarlyDatagram, LabError> {
        if mapping != Mapping::EndpointIndependent {
            return Ok(EarlyDatagram::NotApplicable);
        }
        let inside = self.inside("a", self.a, 40_002)?;
        let mapped = self.seen_by(&inside, 0)?;
        self.outside[2].send_to(&[0], mapped).map_err(sockets)?;
        std::thread::sleep(self.patience());
        let to_stranger = self.seen_by(&inside, 2)?;
        Ok(if to_stranger == mapped { EarlyDatagram::Harmless } else { EarlyDatagram::Spoils })
    }

    /// Two inside hosts send to each other's public endpoint, twice, so that a NAT which filters
    /// packets that turn around is not taken for one that turns none around.
    fn hairpin(&self) -> Result<Hairpin, LabError> {
        let one = self.inside("a", self.a, 40_003)?;
        let two = self.inside("a2", self.a2, 40_004)?;
        let (mapped_one, mapped_two) = (self.seen_by(&one, 0)?, self.seen_by(&two, 0)?);
        for _ in 0..2 {
            // A NAT may answer with an ICMP error, which the next send reports.
            let _ = one.send_to(&[1], mapped_two);
            let _ = two.send_to(&[2], mapped_one);
            std::thread::sleep(self.patience() / 4);
        }
        let private = SocketAddr::new(self.a, 40_003);
        Ok(match self.receive(&two)? {
            Some((_, from)) if from == mapped_one => Hairpin::ExternalSource,
            Some((_, from)) if from == private => Hairpin::InternalSource,
            Some((_, from)) => {
                return Err(LabError::io("measure hairpin", io::Error::other(format!("a packet came from {from}"))));
            }
            None => Hairpin::None,
        })
    }

    fn tcp_mapping(&self) -> Result<Mapping, LabError> {
        let mut seen = Vec::new();
        let mut open = Vec::new();
        for listener in &self.listeners {
            let (stream, endpoint) = self.connect_out(listener, 40_005)?;
            seen.push(endpoint);
            open.push(stream);
        }
        Ok(classify(&seen))
    }

    /// A host keeps a connection to the first server and listens on its port; the second server dials the
    /// mapping.
    fn unsolicited_syn(&self) -> Result<SynAnswer, LabError> {
        let private = SocketAddr::new(self.a, 40_006);
        let _listening = self
            .lab
            .run_on("a", || -> io::Result<_> {
                let socket = reusable(private)?;
                socket.listen(1)?;
                Ok(socket)
            })?
            .map_err(sockets)?;
        let (_connection, mapped) = self.connect_out(&self.listeners[0], 40_006)?;
        let stranger = self.outside[2].local_addr().map_err(sockets)?.ip();
        let dialled = self.lab.run_on("s", || -> io::Result<_> {
            let socket = reusable(SocketAddr::new(stranger, 0))?;
            socket.connect_timeout(&mapped.into(), self.patience())
        })?;
        match dialled {
            Ok(()) => Ok(SynAnswer::Admitted),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(SynAnswer::Reset),
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(SynAnswer::Dropped),
            Err(error) => Err(LabError::io("dial a mapping", error)),
        }
    }

    /// Connects from a port of `a`; returns the stream and the endpoint that the server sees.
    fn connect_out(&self, listener: &TcpListener, port: u16) -> Result<(Socket, SocketAddr), LabError> {
        let private = SocketAddr::new(self.a, port);
        let server = listener.local_addr().map_err(sockets)?;
        let socket = self.lab.run_on("a", || reusable(private))?.map_err(sockets)?;
        let doing = |error| LabError::io("connect to the probe's server", error);
        socket.connect_timeout(&server.into(), self.patience() * 4).map_err(doing)?;
        let (mut accepted, seen) = self.until(|| listener.accept()).map_err(doing)?;
        // The stream carries data, or it is none.
        accepted.write_all(&[1]).map_err(doing)?;
        socket.set_read_timeout(Some(self.patience())).map_err(doing)?;
        (&socket).read_exact(&mut [0]).map_err(doing)?;
        Ok((socket, seen))
    }

    fn inside(&self, host: &str, address: IpAddr, port: u16) -> Result<UdpSocket, LabError> {
        let socket = self.lab.run_on(host, || UdpSocket::bind((address, port)))?.map_err(sockets)?;
        socket.set_nonblocking(true).map_err(sockets)?;
        Ok(socket)
    }

    fn seen_by_all(&self, inside: &UdpSocket) -> Result<[SocketAddr; 3], LabError> {
        Ok([self.seen_by(inside, 0)?, self.seen_by(inside, 1)?, self.seen_by(inside, 2)?])
    }

    /// Sends from inside to one outside endpoint; returns where that sees it come from.
    fn seen_by(&self, inside: &UdpSocket, outside: usize) -> Result<SocketAddr, LabError> {
        let outside = &self.outside[outside];
        let target = outside.local_addr().map_err(sockets)?;
        inside.send_to(&[0], target).map_err(sockets)?;
        match self.receive(outside)? {
            Some((_, from)) => Ok(from),
            None => Err(LabError::io(
                "send a datagram out",
                io::Error::new(ErrorKind::TimedOut, format!("{target} has received nothing")),
            )),
        }
    }

    /// The next datagram's first octet and source, or nothing after a while.
    fn receive(&self, socket: &UdpSocket) -> Result<Option<(u8, SocketAddr)>, LabError> {
        let mut octets = [0; 16];
        match self.until(|| socket.recv_from(&mut octets)) {
            Ok((_, from)) => Ok(Some((octets[0], from))),
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(None),
            Err(error) => Err(sockets(error)),
        }
    }

    /// Repeats what does not block until it succeeds, or for as long as an answer may take.
    fn until<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let end = Instant::now() + self.patience();
        loop {
            match attempt() {
                // An ICMP error for an earlier datagram.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() >= end {
                        return Err(ErrorKind::TimedOut.into());
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                other => return other,
            }
        }
    }

    const fn patience(&self) -> Duration {
        self.patience
    }
}

fn classify(seen: &[SocketAddr]) -> Mapping {
    match seen {
        [first, port, address] if first == port && first == address => Mapping::EndpointIndependent,
        [first, port, _] if first == port => Mapping::AddressDependent,
        _ => Mapping::AddressAndPortDependent,
    }
}

/// A TCP socket of the calling thread's namespace that shares its port with others.
fn reusable(endpoint: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(endpoint), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&endpoint.into())?;
    Ok(socket)
}

fn sockets(error: io::Error) -> LabError {
    LabError::io("use the probe's sockets", error)
}

const FIRST_PORT: u16 = 3478;

/// How long silence has to last beyond the round trip to count as none.
const PATIENCE: Duration = Duration::from_millis(100);

/// The same where that was too short.
const LONG_PATIENCE: Duration = Duration::from_secs(1);
