//! A trace with a line of every kind.

use std::net::IpAddr;

use pinhole_proto::{
    Endpoint, Family, Input, Instant, Interface, NetError, Output, SocketId, StreamId, StreamInput, Transport,
};
use pinhole_trace::{Engine, Header, In, Line, Octets, Out, Shard, What};
use serde_json::Value;

pub(crate) const ERRORS: [NetError; 8] = [
    NetError::AddressInUse,
    NetError::AddressNotAvailable,
    NetError::Unreachable,
    NetError::NotPermitted,
    NetError::Refused,
    NetError::Reset,
    NetError::TimedOut,
    NetError::Other,
];

pub(crate) fn header() -> Header<'static> {
    let mut header = Header::new(Engine::Server, "pinhole-server 0.1.0");
    header.id = Some("ks4bkf".to_owned());
    header.servers = vec!["192.0.2.1:4653".parse().unwrap(), "[2001:db8::1]:4653".parse().unwrap()];
    header.shard = Some(Shard { number: 1, of: 2 });
    header.seed = Some(Octets(vec![7; 32].into()));
    header
}

fn inputs(own: &[Interface]) -> Vec<Input<'_>> {
    let remote: Endpoint = "192.0.2.1:4653".parse().unwrap();
    let local: Endpoint = "[fd00::2]:40001".parse().unwrap();
    let address: IpAddr = "192.0.2.2".parse().unwrap();
    let (socket, stream) = (SocketId(3), StreamId(u64::MAX));
    let mut inputs = vec![
        Input::Timeout,
        Input::Interfaces(own),
        Input::Interfaces(&[]),
        Input::Opened { socket, local },
        Input::Datagram { socket, local: address, remote, payload: &[0, 0xff, 0x7f] },
        Input::Datagram { socket, local: address, remote, payload: &[] },
    ];
    let streams = [
        StreamInput::Accepted { socket, local, remote },
        StreamInput::Connected { local },
        StreamInput::Received(&[1, 2]),
        StreamInput::Written(u32::MAX),
        StreamInput::Closed(None),
    ];
    inputs.extend(streams.map(|what| Input::Stream { stream, what }));
    for error in ERRORS {
        inputs.push(Input::OpenFailed { socket, error });
        inputs.push(Input::Rejected { socket, remote, error });
        inputs.push(Input::Stream { stream, what: StreamInput::Closed(Some(error)) });
    }
    inputs
}

fn outputs() -> Vec<Output<'static, Value>> {
    let remote: Endpoint = "192.0.2.1:4653".parse().unwrap();
    let local = Some("192.0.2.2".parse().unwrap());
    let (socket, stream) = (SocketId(u32::MAX), StreamId(2));
    vec![
        Output::Open { socket, transport: Transport::Udp, family: Family::V4, port: 0, share: None },
        Output::Open { socket, transport: Transport::Tcp, family: Family::V6, port: 9, share: Some(SocketId(1)) },
        Output::Shut { socket },
        Output::Transmit { socket, local: None, remote, ttl: None, payload: &[0xc0, 0xde] },
        Output::Transmit { socket, local, remote, ttl: Some(3), payload: &[] },
        Output::Dial { stream, from: socket, local: None, remote, ttl: None },
        Output::Dial { stream, from: socket, local, remote, ttl: Some(255) },
        Output::Write { stream, octets: &[9] },
        Output::Read { stream, on: true },
        Output::Close { stream, abort: false },
        Output::Event(serde_json::json!({ "online": { "transport": "udp" } })),
        Output::Event(serde_json::json!("stopped")),
        Output::Wait(None),
        Output::Wait(Some(Instant::from_micros(u64::MAX))),
    ]
}

/// The lines, one microsecond after the other, and their number.
pub(crate) fn lines() -> (String, usize) {
    let own = [
        Interface { address: "192.0.2.2".parse().unwrap(), prefix: 24 },
        Interface { address: "fd00::2".parse().unwrap(), prefix: 64 },
    ];
    let (inputs, outputs) = (inputs(&own), outputs());
    let mut whats: Vec<What<'_, &Value>> = inputs.iter().map(|input| What::In(In::from(input))).collect();
    whats.extend(outputs.iter().map(|output| What::Out(Out::from(output))));
    let (command, reply) = (serde_json::json!({ "connect": { "peer": "a" } }), serde_json::json!("done"));
    whats.extend([What::Command(&command), What::Reply(&reply), What::Unsent(17)]);
    whats.push(pinhole_proto::Discard::TooShort.into());
    let count = whats.len();
    let mut file = Vec::new();
    for (t, what) in (0..).zip(whats) {
        Line { t: Instant::from_micros(t), what }.to_line(&mut file).unwrap();
    }
    (String::from_utf8(file).unwrap(), count)
}

/// The whole file.
pub(crate) fn file() -> String {
    header().to_line() + &lines().0
}
