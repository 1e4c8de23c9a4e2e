//! Servers whose URL names no key.

use pinhole_peer::{KnownServers, KnownServersError, ServerKey, ServerUrl};

use crate::support::{Place, TestServer, run, text};

const NOBODY: &str = "beaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaq";

#[test]
fn the_first_key_of_a_place_counts_and_lines_are_checked() {
    let place = Place::new();
    let known = KnownServers::new(place.file("known-servers"));
    let url: ServerUrl = "pinhole://Example.org:4653".parse().unwrap();
    let other: ServerUrl = "pinhole://example.org:4700".parse().unwrap();
    let key = |octet| ServerKey::new([octet; 32]).unwrap();
    assert_eq!(known.find(&url).unwrap(), None);
    known.remember(&url, key(9)).unwrap();
    known.remember(&other, key(8)).unwrap();
    known.remember(&url, key(7)).unwrap();
    assert_eq!(known.find(&"pinhole://example.ORG".parse().unwrap()).unwrap(), Some(key(9)));
    assert_eq!(known.find(&other).unwrap(), Some(key(8)));
    std::fs::write(known.path(), "# a comment\n\nexample.org:4653 no-key\n").unwrap();
    assert!(matches!(known.find(&url), Err(KnownServersError::Malformed { line: 3, .. })));
}

#[test]
fn a_key_is_remembered_once_proved_and_a_later_one_is_refused() {
    let place = Place::new();
    let key = place.file("key");
    let known = place.file("known-servers");
    let server = TestServer::start();
    let port = server.port;
    let url = server.url_without_key();
    let arguments = ["ping", NOBODY, "--server", &url, "--json", "--transport", "udp", "--key-file", text(&key)];
    // The peer is not registered, so this ends with 4; but the server was met.
    assert_eq!(run(&arguments).0, 4);
    let line = std::fs::read_to_string(&known).unwrap();
    assert!(line.starts_with(&format!("127.0.0.1:{port} ")), "{line}");
    assert_eq!(run(&arguments).0, 4);
    assert_eq!(std::fs::read_to_string(&known).unwrap(), line, "remembered once");

    drop(server);
    let _other = TestServer::start_with([8; 32], port);
    let (code, stdout, _) = run(&arguments);
    assert_eq!(code, 6);
    assert!(stdout.contains("\"code\":\"server-key-differs\""), "{stdout}");
    std::fs::remove_file(&known).unwrap();
    assert_eq!(run(&arguments).0, 4, "deleting the line is consent");
}

#[test]
fn a_malformed_file_exits_with_2() {
    let place = Place::new();
    std::fs::write(place.file("known-servers"), "what\n").unwrap();
    let (code, _, stderr) =
        run(&["ping", NOBODY, "--server", "pinhole://127.0.0.1", "--key-file", text(&place.file("key"))]);
    assert_eq!(code, 2);
    assert!(stderr.contains("line 1"), "{stderr}");
}
