//! `pinhole-lab demo`: the main job, shown.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use pinhole_lab::cells::with_lines;
use pinhole_lab::trial::{Meeting, Outcome, Over, Programs, Running, text};
use pinhole_lab::{Kind, LabError, NatKind, Topology, enter, ladder};

use super::{Binaries, Scratch};

/// Connect two peers behind two NATs, over UDP and over TCP, and show the packets.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Replace the NAT of this host by plain routing, which must make the demo fail.
    #[arg(long, value_name = "HOST")]
    without_nat: Option<String>,
    /// Rows of each ladder.
    #[arg(long, default_value_t = 48)]
    rows: usize,
    #[command(flatten)]
    binaries: Binaries,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let programs = arguments.binaries.find()?;
    match enter() {
        Ok(()) => {}
        Err(LabError::Missing(missing)) => {
            eprintln!("{missing}\nWithout that there are no NATs here.\n");
            return substitute(&programs);
        }
        Err(error) => return Err(error.into()),
    }
    let scratch = Scratch::new("demo")?;
    let mut lines = Vec::new();
    for over in [Over::Udp, Over::Tcp] {
        let line = match meet(arguments, over, &programs, &scratch) {
            Ok(outcome) if outcome.direct.is_some() => Ok(format!("{}: {}", over.name(), outcome.line())),
            Ok(outcome) => Err(format!("{}: {}", over.name(), outcome.line())),
            Err(error) => Err(format!("{}: {error}", over.name())),
        };
        lines.push(line);
    }
    println!("The server is at 18.181.0.31, A (10.0.0.1) behind NAT A (155.99.25.11), B (10.1.1.3) behind NAT B");
    println!("(138.76.29.7). Both NATs are the kernel's and give each inside endpoint another public port.");
    for line in &lines {
        match line {
            Ok(line) | Err(line) => println!("{line}"),
        }
    }
    Ok(if lines.iter().all(Result::is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One connection: text there and back, the ladder, the outcome.
fn meet(arguments: &Arguments, over: Over, programs: &Programs, scratch: &Scratch) -> anyhow::Result<Outcome> {
    let nat = NatKind::PortRestrictedOtherPort;
    let topology = Topology { nat_a: nat, nat_b: nat, ..Topology::new(Kind::TwoNats) };
    let topology = with_lines(topology, 25, 25, 0.0, 1);
    let meeting = match &arguments.without_nat {
        None => Meeting::new(&topology, over, programs, &scratch.path().join(over.name()))?,
        Some(host) => {
            let lab = pinhole_lab::Lab::build(&topology)?;
            lab.remove_nat(host)?;
            Meeting::in_lab(lab, over, programs, &scratch.path().join(over.name()))?
        }
    };
    let places = [("a", "eth0"), ("nat-a", "wan"), ("nat-b", "wan"), ("b", "eth0")];
    let mut captures = Vec::new();
    for (host, interface) in places {
        captures.push(meeting.lab.capture(host, interface)?);
    }
    let mut a = meeting.peer("a", "a", &["connect", meeting.id()])?;
    let said = "Hello through two NATs.";
    a.event("online", PATIENCE)?;
    let since = Instant::now();
    a.write_line(said)?;
    let back = a.wait_for("the text to come back", PATIENCE, |value| {
        let text = text(value, "text");
        (value["event"] == "data" && text.contains(said)).then_some(text)
    })?;
    // The direct path is there before, with or soon after the echo.
    let _ = a.wait_for("a direct path", PATIENCE, |value| {
        (value["event"] == "selected" && value["kind"] != "relayed").then_some(())
    });
    a.close_input();
    let outcome = meeting.outcome(a, PATIENCE)?;
    let mut packets = captures.into_iter().map(|capture| capture.finish().packets());
    let mut next = || packets.next().unwrap_or_default();
    let (a_inside, a_outside, b_outside, b_inside) = (next(), next(), next(), next());
    let sides = [
        ladder::Side { host: "A", nat: "NAT A", inside: a_inside, outside: a_outside },
        ladder::Side { host: "B", nat: "NAT B", inside: b_inside, outside: b_outside },
    ];
    println!("== {} ==\n", over.name().to_uppercase());
    if arguments.rows > 0 {
        println!("{}", ladder::draw(&sides, since, arguments.rows));
    }
    println!("A said {said:?}, and B's echo was {:?}.\n", back.trim_end());
    Ok(outcome)
}

/// Without NATs: the real binaries over loopback and the engines in virtual time, each labelled as such.
/// Nobody is to take that for the main job, so the exit code is 3.
fn substitute(programs: &Programs) -> anyhow::Result<ExitCode> {
    let scratch = Scratch::new("loopback")?;
    for over in [Over::Udp, Over::Tcp] {
        let place = scratch.path().join(over.name());
        std::fs::create_dir_all(&place)?;
        let outcome = loopback(over, programs, &place);
        match outcome {
            Ok(line) => println!("no NAT: {}: {line}", over.name()),
            Err(error) => println!("no NAT: {}: {error}", over.name()),
        }
    }
    println!("{}", simulated());
    Ok(ExitCode::from(3))
}

fn loopback(over: Over, programs: &Programs, place: &std::path::Path) -> anyhow::Result<String> {
    let mut command = Command::new(&programs.server);
    command.env("RUST_LOG", "warn");
    command.args(["--json", "--listen", "127.0.0.1", "--host", "127.0.0.1", "--no-ipv6", "--port", "0"]);
    command.args(["--alternate-port", "0", "--key-file"]).arg(place.join("server.key"));
    let mut server = Running::start("pinhole-server", command)?;
    let url = text(&server.event("url", PATIENCE)?, "url");
    let peer = |verb: &[&str], key: &str| {
        let mut command = Command::new(&programs.peer);
        command.args(verb).args(["--json", "--server", &url, "--transport", over.name(), "--key-file"]);
        command.arg(place.join(key));
        Running::start("pinhole-peer", command)
    };
    let mut b = peer(&["listen", "--echo"], "b.key")?;
    let id = text(&b.event("online", PATIENCE)?, "id");
    let (events, _) = peer(&["ping", &id], "a.key")?.finish(PATIENCE)?;
    Ok(Outcome::from_events(events).line())
}

/// F-5 in virtual time, with the real engines.
fn simulated() -> String {
    use pinhole_sim::topology::{Plan, two_nats};
    let mut trio = pinhole_sim::worlds::Trio::new(1, &Plan::default(), two_nats, |_| {});
    trio.register();
    let lines = [(pinhole_proto::Transport::Udp, "udp"), (pinhole_proto::Transport::Tcp, "tcp")].map(|(over, name)| {
        let begin = trio.world.now();
        if trio.connect(Some(over)).is_err() {
            return format!("simulated: {name}: refused");
        }
        trio.world.run_for(Duration::from_secs(5));
        let selected = trio.said(trio.net.a).iter().rev().find_map(|(at, said)| Some((*at, said.selected()?)));
        match selected {
            Some((at, path)) => {
                let near = path.mapped.unwrap_or(path.local);
                let after = (at - begin).as_secs_f64() * 1_000.0;
                format!(
                    "simulated: {name}: {} {near} <-> {} selected after {after:.0} ms",
                    kind(path.kind),
                    path.remote
                )
            }
            None => format!("simulated: {name}: no path"),
        }
    });
    lines.join("\n")
}

fn kind(kind: pinhole_proto::peer::PathKind) -> &'static str {
    use pinhole_proto::peer::PathKind;
    match kind {
        PathKind::Relayed => "relayed",
        PathKind::Private | PathKind::Public => "direct",
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
