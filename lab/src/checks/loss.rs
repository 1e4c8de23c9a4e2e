//! Sessions over lines that lose packets.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::ensure;
use pinhole_lab::cells::{median, with_lines};
use pinhole_lab::trial::{Outcome, Over, text};
use pinhole_lab::{Kind, NatKind};

use super::Context;
use super::setting::{START, Setting, tail, with};

/// 25 ms and 5 % loss each way on every line: every session is direct within 10 s.
pub(crate) fn sessions(context: &Context) -> anyhow::Result<String> {
    let count = context.size(10, 100);
    let next = AtomicU32::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..context.size(2, 4) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let result = session(context, number);
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, result));
                }
            });
        }
    });
    let mut times = Vec::new();
    for (number, result) in results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        let ms = result.map_err(|error| error.context(format!("session {number}")))?;
        ensure!(ms <= 10_000.0, "session {number} became direct after {ms:.0} ms");
        times.push(ms);
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    let middle = median(times).unwrap_or(f64::NAN);
    Ok(format!("{count} of {count}, median {middle:.0} ms, worst {worst:.0} ms"))
}

fn session(context: &Context, number: u32) -> anyhow::Result<f64> {
    let topology = with(NatKind::PortRestrictedOtherPort, Kind::TwoNats);
    let mut topology = with_lines(topology, 25, 25, 0.05, u64::from(number) * 7 + 1);
    topology.seed = topology.seed.wrapping_add(number);
    let context = Context {
        directory: context.directory.join(number.to_string()),
        traces: context.traces.as_ref().map(|traces| traces.join(number.to_string())),
        programs: context.programs.clone(),
        full: context.full,
    };
    context.prepare()?;
    let setting = Setting::new(&context, &topology, Over::Udp)?;
    let (_b, id) = setting.listener("b", &[])?;
    let mut a = setting.peer("a", "a", &["ping", &id, "--hold", "--timeout", "12"])?;
    a.event("online", START)?;
    // Both have been registered for a while, so that the session alone is measured.
    std::thread::sleep(Duration::from_millis(500));
    a.write_line("go")?;
    let (events, _) = a.finish(START * 2)?;
    let outcome = Outcome::from_events(events);
    let direct = outcome.direct.as_ref().map(|path| text(path, "transport"));
    ensure!(direct.as_deref() == Some("udp"), "never direct: {}", tail(&outcome.events));
    Ok(outcome.direct_ms.unwrap_or(f64::INFINITY))
}
