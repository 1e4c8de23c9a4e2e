//! Two command lines and a server.

use nix::sys::signal::Signal;

use crate::support::{Place, Running, TestServer, command, events, finish, last, run, text};

const NOBODY: &str = "beaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaq";

/// A listening peer that is online, and its id.
fn listen(server: &TestServer, place: &Place, arguments: &[&str]) -> (Running, String) {
    let key = place.file("b");
    let common = ["listen", "--json", "--server", &server.url, "--key-file", text(&key)];
    let listener = Running::start(&[&common, arguments].concat());
    let online = listener.event("online");
    let id = online["id"].as_str().unwrap().to_owned();
    assert!(online["private"].is_string() && online["public"].is_string());
    if !arguments.contains(&"--transport") {
        listener.event("online");
    }
    (listener, id)
}

fn ping(server: &TestServer, place: &Place, id: &str, arguments: &[&str]) -> (i32, Vec<serde_json::Value>, String) {
    let key = place.file("a");
    let common = ["ping", id, "--json", "--server", &server.url, "--key-file", text(&key)];
    let (code, stdout, stderr) = run(&[&common, arguments].concat());
    (code, events(&stdout), stderr)
}

#[test]
fn a_ping_is_echoed_and_becomes_direct_over_both_transports() {
    let (server, place) = (TestServer::start(), Place::new());
    let (listener, id) = listen(&server, &place, &["--echo"]);
    for transport in ["udp", "tcp"] {
        let (code, events, stderr) =
            ping(&server, &place, &id, &["--transport", transport, "--count", "3", "--interval", "20"]);
        assert_eq!(code, 0, "{transport}: {stderr}\n{events:#?}");
        let result = last(&events, "result");
        assert_eq!(result["transport"], transport);
        assert_eq!(result["echoes"], 3);
        assert!(result["direct_ms"].as_f64().unwrap() < 5_000.0);
        assert!(["public", "private"].contains(&result["path"]["kind"].as_str().unwrap()), "{result}");
        assert_eq!(last(&events, "closed")["code"], "local");
        assert_eq!(last(&events, "introduced")["peer"], id);
        assert_eq!(last(&events, "echo")["seq"], 2);
        let direct = |e: &&serde_json::Value| e["event"] == "path" && e["kind"] != "relayed";
        let path = events.iter().find(direct).unwrap();
        for field in ["state", "transport", "local", "mapped", "remote", "ms", "t_us"] {
            assert!(path.get(field).is_some(), "{field} in {path}");
        }
        assert_eq!(listener.event("closed")["code"], "remote");
    }
}

#[test]
fn auto_takes_udp_where_both_have_it_and_tcp_where_not() {
    let (server, place) = (TestServer::start(), Place::new());
    let (_listener, id) = listen(&server, &place, &["--echo"]);
    let (code, events, _) = ping(&server, &place, &id, &[]);
    assert_eq!((code, last(&events, "result")["transport"].as_str()), (0, Some("udp")));
    let other = Place::new();
    let (_listener, id) = listen(&server, &other, &["--echo", "--transport", "tcp"]);
    let (code, events, _) = ping(&server, &place, &id, &[]);
    assert_eq!((code, last(&events, "result")["transport"].as_str()), (0, Some("tcp")));
}

#[test]
fn a_held_ping_connects_when_a_line_comes() {
    let (server, place) = (TestServer::start(), Place::new());
    let (_listener, id) = listen(&server, &place, &["--echo", "--transport", "udp"]);
    let key = place.file("a");
    let mut ping = Running::start(&[
        "ping",
        &id,
        "--hold",
        "--json",
        "--transport",
        "udp",
        "--server",
        &server.url,
        "--key-file",
        text(&key),
    ]);
    ping.event("online");
    std::thread::sleep(std::time::Duration::from_millis(300));
    ping.say("go\n");
    let result = ping.event("result");
    // Counted from the line, not from the start.
    assert!(result["direct_ms"].as_f64().unwrap() < 250.0, "{result}");
    assert_eq!(ping.code(), 0);
}

#[test]
fn relay_only_is_relayed_with_the_verdict_that_says_so() {
    let (server, place) = (TestServer::start(), Place::new());
    let (_listener, id) = listen(&server, &place, &["--echo"]);
    for transport in ["udp", "tcp"] {
        let (code, events, stderr) = ping(&server, &place, &id, &["--relay", "only", "--transport", transport]);
        assert_eq!(code, 0, "{transport}: {stderr}\n{events:#?}");
        let result = last(&events, "result");
        assert_eq!(result["path"]["kind"], "relayed");
        assert!(result["direct_ms"].is_null() && result["echo_ms"].is_number());
    }
}

#[test]
fn relay_never_against_relay_only_exits_with_5() {
    let (server, place) = (TestServer::start(), Place::new());
    let (_listener, id) = listen(&server, &place, &["--echo", "--relay", "only", "--transport", "udp"]);
    let (code, events, stderr) = ping(&server, &place, &id, &["--relay", "never", "--transport", "udp"]);
    assert_eq!(code, 5, "{stderr}\n{events:#?}");
    assert_eq!(last(&events, "failed")["reason"], "no-path");
}

#[test]
fn a_peer_that_is_not_registered_exits_with_4() {
    let (server, place) = (TestServer::start(), Place::new());
    for transport in ["udp", "tcp"] {
        let (code, events, _) = ping(&server, &place, NOBODY, &["--transport", transport]);
        assert_eq!((code, last(&events, "failed")["code"].as_str()), (4, Some("not-registered")));
    }
}

#[test]
fn a_peer_that_allows_others_only_refuses() {
    let (server, place) = (TestServer::start(), Place::new());
    let (_listener, id) = listen(&server, &place, &["--echo", "--transport", "udp", "--allow", NOBODY]);
    let (code, events, _) = ping(&server, &place, &id, &["--transport", "udp"]);
    assert_eq!(code, 1, "{events:#?}");
    assert_eq!(last(&events, "failed")["reason"], "refused");
}

#[test]
fn the_older_of_two_peers_with_one_key_exits_with_6() {
    let (server, place) = (TestServer::start(), Place::new());
    let (mut older, id) = listen(&server, &place, &["--echo", "--transport", "udp"]);
    let (_newer, same) = listen(&server, &place, &["--echo", "--transport", "udp"]);
    assert_eq!(id, same);
    assert_eq!(older.code(), 6);
}

#[test]
fn a_wrong_server_key_exits_with_6() {
    let (server, place) = (TestServer::start(), Place::new());
    let url = format!("pinhole://{NOBODY}@127.0.0.1:{}", server.port);
    for transport in ["udp", "tcp"] {
        let key = place.file("a");
        let arguments =
            ["ping", NOBODY, "--json", "--transport", transport, "--server", &url, "--key-file", text(&key)];
        let (code, stdout, _) = run(&arguments);
        assert_eq!((code, last(&events(&stdout), "failed")["code"].as_str()), (6, Some("server-key-differs")));
    }
}

#[test]
fn lines_are_datagrams_in_both_directions() {
    let (server, place) = (TestServer::start(), Place::new());
    let (mut listener, id) = listen(&server, &place, &["--transport", "udp"]);
    let key = place.file("a");
    let mut peer =
        Running::start(&["connect", &id, "--transport", "udp", "--server", &server.url, "--key-file", text(&key)]);
    peer.say("hello\n");
    assert_eq!(listener.event("data")["text"], "hello");
    listener.say("and back\n");
    assert_eq!(peer.line(), "and back");
    drop(peer.stdin.take());
    assert_eq!(peer.code(), 0);
    assert_eq!(listener.event("closed")["code"], "remote");
}

#[test]
fn a_byte_stream_arrives_whole_and_ends_both_commands_in_order() {
    let (server, place) = (TestServer::start(), Place::new());
    let key = place.file("b");
    let mut listener = Running::start(&[
        "listen",
        "--echo",
        "--transport",
        "tcp",
        "--json",
        "--server",
        &server.url,
        "--key-file",
        text(&key),
    ]);
    let id = listener.event("online")["id"].as_str().unwrap().to_owned();
    let key = place.file("a");
    let mut peer =
        Running::start(&["connect", &id, "--transport", "tcp", "--server", &server.url, "--key-file", text(&key)]);
    // More than every window and buffer on the way holds.
    let sent: String = (0..300_000).map(|number| format!("{number}\n")).collect();
    let mut stdin = peer.stdin.take().unwrap();
    let copy = sent.clone();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, copy.as_bytes()).unwrap());
    let mut received = String::new();
    while received.len() < sent.len() {
        received += &peer.line();
        received.push('\n');
    }
    assert!(received == sent, "what was echoed differs");
    writer.join().unwrap();
    assert_eq!(peer.code(), 0);
    listener.signal(Signal::SIGTERM);
    assert_eq!(listener.code(), 0);
}

#[test]
fn signals_end_a_listener_with_0() {
    let (server, place) = (TestServer::start(), Place::new());
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut listener, _) = listen(&server, &place, &["--echo"]);
        listener.signal(signal);
        assert_eq!(listener.code(), 0);
    }
}

#[test]
fn a_trace_begins_with_its_header_and_has_commands() {
    let (server, place) = (TestServer::start(), Place::new());
    let trace = place.file("trace");
    let (code, ..) = ping(&server, &place, NOBODY, &["--transport", "udp", "--trace", text(&trace)]);
    assert_eq!(code, 4);
    let text = std::fs::read_to_string(trace).unwrap();
    let lines = events(&text);
    assert_eq!(lines[0]["trace"], "pinhole/1");
    assert!(lines.iter().any(|line| line["command"]["connect"]["peer"] == NOBODY));
    assert_eq!(lines.iter().rev().find(|line| line.get("command").is_some()).unwrap()["command"], "shutdown");
}

#[test]
fn the_server_may_come_from_the_environment() {
    let (server, place) = (TestServer::start(), Place::new());
    let key = place.file("a");
    let mut command = command(&["ping", NOBODY, "--transport", "udp", "--key-file", text(&key)]);
    assert_eq!(finish(command.env("PINHOLE_SERVER", &server.url)).0, 4);
}

#[test]
fn a_reader_that_goes_away_ends_a_listener_quietly_and_its_session_in_order() {
    let (server, place) = (TestServer::start(), Place::new());
    let key = place.file("b");
    let id = run(&["id", "--key-file", text(&key)]).1;
    let mut listener = command(&["listen", "--transport", "udp", "--server", &server.url, "--key-file", text(&key)]);
    listener.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    listener.stderr(std::process::Stdio::piped());
    let mut listener = listener.spawn().unwrap();
    drop(listener.stdout.take());
    let mut status = std::io::BufReader::new(listener.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut status, &mut String::new()).unwrap();
    let key = place.file("a");
    let mut peer = Running::start(&[
        "connect",
        id.trim(),
        "--transport",
        "udp",
        "--server",
        &server.url,
        "--key-file",
        text(&key),
    ]);
    peer.say("hello\n");
    // The line cannot be written, so the listener ends, and says so to the peer.
    assert_eq!(peer.code(), 0);
    assert_eq!(listener.wait().unwrap().code(), Some(0));
}
