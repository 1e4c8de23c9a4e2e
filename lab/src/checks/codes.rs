//! What ends a peer badly: its reason code and its exit code.

use anyhow::{Context as _, ensure};
use pinhole_lab::trial::{Over, Running, is, text};
use pinhole_lab::{Kind, NatKind};
use pinhole_proto::noise::{Dalek, public_key};

use super::Context;
use super::setting::{START, Setting, millis, tail, two_nats, with};

pub(crate) fn no_server(context: &Context) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for over in BOTH {
        let mut setting = Setting::new(context, &two_nats(), over)?;
        setting.kill_server();
        let a = setting.peer("a", "a", &["ping", &nobody()])?;
        found.push(format!("{}: {}", over.name(), failure(a, "server-unreachable", 3)?));
    }
    Ok(found.join("; "))
}

pub(crate) fn not_registered(context: &Context) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for over in BOTH {
        let setting = Setting::new(context, &two_nats(), over)?;
        let a = setting.peer("a", "a", &["ping", &nobody()])?;
        found.push(format!("{}: {}", over.name(), failure(a, "not-registered", 4)?));
    }
    Ok(found.join("; "))
}

pub(crate) fn no_path(context: &Context) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for over in BOTH {
        let setting = Setting::new(context, &with(NatKind::Symmetric, Kind::TwoNats), over)?;
        let (_b, id) = setting.listener("b", &[])?;
        // Long enough for every attempt: the time limit of ping is none of its failures.
        let a = setting.peer("a", "a", &["ping", &id, "--relay", "never", "--timeout", "60"])?;
        found.push(format!("{}: {}", over.name(), failure(a, "both-endpoint-dependent", 5)?));
    }
    Ok(found.join("; "))
}

pub(crate) fn wrong_key(context: &Context) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for over in BOTH {
        let setting = Setting::new(context, &two_nats(), over)?;
        let url = format!("pinhole://{}@{}", nobody(), setting.address("s")?);
        let a = setting.peer_of(&url, "a", "a", &["ping", &nobody()])?;
        found.push(format!("{}: {}", over.name(), failure(a, "server-key-differs", 6)?));
    }
    Ok(found.join("; "))
}

pub(crate) fn one_key(context: &Context) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for over in BOTH {
        let setting = Setting::new(context, &two_nats(), over)?;
        let (older, id) = setting.listener("b", &[])?;
        let mut newer = setting.peer("a", "b", &["listen", "--echo"])?;
        let online = newer.event("online", START)?;
        ensure!(text(&online, "id") == id, "the key file was not shared: {online}");
        let told = failure(older, "replaced", 6)?;
        // The newer one is who is reached from here on.
        let third = setting.peer("b", "third", &["ping", &id])?;
        let (events, status) = third.finish(START)?;
        ensure!(status.success(), "nobody reaches the newer one: {}", tail(&events));
        newer.event("established", START)?;
        found.push(format!("{}: {told}", over.name()));
    }
    Ok(found.join("; "))
}

pub(crate) fn usage(context: &Context) -> anyhow::Result<String> {
    let setting = Setting::new(context, &two_nats(), Over::Udp)?;
    let wrong: [&[&str]; 4] = [&["ping"], &["ping", "nobody"], &["fly"], &["ping", &nobody(), "--count", "many"]];
    for arguments in wrong {
        let (_, status) = setting.peer("a", "a", arguments)?.finish(START)?;
        ensure!(status.code() == Some(2), "{arguments:?}: {status}");
    }
    let (_, own) = setting.listener("b", &[])?;
    let (events, status) = setting.peer("a", "b", &["ping", &own])?.finish(START)?;
    ensure!(status.code() == Some(2), "a session with itself: {status}, {}", tail(&events));
    Ok(format!("{} wrong command lines, and a session with itself", wrong.len()))
}

/// That a peer fails with this code and this exit code; when it did.
fn failure(peer: Running, code: &str, exit: i32) -> anyhow::Result<String> {
    let (events, status) = peer.finish(START * 4)?;
    let failed =
        events.iter().rfind(|value| is(value, "failed")).with_context(|| format!("it said {}", tail(&events)))?;
    let said = (text(failed, "code"), failed["exit"].as_i64(), status.code());
    ensure!(said == (code.to_owned(), Some(i64::from(exit)), Some(exit)), "{failed}, and then {status}");
    let begin = events.first().and_then(|value| value["t_us"].as_u64()).unwrap_or(u64::MAX);
    let ms = failed["ms"].as_f64().unwrap_or_default().max(millis(begin, failed));
    Ok(format!("{code} after {ms:.0} ms"))
}

/// The id of somebody who is nowhere.
fn nobody() -> String {
    public_key(&Dalek, &[7; 32]).to_string()
}

const BOTH: [Over; 2] = [Over::Udp, Over::Tcp];
