//! The server dies, with SIGKILL, and comes back.

use std::io::Write as _;
use std::process::ChildStdin;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use pinhole_lab::trial::{Over, Running, is, now_us, text};
use pinhole_proto::constants::REFRESH;

use super::Context;
use super::setting::{START, Setting, end, exchange, millis, silent_about, two_nats};

pub(crate) fn direct_udp(context: &Context) -> anyhow::Result<String> {
    direct(context, Over::Udp)
}

pub(crate) fn direct_tcp(context: &Context) -> anyhow::Result<String> {
    direct(context, Over::Tcp)
}

/// Longer than it takes to notice that keepalives stay unanswered (15 s and three times 3 s), and than consent
/// lasts (30 s).
fn direct(context: &Context, over: Over) -> anyhow::Result<String> {
    let mut setting = Setting::new(context, &two_nats(), over)?;
    let (mut a, mut b) = setting.direct_session()?;
    exchange(&mut a, "before")?;
    setting.kill_server();
    let killed = now_us();
    let after = exchange(&mut a, "right after")?;
    let silence = context.size(Duration::from_secs(33), Duration::from_secs(90));
    // The time itself is what is tested.
    thread::sleep(silence);
    let late = exchange(&mut a, "after a long silence")?;
    for peer in [&mut a, &mut b] {
        silent_about(peer, &["path-lost", "closed", "selected"], killed)?;
    }
    end(a)?;
    Ok(format!("echo after {after:.0} ms, and after {} s of silence after {late:.0} ms", silence.as_secs()))
}

/// Down for a moment and down for longer, so that waits between tries count.
pub(crate) fn registration_tcp(context: &Context) -> anyhow::Result<String> {
    let mut setting = Setting::new(context, &two_nats(), Over::Tcp)?;
    let (a, _) = setting.listener("a", &[])?;
    let (b, id) = setting.listener("b", &[])?;
    let mut peers = [a, b];
    let mut found = Vec::new();
    for seconds in context.size([0, 1, 4], [0, 7, 45]) {
        setting.kill_server();
        thread::sleep(Duration::from_secs(seconds));
        let listening = setting.start_server()?;
        for peer in &mut peers {
            let back = millis(listening, &peer.event_after("online", listening, START)?);
            ensure!(back <= 1_000.0, "{back:.0} ms after a server that was down for {seconds} s listened");
            found.push(format!("{back:.0} ms ({seconds} s down)"));
        }
    }
    reachable(&setting, peers, &id)?;
    Ok(found.join(", "))
}

pub(crate) fn registration_udp(context: &Context) -> anyhow::Result<String> {
    let mut setting = Setting::new(context, &two_nats(), Over::Udp)?;
    let (a, _) = setting.listener("a", &[])?;
    let (b, id) = setting.listener("b", &[])?;
    let mut peers = [a, b];
    let mut found = Vec::new();
    for &seconds in context.size([1].as_slice(), &[1, 10, 70]) {
        setting.kill_server();
        thread::sleep(Duration::from_secs(seconds));
        let listening = setting.start_server()?;
        for peer in &mut peers {
            let back = millis(listening, &peer.event_after("online", listening, REFRESH + START)?);
            let bar = REFRESH.as_secs_f64() * 1_000.0;
            ensure!(back <= bar, "{back:.0} ms after a server that was down for {seconds} s listened, bar {bar:.0} ms");
            found.push(format!("{:.1} s ({seconds} s down)", back / 1_000.0));
        }
    }
    reachable(&setting, peers, &id)?;
    Ok(found.join(", "))
}

/// That the peer of this id can be reached; the one on A makes room for the one that tries.
fn reachable(setting: &Setting<'_>, [a, mut b]: [Running; 2], id: &str) -> anyhow::Result<()> {
    drop(a);
    let a = setting.peer("a", "a", &["ping", id])?;
    let (events, status) = a.finish(START)?;
    ensure!(status.success(), "nobody reaches it: {}", super::setting::tail(&events));
    b.event("established", START)?;
    Ok(())
}

/// A byte stream there and back through the relay, with the server killed in the middle. Everything that
/// was written has to come back, in order, and the program has to end well.
pub(crate) fn relayed_tcp(context: &Context) -> anyhow::Result<String> {
    let mut setting = Setting::new(context, &two_nats(), Over::Tcp)?;
    let (_b, id) = setting.listener("b", &[])?;
    let mut a = setting.peer("a", "a", &["connect", &id, "--relay", "only"])?;
    let selected = a.event("selected", START)?;
    ensure!(selected["kind"] == "relayed", "not relayed: {selected}");
    let lines = context.size(60_000, 1_000_000);
    let input = a.take_input().context("no input")?;
    let writer = thread::spawn(move || write_numbers(input, lines));
    let mut stream = Stream::default();
    stream.read(&mut a, NUMBER * lines / 4, START)?;
    let before = stream.length;
    setting.kill_server();
    let killed = now_us();
    thread::sleep(Duration::from_secs(2));
    let listening = setting.start_server()?;
    let online = millis(listening, &a.event_after("online", listening, START)?);
    stream.read(&mut a, stream.length + 1, RESUME).context("nothing arrives after the restart")?;
    let resumed = Instant::now();
    stream.read(&mut a, NUMBER * lines, RESUME + START)?;
    writer.join().ok().context("the writer panicked")??;
    silent_about(&mut a, &["closed", "failed"], killed)?;
    end(a)?;
    Ok(format!(
        "{} octets came back whole, {before} of them before the server was killed; registered after {online:.0} ms, \
         the rest within {:.1} s",
        stream.length,
        resumed.elapsed().as_secs_f64()
    ))
}

pub(crate) fn relayed_udp(context: &Context) -> anyhow::Result<String> {
    let mut setting = Setting::new(context, &two_nats(), Over::Udp)?;
    let (_b, id) = setting.listener("b", &[])?;
    let mut a = setting.peer("a", "a", &["connect", &id, "--relay", "only"])?;
    let selected = a.event("selected", START)?;
    ensure!(selected["kind"] == "relayed", "not relayed: {selected}");
    exchange(&mut a, "before")?;
    setting.kill_server();
    let killed = now_us();
    thread::sleep(Duration::from_secs(1));
    let listening = setting.start_server()?;
    let end_of_patience = Instant::now() + REFRESH * 2;
    let back = loop {
        a.write_line("after the restart")?;
        // A datagram may be lost; the next one follows.
        if let Ok(data) = a.event_after("data", killed, Duration::from_millis(200)) {
            break millis(listening, &data);
        }
        if Instant::now() > end_of_patience {
            silent_about(&mut a, &["closed"], killed)?;
            anyhow::bail!("no datagram came back within {} s of the restart", (REFRESH * 2).as_secs());
        }
    };
    exchange(&mut a, "and on")?;
    silent_about(&mut a, &["closed", "failed"], killed)?;
    end(a)?;
    Ok(format!("datagrams come back {:.1} s after the server listens again", back / 1_000.0))
}

/// Numbers as text, one a line, [`NUMBER`] octets each.
fn write_numbers(mut input: ChildStdin, lines: usize) -> std::io::Result<()> {
    let mut text = String::new();
    for number in 0..lines {
        text.push_str(&line(number));
        if text.len() > 8_000 {
            input.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    input.write_all(text.as_bytes())
}

/// What came back, compared with what was written as it comes.
#[derive(Default)]
struct Stream {
    length: usize,
    /// A line whose end is missing.
    rest: String,
    /// How many of the program's lines were read.
    heard: usize,
    fault: Option<String>,
}

impl Stream {
    /// Reads until so many octets have come.
    fn read(&mut self, from: &mut Running, until: usize, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        while self.length < until {
            let heard = self.heard;
            let mut seen = 0;
            let data = from.wait_for("data", deadline.saturating_duration_since(Instant::now()), |value| {
                seen += 1;
                (seen > heard).then(|| is(value, "data").then(|| text(value, "text")))
            });
            let data = data.with_context(|| format!("after {} octets", self.length))?;
            self.heard += 1;
            if let Some(text) = data {
                self.take(&text);
            }
            if let Some(fault) = &self.fault {
                anyhow::bail!("{fault}");
            }
        }
        Ok(())
    }

    fn take(&mut self, text: &str) {
        self.rest.push_str(text);
        let complete = self.rest.len() / NUMBER * NUMBER;
        let first = (self.length - (self.rest.len() - text.len())) / NUMBER;
        for (at, found) in self.rest.as_bytes()[..complete].chunks(NUMBER).enumerate() {
            let expected = line(first + at);
            if found != expected.as_bytes() && self.fault.is_none() {
                let found = String::from_utf8_lossy(found);
                self.fault = Some(format!("{found:?} came back where {expected:?} was written"));
            }
        }
        self.length += text.len();
        self.rest.drain(..complete);
    }
}

fn line(number: usize) -> String {
    format!("{number:015}\n")
}

/// The octets of one [`line`].
const NUMBER: usize = 16;

/// How long a relayed byte stream may stand still.
const RESUME: Duration = Duration::from_secs(20);
