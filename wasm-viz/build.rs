//! Puts what the page shows of the scenarios into one table: without white space, and without what the page has no
//! use for: what must come of them.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use serde_json::{Map, Value};

fn main() {
    let folder = Path::new("../sim/scenarios");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the scenarios are there")
        .map(|file| file.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let mut table = String::from("&[\n");
    for path in &files {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut scenario: Map<String, Value> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        without(&mut scenario, &["title", "expect"]);
        for mark in scenario.get_mut("marks").and_then(Value::as_array_mut).into_iter().flatten() {
            without(mark.as_object_mut().expect("a mark is an object"), &["hops", "fate"]);
        }
        let name = scenario["name"].as_str().expect("a scenario has a name").to_owned();
        // The list of scenarios tells where each is from, and reads none for it.
        let source = scenario.remove("source").expect("a scenario has a source");
        let text = Value::Object(scenario).to_string();
        writeln!(table, "({name:?}, {source}, {text:?}),").expect("a string takes everything");
    }
    table.push(']');
    let out = env::var_os("OUT_DIR").expect("cargo says where");
    fs::write(Path::new(&out).join("scenarios.rs"), table).expect("the table can be written");
}

fn without(object: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        object.remove(*name);
    }
}
