//! A packet at every place that it passed: what a NAT sees, and what the ends see.

use pinhole_proto::wire::Packet as Message;
use pinhole_sim::packet::Body;
use pinhole_sim::{JourneyId, Place};
use serde::Serialize;

use super::{Field, changed, hex, image, of_plaintext, sealed_in};
use crate::hops::Hops;
use crate::run::Run;
use crate::text::Text;
use crate::words;

/// A packet as octets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BytesView {
    /// The packet.
    pub journey: u64,
    /// What it is.
    pub name: Text,
    /// As it was in each network, in order.
    pub captures: Vec<CaptureView>,
    /// What is sealed in it, if an engine of the run has the key.
    pub opened: Option<OpenedView>,
    /// What an onlooker cannot tell, where nothing could be opened.
    pub closed: Option<Text>,
}

/// A packet in one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaptureView {
    /// Where.
    pub place: Text,
    /// The step in which it was put on the line there.
    pub index: usize,
    /// Its octets, in hexadecimal.
    pub octets: String,
    /// What is where.
    pub layers: Vec<Field>,
    /// First octets and ends of what is not as in the network before.
    pub changed: Vec<(usize, usize)>,
}

/// What is sealed in a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenedView {
    /// The machine that has the key.
    pub by: String,
    /// The plaintext, in hexadecimal.
    pub octets: String,
    /// What is where in it.
    pub fields: Vec<Field>,
}

/// The view of a packet; none where there is no such packet.
#[must_use]
pub fn view(run: &Run, hops: &Hops, journey: JourneyId) -> Option<BytesView> {
    let end = run.end();
    let first = hops.journey(journey).next()?;
    let packet = &run.records()[first.record].packet;
    let mut captures: Vec<CaptureView> = Vec::new();
    let mut before: Option<Vec<u8>> = None;
    for hop in hops.journey(journey) {
        let record = &run.records()[hop.record];
        let image = image(&record.packet);
        let ranges = before.as_deref().map(|before| changed(before, &image.octets)).unwrap_or_default();
        let place = Text::of("capture.between")
            .with("from", end.trace().name(hop.from))
            .with("to", hop.to.map_or("?", |to| end.trace().name(to)));
        captures.push(CaptureView {
            place,
            index: hop.sent,
            octets: hex(&image.octets),
            layers: image.layers,
            changed: ranges.into_iter().map(|range| (range.start, range.end)).collect(),
        });
        before = Some(image.octets);
    }
    let octets = match &packet.body {
        Body::Udp(octets) => &octets[..],
        Body::Tcp(segment) => segment.octets.get(2..).unwrap_or_default(),
        Body::Icmp(_) => &[],
    };
    let sealed = Message::decode(octets).ok().and_then(|message| sealed_in(&message));
    let opened = sealed.and_then(|sealed| words::open(end, &sealed)).map(|(host, plaintext)| OpenedView {
        by: end.trace().name(Place::Host(host)).to_owned(),
        octets: hex(&plaintext),
        fields: of_plaintext(&plaintext),
    });
    let closed =
        opened.is_none().then(|| Text::of(if sealed.is_some() { "closed.no-key" } else { "closed.nothing-sealed" }));
    Some(BytesView { journey: journey.0, name: words::packet_name(end, packet), captures, opened, closed })
}
