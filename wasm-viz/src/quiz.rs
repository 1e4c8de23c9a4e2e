//! Questions before a NAT decides. The question is made of the packet and the table as they are before the
//! step; the answer is what the step after it shows, not the receipt that the question was made of.

use pinhole_proto::Endpoint;
use pinhole_proto::sorted::SortedSet;
use pinhole_sim::nat::Row;
use pinhole_sim::trace::What;
use pinhole_sim::{Place, World};
use serde::Serialize;

use crate::frame::Fate;
use crate::hops::{Hop, Hops};
use crate::run::Run;
use crate::text::Text;
use crate::words;

/// A question about the step after the one shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// The step that answers it.
    pub index: usize,
    /// The packet that it is about.
    pub journey: u64,
    /// The question.
    pub text: Text,
    /// The choices; one of them is right.
    pub choices: Vec<Choice>,
}

/// A choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// In words.
    pub text: Text,
    #[serde(skip)]
    claim: Claim,
}

/// What a choice says will happen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Claim {
    /// The packet goes on from this endpoint; a hairpin changes where it goes, too.
    PassesFrom(Endpoint),
    /// The packet goes on to this endpoint.
    PassesTo(Endpoint),
    /// It goes on with a source port that nobody can foretell.
    PassesFromFreshPort,
    /// It is dropped in silence.
    Dropped,
    /// It is answered.
    Answered,
}

/// How an answer was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Graded {
    /// Whether it was right.
    pub right: bool,
    /// The right choice.
    pub answer: usize,
    /// What happened, in words.
    pub text: Text,
}

/// The question about step `index`, if a NAT decides in it. `before` is the world before the step.
#[must_use]
pub fn question(run: &Run, hops: &Hops, index: usize, before: &World) -> Option<Question> {
    let names = run.end();
    let hop = deciding(run, hops, index)?;
    let Some(Place::Nat(nat)) = hop.to else {
        return None;
    };
    let packet = &run.records()[hop.arrival?.1].packet;
    let here = before.nat(nat);
    let name = before.trace().name(Place::Nat(nat));
    let outbound = hop.arrival.is_some_and(|(_, at)| run.records()[at].realm == before.inside(nat));
    let mut choices = Vec::new();
    if outbound {
        let own = here.rows().filter(|row| row.internal == packet.source && row.transport == packet.transport());
        let ports = likeliest(own, MAX_PASSES - 1, |row| {
            if row.sessions.contains_key(&packet.destination) {
                return (0, row.external);
            }
            let mut known = row.sessions.keys().map(|remote| remote.address());
            (if known.any(|address| address == packet.destination.address()) { 1 } else { 2 }, row.external)
        });
        choices.extend(ports.into_iter().map(|source| Choice {
            text: Text::of("choice.passes-from").with("source", source),
            claim: Claim::PassesFrom(source),
        }));
        choices.push(Choice {
            text: Text::of("choice.passes-fresh").with("address", here.address()),
            claim: Claim::PassesFromFreshPort,
        });
    } else {
        let inside =
            likeliest(here.rows(), MAX_PASSES, |row| (u8::from(row.external != packet.destination), row.internal));
        choices.extend(inside.into_iter().map(|destination| Choice {
            text: Text::of("choice.passes-to").with("destination", destination),
            claim: Claim::PassesTo(destination),
        }));
    }
    choices.push(Choice { text: Text::of("choice.dropped"), claim: Claim::Dropped });
    choices.push(Choice { text: Text::of("choice.answered"), claim: Claim::Answered });
    let text = Text::of("question.decision")
        .with("nat", name)
        .with_text("packet", words::packet_name(names, packet))
        .with("source", packet.source)
        .with("destination", packet.destination);
    Some(Question { index, journey: hop.journey.0, text, choices })
}

/// Compares an answer with what the step shows.
#[must_use]
pub fn grade(run: &Run, question: &Question, choice: usize) -> Graded {
    let names = run.end();
    let records = &run.records()[run.steps()[question.index].records.clone()];
    let of = |record: &&pinhole_sim::trace::Record| record.journey.0 == question.journey;
    // What follows in the step: the packet on the next line, an answer, or nothing.
    let decided = records.iter().filter(of).find(|record| matches!(record.what, What::Decided(_)));
    let sent = records.iter().filter(of).find(|record| crate::frame::fate(&record.what) == Fate::Sent);
    let answered = records.iter().any(|record| !of(&record) && crate::frame::fate(&record.what) == Fate::Sent);
    let holds = |choice: &Choice| match (&choice.claim, sent) {
        (Claim::PassesFrom(source), Some(sent)) => sent.packet.source == *source,
        (Claim::PassesTo(destination), Some(sent)) => sent.packet.destination == *destination,
        (Claim::PassesFromFreshPort, Some(sent)) => !question
            .choices
            .iter()
            .any(|other| matches!(other.claim, Claim::PassesFrom(source) if source == sent.packet.source)),
        (Claim::Dropped, None) => !answered,
        (Claim::Answered, None) => answered,
        (Claim::PassesFrom(_) | Claim::PassesTo(_) | Claim::PassesFromFreshPort, None)
        | (Claim::Dropped | Claim::Answered, Some(_)) => false,
    };
    let answer = question.choices.iter().position(holds).unwrap_or(usize::MAX);
    let text = decided.map_or_else(
        || Text::of("question.over"),
        |record| {
            words::happening(names, record.to, &record.packet, &words::packet_name(names, &record.packet), &record.what)
        },
    );
    Graded { right: choice == answer, answer, text }
}

/// The hop that ends at a NAT in step `index`.
fn deciding<'a>(run: &Run, hops: &'a Hops, index: usize) -> Option<&'a Hop> {
    let step = run.steps().get(index)?;
    hops.all().iter().find(|hop| {
        matches!(hop.to, Some(Place::Nat(_)))
            && hop.arrival.is_some_and(|(at, record)| at == index && step.records.contains(&record))
    })
}

/// The endpoints of rows that are worth asking for, by how far `rank` has them from the packet; in an order that
/// does not tell which.
fn likeliest<'a>(
    rows: impl Iterator<Item = &'a Row>,
    most: usize,
    rank: impl Fn(&Row) -> (u8, Endpoint),
) -> Vec<Endpoint> {
    let ranked: SortedSet<(u8, Endpoint)> = rows.map(rank).collect();
    let mut endpoints = SortedSet::new();
    for (_, endpoint) in ranked.iter() {
        if endpoints.len() < most {
            endpoints.insert(*endpoint);
        }
    }
    endpoints.iter().copied().collect()
}

/// The most choices that say that the packet passes.
const MAX_PASSES: usize = 3;
