//! A peer whose host gets another address.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use pinhole_lab::trial::{Over, Running, is, now_us, text};
use pinhole_lab::{NatKind, Topology};
use pinhole_proto::constants::{KEEPALIVE, KEEPALIVE_RETRY, MAX_UNANSWERED};

use super::Context;
use super::setting::{START, Setting, end, exchange, millis, silent_about, tail, two_nats};

/// A host moves from 10.0.0.1 to 10.0.0.77, as with a lease that ran out: its NAT gives it another public
/// endpoint, and nobody is told. Where B takes packets from anywhere, the path is proved again at once. Where
/// B's NAT does not, the session goes on over the relay once B has noticed by itself that the path is dead.
pub(crate) fn session(context: &Context) -> anyhow::Result<String> {
    let mut found = Vec::new();
    let dead = (KEEPALIVE + KEEPALIVE_RETRY * (u32::from(MAX_UNANSWERED) + 1)).as_secs_f64() * 1_000.0;
    let full = Topology { nat_b: NatKind::Full, ..two_nats() };
    for (name, topology, bar) in [("cone / full", full, 3_000.0), ("cone / cone", two_nats(), dead)] {
        let setting = Setting::new(context, &topology, Over::Udp)?;
        let (mut a, mut b) = setting.direct_session()?;
        exchange(&mut a, "before")?;
        let moved = now_us();
        go_to(&setting, "a", "10.0.0.1/24", "10.0.0.77/24", "10.0.0.254")?;
        let back = flow_again(&mut a, moved)?;
        ensure!(back <= bar, "{name}: data after {back:.0} ms, bar {bar:.0} ms");
        exchange(&mut a, "and on")?;
        for peer in [&mut a, &mut b] {
            silent_about(peer, &["closed", "failed"], moved)?;
        }
        let way = a.said().iter().rfind(|value| is(value, "selected")).map(|value| text(value, "kind"));
        end(a)?;
        found.push(format!("{name}: data after {back:.0} ms, then {}", way.unwrap_or_default()));
    }
    Ok(found.join("; "))
}

/// A registration moves, and whoever looks for the peer finds it where it is.
pub(crate) fn registration(context: &Context) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for over in [Over::Udp, Over::Tcp] {
        let setting = Setting::new(context, &two_nats(), over)?;
        let (mut b, id) = setting.listener("b", &[])?;
        let moved = now_us();
        go_to(&setting, "b", "10.1.1.3/24", "10.1.1.77/24", "10.1.1.254")?;
        let online = b.event_after("online", moved, START * 2).context("it does not register anew")?;
        ensure!(text(&online, "private").starts_with("10.1.1.77:"), "registered from elsewhere: {online}");
        let (events, status) = setting.peer("a", "a", &["ping", &id])?.finish(START)?;
        ensure!(status.success(), "nobody reaches it: {}", tail(&events));
        found.push(format!("{}: registered after {:.0} ms", over.name(), millis(moved, &online)));
    }
    Ok(found.join("; "))
}

/// Sends until something comes back that was sent after the move; milliseconds since then.
fn flow_again(peer: &mut Running, moved: u64) -> anyhow::Result<f64> {
    for _ in 0..PATIENCE_TRIES {
        peer.write_line("after the move")?;
        if let Ok(data) = peer.event_after("data", moved, TRY) {
            return Ok(millis(moved, &data));
        }
    }
    let said: Vec<_> = peer.said().iter().filter(|value| value["t_us"].as_u64() > Some(moved)).cloned().collect();
    anyhow::bail!("no data within {} s of the move; it said {}", (TRY * PATIENCE_TRIES).as_secs(), tail(&said))
}

fn go_to(setting: &Setting<'_>, host: &str, from: &str, to: &str, router: &str) -> anyhow::Result<()> {
    let steps: [&[&str]; 3] = [
        &["address", "del", from, "dev", "eth0"],
        &["address", "add", to, "dev", "eth0"],
        &["route", "add", "default", "via", router],
    ];
    for step in steps {
        let status = setting.lab.command(host, "ip")?.args(step).status()?;
        ensure!(status.success(), "ip {}: {status}", step.join(" "));
    }
    Ok(())
}

const TRY: Duration = Duration::from_millis(200);
const PATIENCE_TRIES: u32 = 150;
