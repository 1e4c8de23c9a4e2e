//! `netcheck` against a server on loopback, where there is no NAT.

use pinhole_sim::Behaviour;
use pinhole_sim::nat::Translation;

use crate::support::{Place, TestServer, events, free_port, last, run, text};

#[test]
fn without_a_nat_a_check_proves_that_there_is_none() {
    let (server, place) = (TestServer::start_for_checks(), Place::new());
    let profile = place.file("profile.json");
    let (code, stdout, stderr) = run(&["netcheck", "--json", "--server", &server.url, "--profile", text(&profile)]);
    assert_eq!(code, 0, "{stderr}\n{stdout}");
    let events = events(&stdout);
    assert!(events.iter().filter(|event| event["event"] == "probe").count() > 20);
    let found = last(&events, "netcheck");
    for transport in ["udp", "tcp"] {
        let half = &found[transport];
        assert_eq!(found["cone"][transport], "no NAT", "{half:#}");
        assert_eq!(half["private"], half["public"]);
        for (name, value) in [("translated", "false"), ("mapping", "\"endpoint-independent\"")] {
            assert_eq!((half[name]["value"].to_string(), &half[name]["certainty"]), (value.into(), &"proved".into()));
        }
        assert_eq!(half["filtering"]["value"], "endpoint-independent");
        assert_eq!(half["hairpin"]["value"], serde_json::Value::Null);
    }
    let profile: Behaviour = serde_json::from_slice(&std::fs::read(&profile).unwrap()).unwrap();
    assert_eq!(profile.translation, Translation::Firewall);
}

#[test]
fn a_check_of_one_transport_says_it_in_words() {
    let server = TestServer::start_for_checks();
    let (code, stdout, stderr) = run(&["netcheck", "--transport", "udp", "--server", &server.url]);
    assert_eq!(code, 0, "{stderr}");
    for words in ["UDP: 127.0.0.1:", "(no NAT)", "mapping                endpoint-independent (proved)", "hairpin"] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    assert!(!stdout.contains("TCP"), "{stdout}");
}

#[test]
fn a_server_that_is_not_there_exits_with_3_and_a_profile_that_cannot_be_written_with_2() {
    let nowhere = format!("pinhole://127.0.0.1:{}", free_port());
    let (code, _, stderr) = run(&["netcheck", "--server", &nowhere]);
    assert_eq!(code, 3, "{stderr}");
    let server = TestServer::start_for_checks();
    let (code, _, stderr) =
        run(&["netcheck", "--transport", "udp", "--server", &server.url, "--profile", "/nowhere/at/all"]);
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn without_a_nat_no_timeout_is_waited_for_and_over_tcp_there_is_none_to_ask_for() {
    let server = TestServer::start_for_checks();
    let check = |transport| run(&["netcheck", "--transport", transport, "--timeouts", "--server", &server.url]);
    let (code, stdout, stderr) = check("udp");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("idle timeout           unknown"), "{stdout}");
    let (code, _, stderr) = check("tcp");
    assert_eq!(code, 2, "{stderr}");
}
