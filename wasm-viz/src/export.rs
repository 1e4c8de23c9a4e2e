//! What leaves the page: the ladder as a picture and as text, the packets as a capture file.

use std::fmt::Write as _;

use pinhole_sim::Place;
use pinhole_sim::nat::Decision;
use pinhole_sim::trace::{Record, What};

use crate::bytes::{Capture, image};
use crate::frame::{Fate, check_lines};
use crate::ladder::{HopRow, Ladder, PacketRow, Row};
use crate::run::Run;
use crate::text::{Operand, Text};
use crate::words::key_of;

/// A run as a capture file: one interface for each machine and network that it is in, each packet where it
/// was put on a line and where it arrived, with what became of it as a comment.
///
/// # Errors
/// The writer's, in words.
pub fn pcapng(run: &Run) -> Result<Vec<u8>, String> {
    let names = run.end();
    let mut places: Vec<(Place, pinhole_sim::RealmId)> = Vec::new();
    for record in run.records() {
        let here = [Some(record.from), record.to].into_iter().flatten();
        for place in here.map(|place| (place, record.realm)) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    let label = |(place, realm): &(Place, pinhole_sim::RealmId)| {
        format!("{} ({})", names.trace().name(*place), names.trace().realm_name(*realm))
    };
    let interfaces: Vec<String> = places.iter().map(label).collect();
    let mut file = Capture::new(&interfaces).map_err(|error| error.to_string())?;
    for record in run.records() {
        let arrives = matches!(record.what, What::Delivered(_) | What::NoSocket(_) | What::Decided(_));
        let place = if arrives { record.to.unwrap_or(record.from) } else { record.from };
        let Some(interface) = places.iter().position(|known| *known == (place, record.realm)) else { continue };
        let interface = u32::try_from(interface).unwrap_or(u32::MAX);
        let comment = comment(record);
        file.packet(interface, record.at.as_micros(), &image(&record.packet).octets, &comment)
            .map_err(|error| error.to_string())?;
    }
    Ok(file.into_octets())
}

/// What became of a packet, as keys and operands: what was decided, then a line for each check with what the packet
/// has, what that was compared with, and where the rule is written.
fn comment(record: &Record) -> String {
    match &record.what {
        What::Decided(receipt) => {
            let mut lines = match receipt.decision {
                Decision::Forwarded { source, destination } => {
                    format!("passed {}: {source} -> {destination}", key_of(&receipt.direction))
                }
                Decision::Dropped(rule) => format!("dropped: {}", key_of(&rule)),
                Decision::Answered(rule) => format!("answered: {}", key_of(&rule)),
            };
            for check in check_lines(receipt, record.packet.transport()) {
                let said = check.text.key.replace("check.", "").replace('.', " ");
                let _ =
                    write!(lines, "\n{said}: {} | {} ({})", plain(&check.found), plain(&check.against), check.source);
            }
            lines
        }
        What::Delivered(receipt) => format!("delivered: {}", key_of(&receipt.rule)),
        What::NoSocket(receipt) => format!("no-socket: {}", key_of(&receipt.rule)),
        What::Sent(_) => String::new(),
        What::Copied(_) => "copied".into(),
        What::Lost => "lost".into(),
        What::Cut => "cut".into(),
        What::Removed => "removed".into(),
        What::Held => "held".into(),
        What::NoRoute => "no-route".into(),
        What::TtlExpired => "ttl-expired".into(),
    }
}

/// The ladder as plain text, for e-mails and issues: a line for each hop.
#[must_use]
pub fn text(ladder: &Ladder) -> String {
    let width = ladder.columns.iter().map(String::len).max().unwrap_or(0).max(8) + 4;
    let mut out = format!("{:>10}  ", "ms");
    for column in &ladder.columns {
        let _ = write!(out, "{column:<width$}");
    }
    out.push('\n');
    for row in &ladder.rows {
        match row {
            Row::Folded { count, .. } => {
                let _ = writeln!(out, "{:>10}  +{count}", "");
            }
            Row::Note { time, text, .. } => {
                let _ = writeln!(out, "{:>6}.{:03}  {}", time / 1000, time % 1000, plain(text));
            }
            Row::Packet(packet) => {
                for (n, hop) in packet.hops.iter().enumerate() {
                    hop_line(&mut out, ladder, packet, hop, n == 0, width);
                }
            }
        }
    }
    out
}

fn hop_line(out: &mut String, ladder: &Ladder, packet: &PacketRow, hop: &HopRow, first: bool, width: usize) {
    let column = |name: &str| ladder.columns.iter().position(|known| known == name);
    let (Some(from), to) = (column(&hop.from), column(&hop.to)) else {
        return;
    };
    let to = to.unwrap_or(from);
    let mut line: Vec<u8> = Vec::new();
    for _ in &ladder.columns {
        line.push(b'|');
        line.extend(std::iter::repeat_n(b' ', width - 1));
    }
    if from != to {
        let (left, right) = (from.min(to) * width + 1, from.max(to) * width);
        line[left..right].fill(b'-');
        let lost = hop.fate != Fate::Passed && hop.fate != Fate::Delivered && hop.fate != Fate::Sent;
        match (from < to, lost) {
            (true, false) => line[right - 1] = b'>',
            (true, true) => line[right - 1] = b'X',
            (false, false) => line[left] = b'<',
            (false, true) => line[left] = b'X',
        }
    }
    let time = if first { format!("{}.{:03}", packet.time / 1000, packet.time % 1000) } else { String::new() };
    let step = packet.step.as_ref().filter(|_| first).map_or_else(String::new, |step| format!("{step}. "));
    let name = if first { plain(&packet.name) } else { String::new() };
    let fate = match (hop.fate, hop.text.as_ref().and_then(|text| text.with.get(&"rule"))) {
        (Fate::Passed, _) => String::new(),
        (Fate::Dropped | Fate::Answered, Some(Operand::Text(rule))) => {
            format!("  [{}: {}]", key_of(&hop.fate), plain(rule))
        }
        (fate, _) => format!("  [{}]", key_of(&fate)),
    };
    let drawn = String::from_utf8_lossy(&line);
    let _ = writeln!(out, "{time:>10}  {} {step}{name} {} -> {}{fate}", drawn.trim_end(), hop.source, hop.destination);
}

/// A text without templates: what its key ends with, and what goes into it.
fn plain(text: &Text) -> String {
    let parts = text.with.values().map(|operand| match operand {
        Operand::Literal(literal) => literal.clone(),
        Operand::Text(text) => plain(text),
        Operand::List(texts) => texts.iter().map(plain).collect::<Vec<_>>().join(" "),
    });
    let joined = parts.collect::<Vec<_>>().join(" ");
    match text.key.rsplit('.').next() {
        Some("literal") | None => joined,
        Some(kind) if joined.is_empty() => kind.to_owned(),
        Some(kind) => format!("{kind}: {joined}"),
    }
}
