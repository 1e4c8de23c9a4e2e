//! Key files and names.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use pinhole_driver::key_file::{KeyFileError, load_or_create};
use pinhole_driver::resolve;

use crate::toy::run;

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_key_is_made_once_and_for_its_owner() {
    let folder = folder("made-once");
    let path = folder.join("state/pinhole/key");
    let first = load_or_create(&path).unwrap();
    assert_eq!(load_or_create(&path).unwrap(), first);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.trim_end().len(), 52, "{text:?}");
    assert_eq!(text.lines().count(), 1);
    let names = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(names, 1, "no draft is left behind");
}

#[test]
fn programs_that_start_at_once_have_one_key() {
    let path = folder("at-once").join("key");
    let keys: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_create(&path).unwrap())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn each_failure_has_its_name() {
    let folder = folder("failures");
    for text in ["", "abc", &"1".repeat(52), &"a".repeat(5_000)] {
        let path = folder.join("malformed");
        fs::write(&path, text).unwrap();
        let error = load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Malformed { .. }), "{error}");
    }
    fs::write(folder.join("binary"), [0xff; 40]).unwrap();
    let error = load_or_create(folder.join("binary")).unwrap_err();
    assert!(matches!(error, KeyFileError::Malformed { .. }), "{error}");

    let error = load_or_create(folder.join("malformed/below-a-file")).unwrap_err();
    assert!(error.to_string().contains("below-a-file"), "{error}");
    symlink(folder.join("nowhere/at/all"), folder.join("dangling")).unwrap();
    assert!(load_or_create(folder.join("dangling")).is_err());
}

#[test]
fn a_name_resolves_to_one_endpoint_a_family() {
    run(async {
        let found = |url: &str| {
            let url = url.parse().unwrap();
            async move { resolve(&url).await }
        };
        let four = found("pinhole://127.0.0.1:9").await.unwrap();
        assert_eq!(four, ["127.0.0.1:9".parse().unwrap()]);
        let six = found("pinhole://[::1]").await.unwrap();
        assert_eq!(six, ["[::1]:4653".parse().unwrap()]);
        let both = found("pinhole://localhost").await.unwrap();
        assert!((1..=2).contains(&both.len()));
        assert!(found("pinhole://name.invalid").await.is_err());
    });
}
