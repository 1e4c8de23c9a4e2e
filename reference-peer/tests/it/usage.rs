//! Arguments, files and exit codes.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Place, command, events, finish, free_port, last, run, text};

const PEER: &str = "beaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaq";

#[test]
fn wrong_arguments_exit_with_2() {
    for arguments in [
        &["ping"] as &[&str],
        &["ping", "nobody", "--server", "pinhole://127.0.0.1"],
        &["ping", PEER, "--server", "http://127.0.0.1"],
        &["ping", PEER, "--server", "pinhole://127.0.0.1", "--transport", "sctp"],
        &["ping", PEER, "--server", "pinhole://127.0.0.1", "--interval", "0"],
        &["ping", PEER, "--server", "pinhole://127.0.0.1", "--timeout", "-1"],
        &["listen", "--allow", "nobody"],
        &["fly"],
        &[],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, &stdout[..]), (2, ""), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty());
    }
}

#[test]
fn a_missing_server_is_said_by_name() {
    let place = Place::new();
    let (code, _, stderr) = run(&["ping", PEER, "--key-file", text(&place.file("key"))]);
    assert_eq!(code, 2);
    assert!(stderr.contains("--server") && stderr.contains("PINHOLE_SERVER"), "{stderr}");
}

#[test]
fn the_help_documents_exit_codes_events_and_the_services() {
    let (code, stdout, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for word in ["Exit codes", "JSON events", "byte stream", "datagram", "introduced", "known-servers"] {
        assert!(stdout.contains(word), "{word}");
    }
}

#[test]
fn the_id_stays_and_the_key_is_the_owners_only() {
    let place = Place::new();
    let file = place.file("deep/inside/key");
    let (code, first, _) = run(&["id", "--key-file", text(&file)]);
    assert_eq!((code, first.trim().len()), (0, 52));
    assert_eq!(run(&["id", "--key-file", text(&file)]).1, first);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_ne!(run(&["id", "--key-file", text(&place.file("other"))]).1, first);
}

#[test]
fn the_key_is_kept_in_the_state_directory() {
    let place = Place::new();
    let state = place.file("state");
    let (code, ..) = finish(command(&["id"]).env("XDG_STATE_HOME", &state));
    assert_eq!(code, 0);
    assert!(state.join("pinhole/peer.key").exists());
    let home = place.file("home");
    let (code, ..) = finish(command(&["id"]).env_remove("XDG_STATE_HOME").env("HOME", &home));
    assert_eq!(code, 0);
    assert!(home.join(".local/state/pinhole/peer.key").exists());
    let (code, _, stderr) = finish(command(&["id"]).env_remove("XDG_STATE_HOME").env_remove("HOME"));
    assert_eq!(code, 2);
    assert!(stderr.contains("--key-file"), "{stderr}");
}

#[test]
fn a_key_file_that_holds_no_key_exits_with_2() {
    let place = Place::new();
    let file = place.file("key");
    std::fs::write(&file, "hello\n").unwrap();
    let (code, _, stderr) = run(&["id", "--key-file", text(&file)]);
    assert_eq!(code, 2);
    assert!(stderr.contains(text(&file)), "{stderr}");
}

#[test]
fn a_server_that_is_not_there_exits_with_3_over_both_transports() {
    let place = Place::new();
    let key = place.file("key");
    for transport in ["udp", "tcp"] {
        let server = format!("pinhole://{PEER}@127.0.0.1:{}", free_port());
        let arguments =
            ["ping", PEER, "--server", &server, "--transport", transport, "--json", "--key-file", text(&key)];
        let (code, stdout, stderr) = run(&arguments);
        assert_eq!(code, 3, "{stderr}");
        let events = events(&stdout);
        let failed = last(&events, "failed");
        assert_eq!((failed["code"].as_str(), failed["exit"].as_u64()), (Some("server-unreachable"), Some(3)));
        assert!(failed["t_us"].is_u64() && failed["ms"].is_f64());
    }
}

#[test]
fn a_server_name_that_does_not_resolve_exits_with_3() {
    let place = Place::new();
    let server = format!("pinhole://{PEER}@nowhere.invalid");
    let (code, _, stderr) = run(&["ping", PEER, "--server", &server, "--key-file", text(&place.file("key"))]);
    assert_eq!(code, 3);
    assert!(stderr.contains("nowhere.invalid"), "{stderr}");
}

#[test]
fn the_own_id_is_no_peer() {
    let place = Place::new();
    let key = place.file("key");
    let server = crate::support::TestServer::start();
    let id = run(&["id", "--key-file", text(&key)]).1;
    let (code, _, stderr) = run(&["ping", id.trim(), "--server", &server.url, "--key-file", text(&key)]);
    assert_eq!(code, 2, "{stderr}");
}
