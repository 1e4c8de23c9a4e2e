//! From observations to properties. Each rule is a row of the tables in `spec/behaviour.md`.

use alloc::vec::Vec;

use super::core::{FILTER, Findings, MAIN};
use super::report::{
    Allocation, Dependence, Hairpin, IdleTimeout, NatReport, Observation, Outcome, PermissionScope, Place, Probe,
    Property, Remnant, Unsolicited,
};
use super::sequence::classify;
use crate::endpoint::Endpoint;
use crate::engine::Transport;

pub(super) fn report(findings: &Findings) -> NatReport {
    let mapping = mapping(findings);
    let filtering = filtering(findings, mapping.value);
    let hairpin = hairpin(findings, &mapping, &filtering);
    NatReport {
        reachable: findings.main.is_some(),
        private: findings.main.map(|(private, _)| private),
        public: findings.main.map(|(_, public)| public),
        translated: translated(findings),
        permission: permission(findings, &mapping, &filtering),
        hairpin_filtered: hairpin_filtered(findings, &filtering),
        hairpin,
        port_preservation: preservation(findings),
        allocation: allocation(findings),
        unsolicited_syn: unsolicited(findings, mapping.value),
        look_alikes: look_alikes(findings),
        idle_timeout: idle_timeout(findings),
        mapping,
        filtering,
        observations: findings.observations.clone(),
    }
}

/// Endpoint-independent: one public endpoint towards all of the server's. Otherwise what had to change for another one.
pub(super) fn mapping(findings: &Findings) -> Property<Dependence> {
    let seen: Vec<(usize, &Observation, Endpoint)> = numbered(findings)
        .filter(|(_, o)| o.port == MAIN && o.probe == Probe::Observe)
        .filter_map(|(at, o)| Some((at, o, o.observed()?)))
        .collect();
    let towards = |to: Option<Endpoint>| seen.iter().filter(move |(_, o, _)| Some(o.to) == to).map(|(_, _, e)| *e);
    let evidence: Vec<usize> = seen.iter().map(|(at, _, _)| *at).collect();
    let servers = findings.servers;
    let mut main = towards(Some(servers.main));
    let Some(public) = main.next() else {
        return Property::unknown();
    };
    // One that moved meanwhile tells nothing.
    if main.any(|again| again != public) {
        return Property::unknown();
    }
    let port = towards(servers.alternates.other_port).next().map(|seen| seen == public);
    let address = towards(servers.alternates.other_address).next().map(|seen| seen == public);
    match (port, address) {
        (Some(false), _) => Property::proved(Dependence::AddressAndPortDependent, evidence),
        (Some(true), Some(false)) => Property::proved(Dependence::AddressDependent, evidence),
        (Some(true), Some(true)) => Property::proved(Dependence::EndpointIndependent, evidence),
        // The port makes no difference; of the address nothing is known, and the other way about.
        (Some(true), None) | (None, Some(true)) => Property::consistent(Dependence::EndpointIndependent, evidence),
        (None, Some(false)) => Property::consistent(Dependence::AddressAndPortDependent, evidence),
        (None, None) => Property::unknown(),
    }
}

fn translated(findings: &Findings) -> Property<bool> {
    let Some((private, public)) = findings.main else {
        return Property::unknown();
    };
    let evidence = numbered(findings).filter(|(_, o)| o.port == MAIN && o.observed().is_some()).map(|(at, _)| at);
    Property::proved(private != public, evidence.take(1).collect())
}

/// What reaches a port that has sent to the server's main endpoint only.
fn filtering(findings: &Findings, mapping: Option<Dependence>) -> Property<Dependence> {
    let evidence: Vec<usize> = replies(findings, FILTER).map(|(at, _)| at).collect();
    let arrived = |place| reply(findings, FILTER, place).filter(|arrived| *arrived || tells(findings, mapping, place));
    // What reached the main port, which has sent everywhere, shows that the server does answer from there.
    let able = |place| reply(findings, MAIN, place) == Some(true) || findings.transport == Transport::Tcp;
    if findings.transport == Transport::Udp && arrived(Place::Asked) != Some(true) {
        return Property::unknown();
    }
    let (port, address) = (arrived(Place::OtherPort), arrived(Place::OtherAddress));
    match (port, address) {
        (Some(true) | None, Some(true)) => Property::of(Dependence::EndpointIndependent, port.is_some(), evidence),
        (Some(true), Some(false)) => Property::of(Dependence::AddressDependent, able(Place::OtherAddress), evidence),
        (Some(false), Some(false) | None) => {
            Property::of(Dependence::AddressAndPortDependent, able(Place::OtherPort), evidence)
        }
        // By the port alone: no kind of RFC 4787. Without a second address the first two look alike.
        (Some(false), Some(true)) | (Some(true), None) | (None, Some(false) | None) => {
            Property { evidence, ..Property::unknown() }
        }
    }
}

/// Whether it means something that nothing came from `place`. A SYN may be let in and its answer leave by another
/// mapping: then no connection comes about, and nobody here knows.
fn tells(findings: &Findings, mapping: Option<Dependence>, place: Place) -> bool {
    let refused =
        replies(findings, FILTER).any(|(_, o)| o.probe == Probe::Reply(place) && o.outcome == Outcome::Refused);
    match (findings.transport, mapping) {
        (Transport::Udp, _) | (Transport::Tcp, Some(Dependence::EndpointIndependent)) => true,
        (Transport::Tcp, Some(Dependence::AddressDependent)) => refused || place == Place::OtherPort,
        (Transport::Tcp, Some(Dependence::AddressAndPortDependent) | None) => refused,
    }
}

/// Answers from elsewhere to a port that has sent there, but by another mapping.
fn permission(
    findings: &Findings,
    mapping: &Property<Dependence>,
    filtering: &Property<Dependence>,
) -> Property<PermissionScope> {
    let several = matches!(mapping.value, Some(Dependence::AddressDependent | Dependence::AddressAndPortDependent));
    let filtered = matches!(filtering.value, Some(Dependence::AddressDependent | Dependence::AddressAndPortDependent));
    if !several || !filtered || findings.transport == Transport::Tcp {
        return Property::unknown();
    }
    let evidence = replies(findings, MAIN).filter(|(_, o)| o.probe == Probe::Reply(Place::OtherAddress));
    let evidence: Vec<usize> = evidence.map(|(at, _)| at).collect();
    match reply(findings, MAIN, Place::OtherAddress) {
        Some(true) => Property::proved(PermissionScope::InternalEndpoint, evidence),
        // The server may be unable.
        Some(false) => Property::consistent(PermissionScope::Mapping, evidence),
        None => Property::unknown(),
    }
}

fn hairpin(findings: &Findings, mapping: &Property<Dependence>, filtering: &Property<Dependence>) -> Property<Hairpin> {
    let tried: Vec<(usize, &Observation)> =
        numbered(findings).filter(|(_, o)| matches!(o.probe, Probe::Hairpin { .. })).collect();
    let evidence: Vec<usize> = tried.iter().map(|(at, _)| *at).collect();
    if let Some(source) = tried.iter().find_map(|(_, o)| o.arrived()) {
        let inside = findings.own.contains(&source.address());
        let value = if inside { Hairpin::InternalSource } else { Hairpin::ExternalSource };
        return Property::proved(value, evidence);
    }
    let independent = mapping.value == Some(Dependence::EndpointIndependent);
    let unfiltered = filtering.value == Some(Dependence::EndpointIndependent);
    let plain = tried.iter().any(|(_, o)| o.probe == Probe::Hairpin { prepared: false });
    let prepared = tried.iter().any(|(_, o)| o.probe == Probe::Hairpin { prepared: true });
    // Where each port has one mapping, both have opened the way and still nothing came. Elsewhere the packet meets
    // a mapping that the filter may close.
    let tells = match findings.transport {
        Transport::Udp => plain && unfiltered || prepared && independent,
        // The answer to a SYN would leave by another mapping.
        Transport::Tcp => prepared && independent,
    };
    if tells {
        // What comes from the internal source has this machine's own address, and its system may drop it for that;
        // over TCP the answer to such a SYN goes past the NAT.
        return Property::consistent(Hairpin::None, evidence);
    }
    Property { evidence, ..Property::unknown() }
}

fn hairpin_filtered(findings: &Findings, filtering: &Property<Dependence>) -> Property<bool> {
    let arrived = numbered(findings).filter(|(_, o)| o.arrived().is_some());
    let at = |prepared: bool| {
        arrived.clone().filter(move |(_, o)| o.probe == Probe::Hairpin { prepared }).map(|(at, _)| at).next()
    };
    match (at(false), at(true)) {
        (Some(_), _) if filtering.value == Some(Dependence::EndpointIndependent) => Property::unknown(),
        (Some(at), _) if filtering.value.is_some() => Property::proved(false, alloc::vec![at]),
        // Nothing but the preparation differs; it may also have been luck after loss.
        (None, Some(at)) => Property::consistent(true, alloc::vec![at]),
        (Some(_) | None, _) => Property::unknown(),
    }
}

/// Whether the ports that were given out first, one to each private port, are the private ones.
fn preservation(findings: &Findings) -> Property<bool> {
    let firsts: Vec<(usize, bool)> = numbered(findings)
        .filter(|(_, o)| o.probe == Probe::Observe && o.to == findings.servers.main)
        .filter_map(|(at, o)| Some((at, o.observed()?.port() == o.from?.port())))
        .collect();
    let evidence: Vec<usize> = firsts.iter().map(|(at, _)| *at).collect();
    let kept = firsts.iter().filter(|(_, kept)| *kept).count();
    if firsts.is_empty() {
        return Property::unknown();
    }
    if kept == 0 {
        return Property::of(false, firsts.len() >= ENOUGH, evidence);
    }
    // One among many is chance.
    if kept * 2 < firsts.len() {
        return Property::consistent(false, evidence);
    }
    Property::of(true, kept >= ENOUGH && kept == firsts.len(), evidence)
}

/// The ports that were given out and are not the private ones, in their order.
fn allocation(findings: &Findings) -> Property<Allocation> {
    let mut seen: Vec<(usize, Endpoint)> = Vec::new();
    let (mut ports, mut evidence) = (Vec::new(), Vec::new());
    for (at, observation) in numbered(findings).filter(|(_, o)| o.probe == Probe::Observe) {
        let (Some(public), Some(from)) = (observation.observed(), observation.from) else {
            continue;
        };
        let fresh = !seen.contains(&(observation.port, public));
        if fresh {
            seen.push((observation.port, public));
        }
        if fresh && public.port() != from.port() {
            ports.push(public.port());
            evidence.push(at);
        }
    }
    match classify(&ports) {
        Some((value, certainty)) => Property { value: Some(value), certainty, evidence },
        None => Property { evidence, ..Property::unknown() },
    }
}

/// What the server's dials met that did not come in.
fn unsolicited(findings: &Findings, mapping: Option<Dependence>) -> Property<Unsolicited> {
    if findings.transport == Transport::Udp {
        return Property::unknown();
    }
    let means = |o: &Observation| match o.probe {
        Probe::Reply(place) => tells(findings, mapping, place),
        Probe::Observe | Probe::Hairpin { .. } | Probe::LookAlike(_) | Probe::Silence { .. } => false,
    };
    let met =
        |outcome: Outcome| replies(findings, FILTER).find(|(_, o)| o.outcome == outcome && means(o)).map(|(at, _)| at);
    match (met(Outcome::Refused), met(Outcome::Silent)) {
        (Some(at), None) => Property::proved(Unsolicited::Refused, alloc::vec![at]),
        (None, Some(at)) => Property::proved(Unsolicited::Dropped, alloc::vec![at]),
        (None, None) | (Some(_), Some(_)) => Property::unknown(),
    }
}

fn look_alikes(findings: &Findings) -> Property<bool> {
    let tried: Vec<(usize, Outcome)> = numbered(findings)
        .filter(|(_, o)| matches!(o.probe, Probe::LookAlike(_)) && o.outcome != Outcome::Silent)
        .map(|(at, o)| (at, o.outcome))
        .collect();
    let evidence = tried.iter().map(|(at, _)| *at).collect();
    match tried.iter().any(|(_, outcome)| *outcome == Outcome::Rewritten) {
        _ if tried.is_empty() => Property::unknown(),
        true => Property::proved(true, evidence),
        false => Property::proved(false, evidence),
    }
}

/// By what the end of a mapping would show; absent where by nothing.
pub(super) fn remnant(findings: &Findings) -> Option<Remnant> {
    let mapping = mapping(findings).value;
    let answers = |place| reply(findings, MAIN, place) == Some(true);
    match (mapping?, filtering(findings, mapping).value) {
        (Dependence::AddressAndPortDependent, _) => {
            let port = findings.servers.alternates.other_port;
            Some(Remnant::Mapping(if port.is_some() { Place::OtherPort } else { Place::OtherAddress }))
        }
        (Dependence::AddressDependent, _) => Some(Remnant::Mapping(Place::OtherAddress)),
        (Dependence::EndpointIndependent, Some(Dependence::AddressDependent | Dependence::AddressAndPortDependent))
            if answers(Place::OtherAddress) =>
        {
            Some(Remnant::Permission(Place::OtherAddress))
        }
        (Dependence::EndpointIndependent, Some(Dependence::AddressAndPortDependent)) if answers(Place::OtherPort) => {
            Some(Remnant::Permission(Place::OtherPort))
        }
        // Another mapping has the same port where that is the private one.
        (Dependence::EndpointIndependent, _) => {
            (preservation(findings).value == Some(false)).then_some(Remnant::Mapping(Place::Asked))
        }
    }
}

fn idle_timeout(findings: &Findings) -> Property<IdleTimeout> {
    let tried = numbered(findings).filter_map(|(at, o)| match o.probe {
        Probe::Silence { remnant, at_least_ms, at_most_ms } => Some((at, o.outcome, remnant, at_least_ms, at_most_ms)),
        Probe::Observe | Probe::Reply(_) | Probe::Hairpin { .. } | Probe::LookAlike(_) => None,
    });
    let evidence: Vec<usize> = tried.clone().map(|(at, ..)| at).collect();
    let kept = tried.clone().filter(|(_, outcome, ..)| *outcome == Outcome::Kept);
    let lost = tried.clone().filter(|(_, outcome, ..)| *outcome == Outcome::Lost);
    let at_least_ms = kept.clone().map(|(.., at_least, _)| at_least).max().unwrap_or(0);
    // A shorter silence that took something away was not the reason, or a packet was lost meanwhile.
    let later = lost.clone().filter(|(.., at_most)| *at_most > at_least_ms);
    let at_most_ms = later.clone().map(|(.., at_most)| at_most).min();
    let agree = lost.clone().count() == later.count();
    let found = IdleTimeout { at_least_ms, at_most_ms };
    // That a public endpoint did not change tells something where it is known to change.
    let by_mapping = tried.clone().any(|(_, _, remnant, ..)| matches!(remnant, Remnant::Mapping(_)));
    let proved = match at_most_ms {
        Some(_) => agree && lost.count() >= TWICE,
        None => !by_mapping,
    };
    if evidence.is_empty() { Property::unknown() } else { Property::of(found, proved, evidence) }
}

fn numbered(findings: &Findings) -> impl Iterator<Item = (usize, &Observation)> + Clone {
    findings.observations.iter().enumerate()
}

fn replies(findings: &Findings, port: usize) -> impl Iterator<Item = (usize, &Observation)> {
    numbered(findings).filter(move |(_, o)| o.port == port && matches!(o.probe, Probe::Reply(_)))
}

/// Whether the answer from `place` reached `port`; absent when that was not tried.
fn reply(findings: &Findings, port: usize, place: Place) -> Option<bool> {
    let mut tried = replies(findings, port).filter(|(_, o)| o.probe == Probe::Reply(place));
    tried.find(|(_, o)| o.outcome != Outcome::Untried).map(|(_, o)| o.arrived().is_some())
}

/// How many silences must have ended a mapping.
const TWICE: usize = 2;
/// How many ports must agree.
const ENOUGH: usize = 3;
