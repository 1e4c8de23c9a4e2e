//! Prints what the runs of all scenarios are here, for a browser to compare: the digest of each, its length, and
//! the frames of steps all along it, each as a sum over the very octets that the page is handed; and every cell of
//! the outcome matrix.

use pinhole_sim::scenario;
use pinhole_viz::api::Api;
use pinhole_viz::matrix;
use pinhole_viz::nats::PRESETS;
use serde_json::{Value, json};

fn main() {
    let mut api = Api::default();
    let mut runs = serde_json::Map::new();
    for (name, _) in scenario::ALL {
        let link = json!(format!("#v=1&s={name}&i=0")).to_string();
        let page: Value = serde_json::from_str(&api.call("open", &link)).unwrap_or_default();
        let length = page["ok"]["length"].as_u64().unwrap_or(0);
        let stride = length.div_ceil(FRAMES).max(1);
        let frames: Vec<Value> = (0..length)
            .step_by(usize::try_from(stride).unwrap_or(1))
            .map(|index| json!([index, sum(api.call("seek", &index.to_string()).as_bytes())]))
            .collect();
        let digest: Value = serde_json::from_str(&api.call("digest", "null")).unwrap_or_default();
        runs.insert((*name).to_owned(), json!({ "digest": digest["ok"], "length": length, "frames": frames }));
    }
    let kinds = || PRESETS.iter().map(|(kind, _)| *kind);
    let cells: Vec<_> = kinds().flat_map(|a| kinds().filter_map(move |b| matrix::cell(a, b).ok())).collect();
    println!("{}", json!({ "runs": runs, "cells": cells }));
}

/// FNV-1a: short to write down twice.
fn sum(octets: &[u8]) -> u32 {
    octets.iter().fold(0x811c_9dc5, |sum, octet| (sum ^ u32::from(*octet)).wrapping_mul(0x0100_0193))
}

/// The most frames of a run that are compared.
const FRAMES: u64 = 64;
