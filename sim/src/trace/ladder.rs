//! The ladder: machines as columns, time downwards.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Names, Record, What};
use crate::nat::{Decision, Receipt};
use crate::world::{JourneyId, Place};
use pinhole_proto::sorted::{SortedMap, SortedSet};

pub(super) fn draw(records: &[Record], names: &Names, words: &SortedMap<JourneyId, String>) -> String {
    let places: SortedSet<Place> = records.iter().flat_map(|record| [Some(record.from), record.to]).flatten().collect();
    let columns = order(places, records);
    let width = columns.iter().map(|place| names.place(*place).len() + 3).max().unwrap_or(0).max(11);
    let mut out = String::from("        ms  ");
    for place in &columns {
        out += &format!("{:<width$}", names.place(*place));
    }
    out += "\n";
    for record in records {
        let Some(note) = note(record) else {
            continue;
        };
        let micros = record.at.as_micros();
        let line = lifelines(record, &columns, width);
        let realm = names.realm(record.realm);
        let word = words.get(&record.journey).map(|word| format!("  ({word})")).unwrap_or_default();
        out +=
            &format!("{:>6}.{:03}  {line}  [{realm}] {}{note}{word}\n", micros / 1000, micros % 1000, record.packet,);
    }
    out
}

/// Columns in the order in which the machines appear, but for the first that sends on: of two that appear
/// together later, the nearer one to the rest comes first, as in A, NAT A, S, NAT B, B.
fn order(mut places: SortedSet<Place>, records: &[Record]) -> Vec<Place> {
    let mut columns: Vec<Place> = Vec::new();
    for record in records {
        let mut pair = [Some(record.from), record.to];
        if !columns.is_empty() {
            pair.reverse();
        }
        for place in pair.into_iter().flatten() {
            if places.remove(&place) {
                columns.push(place);
            }
        }
    }
    columns
}

fn lifelines(record: &Record, columns: &[Place], width: usize) -> String {
    let mut line: Vec<u8> = Vec::new();
    for _ in columns {
        line.push(b'|');
        line.extend(core::iter::repeat_n(b' ', width - 1));
    }
    let column = |place: Place| columns.iter().position(|other| *other == place);
    let from = column(record.from);
    let to = record.to.and_then(column);
    match (&record.what, from, to) {
        (What::Sent(_) | What::Copied(_) | What::Lost | What::Cut | What::Removed | What::Held, Some(a), Some(b))
            if a != b =>
        {
            let (left, right) = (a.min(b) * width + 1, a.max(b) * width);
            line[left..right].fill(b'-');
            if a < b {
                line[right - 1] = b'>';
            } else {
                line[left] = b'<';
            }
            if matches!(record.what, What::Lost | What::Cut | What::Removed) {
                line[left.midpoint(right)] = b'x';
            }
        }
        (What::Decided(_) | What::NoSocket(_), _, Some(at)) | (_, Some(at), None) => {
            line[at * width] = b'x';
        }
        _ => {}
    }
    String::from_utf8_lossy(&line).trim_end().into()
}

/// What to say behind the packet; none for what needs no row.
fn note(record: &Record) -> Option<String> {
    Some(match &record.what {
        What::Sent(_) => record.effect.map_or_else(String::new, |effect| format!("  fault: {effect:?}")),
        What::Copied(_) => "  (copy)".into(),
        What::Lost => "  lost".into(),
        What::Cut => "  line cut".into(),
        What::Removed => "  removed".into(),
        What::Held => "  held back".into(),
        What::NoRoute => "  no route".into(),
        What::TtlExpired => "  ttl expired".into(),
        What::NoSocket(receipt) => format!("  no socket: {:?}", receipt.rule),
        What::Delivered(_) => return None,
        What::Decided(receipt) => return verdict(receipt),
    })
}

fn verdict(receipt: &Receipt) -> Option<String> {
    match receipt.decision {
        Decision::Forwarded { .. } => None,
        Decision::Dropped(rule) => Some(format!("  dropped: {rule:?}")),
        Decision::Answered(rule) => Some(format!("  refused: {rule:?}")),
    }
}
