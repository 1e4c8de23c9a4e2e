//! What is written is read.

use pinhole_trace::{Line, What, read};
use serde_json::Value;

use crate::sample;

/// The lines of a trace, written again.
fn written(trace: &pinhole_trace::Trace) -> String {
    let mut file = Vec::new();
    for line in &trace.lines {
        let json = |text: &String| serde_json::from_str::<Value>(text).unwrap();
        let what = match line.what.clone() {
            What::In(input) => What::In(input),
            What::Discard(name) => What::Discard(name),
            What::Unsent(number) => What::Unsent(number),
            What::Command(text) => What::Command(json(&text)),
            What::Reply(text) => What::Reply(json(&text)),
            What::Out(output) => What::Out(output.map_event(|text| json(&text))),
        };
        Line { t: line.t, what }.to_line(&mut file).unwrap();
    }
    String::from_utf8(file).unwrap()
}

#[test]
fn every_kind_of_line_is_read_as_it_was_written() {
    let (lines, count) = sample::lines();
    let trace = read(sample::file().as_bytes()).unwrap();
    assert_eq!((trace.lines.len(), trace.cut), (count, false));
    assert_eq!(trace.header, sample::header());
    assert_eq!(written(&trace), lines);
}

#[test]
fn a_file_without_lines_and_one_with_other_line_ends_are_traces() {
    assert_eq!(read(sample::header().to_line().as_bytes()).unwrap().lines.len(), 0);
    let other = sample::file().replace('\n', "\r\n");
    assert_eq!(read(other.as_bytes()).unwrap(), read(sample::file().as_bytes()).unwrap());
}

#[test]
fn fields_that_this_version_does_not_know_are_passed_over() {
    let header = r#"{"trace":"pinhole/1","engine":"peer","colour":"red"}"#;
    let line = r#"{"t":1,"in":{"opened":{"socket":0,"local":"0.0.0.0:1","colour":"red"}}}"#;
    let trace = read(format!("{header}\n{line}\n").as_bytes()).unwrap();
    assert_eq!((trace.lines.len(), trace.header.program.as_str(), trace.header.id), (1, "", None));
}

#[test]
fn a_file_that_ends_in_the_middle_of_a_line_is_read_up_to_there_and_says_so() {
    let file = sample::file();
    let whole = read(file.as_bytes()).unwrap();
    let last = file.trim_end().rfind('\n').unwrap() + 1;
    for end in last + 1..file.len() - 1 {
        let trace = read(&file.as_bytes()[..end]).unwrap();
        assert!(trace.cut, "{end}");
        assert_eq!(trace.lines.len(), whole.lines.len() - 1);
    }
    let ended = read(&file.as_bytes()[..file.len() - 1]).unwrap();
    assert_eq!(ended, whole, "only the line end is missing");
}

#[test]
fn a_hundred_thousand_lines_are_read() {
    let line = sample::lines().0.lines().find(|line| line.contains("transmit")).unwrap().to_owned() + "\n";
    let file = sample::header().to_line() + &line.repeat(100_000);
    assert_eq!(read(file.as_bytes()).unwrap().lines.len(), 100_000);
}
