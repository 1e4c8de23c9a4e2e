//! `spec/vectors/*.json`, replayed.

use pinhole_proto::Discard;
use serde_json::{Value, json};

use super::crypto;
use super::describe::{decode, hex};

/// [R-WIRE-003] [R-WIRE-020] Every test of every file, and every beginning of every valid input.
#[test]
fn every_vector_is_decoded_as_it_says() {
    let directory = format!("{}/../spec/vectors", env!("CARGO_MANIFEST_DIR"));
    let mut failures = vec![];
    let mut tests = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut in_file = 0;
        for group in file["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                in_file += 1;
                assert_eq!(test["tcId"], in_file);
                if let Err(error) = replay(group["type"].as_str().unwrap(), test) {
                    let (name, id) = (path.file_name().unwrap().display(), &test["tcId"]);
                    failures.push(format!("{name} {id} {}: {error}", test["comment"]));
                }
            }
        }
        assert_eq!(file["numberOfTests"], in_file);
        tests += in_file;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(tests >= 500, "{tests} vectors");
}

fn replay(kind: &str, test: &Value) -> Result<(), String> {
    let given = &test["given"];
    let outcome = match kind {
        "Handshake" => crypto::handshake(given),
        "Seal" => Ok(crypto::seal(given)),
        "Open" => crypto::open(given),
        "Proof" => Ok(crypto::proof(given)),
        _ => return decoded(kind, test),
    };
    compare(test, outcome)
}

fn decoded(kind: &str, test: &Value) -> Result<(), String> {
    let octets = crypto::octets(&test["hex"]);
    let outcome = decode(kind, &octets);
    if let Ok((_, canonical)) = &outcome {
        let expected = test.get("canonical").unwrap_or_else(|| &test["hex"]);
        if hex(canonical) != *expected {
            return Err(format!("encodes to {}", hex(canonical)));
        }
        // Encoding again and decoding gives the same.
        assert_eq!(decode(kind, canonical).as_ref().ok().map(|(_, again)| again), Some(canonical));
    }
    for run in test["prefixes"].as_array().into_iter().flatten() {
        let [from, to] = [0, 1].map(|at| usize::try_from(run[at].as_u64().unwrap()).unwrap());
        for length in from..=to {
            let outcome = match decode(kind, &octets[..length]) {
                Ok(_) => json!("valid"),
                Err(discard) => json!(discard),
            };
            if outcome != run[2] {
                return Err(format!("the first {length} octets: {outcome}"));
            }
        }
    }
    compare(test, outcome.map(|(decoded, _)| decoded))
}

fn compare(test: &Value, outcome: Result<Value, Discard>) -> Result<(), String> {
    let found = match &outcome {
        Ok(decoded) => ("valid", decoded.clone(), Value::Null),
        Err(discard) => ("invalid", Value::Null, json!(discard)),
    };
    let field = |name: &str| test.get(name).cloned().unwrap_or_default();
    if test["result"] == found.0 && field("decoded") == found.1 && field("error") == found.2 {
        Ok(())
    } else {
        Err(format!("found {outcome:?}"))
    }
}
