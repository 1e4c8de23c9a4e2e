//! What the page says about a trace that is not an event: why it is refused, what it is, what its lines are.

use pinhole_trace::{Expected, Located, MAX_LINE, MAX_LINES, MAX_OCTETS, Problem, VERSION};

use crate::text::Text;

/// Where and why a file is not a trace.
#[must_use]
pub fn located(file: &str, error: &Located) -> Text {
    let key = if error.field.is_empty() { "notice.trace.line" } else { "notice.trace.field" };
    let text = Text::of(key).with("file", file).with("line", error.line).with_text("problem", problem(&error.problem));
    if error.field.is_empty() { text } else { text.with("field", &error.field) }
}

fn problem(problem: &Problem) -> Text {
    let text = |name: &str| Text::of(format!("trace.problem.{name}"));
    match problem {
        Problem::Empty => text("empty"),
        Problem::FileTooLong => text("file-too-long").with("most", MAX_OCTETS >> 20),
        Problem::TooManyLines => text("too-many-lines").with("most", MAX_LINES),
        Problem::LineTooLong => text("line-too-long").with("most", MAX_LINE >> 20),
        Problem::NotJson { column, why } => text("not-json").with("column", column).with("why", why),
        Problem::Version(found) => text("version").with("expected", VERSION).with("found", found),
        Problem::Backwards => text("backwards"),
        Problem::Missing => text("missing"),
        Problem::Expected { what, found } => text("expected").with_text("what", expected(*what)).with("found", found),
    }
}

fn expected(what: Expected) -> Text {
    let text = |name: &str| Text::of(format!("trace.expected.{name}"));
    match what {
        Expected::Object => text("object"),
        Expected::OneOf(names) => text("one-of").with("names", names.join(", ")),
        Expected::List => text("list"),
        Expected::Text => text("text"),
        Expected::Boolean => text("boolean"),
        Expected::Number(most) => text("number").with("most", most),
        Expected::Address => text("address"),
        Expected::Endpoint => text("endpoint"),
        Expected::Octets => text("octets"),
    }
}

/// One refusal of each kind.
pub fn problems() -> impl Iterator<Item = Text> {
    let expected = [
        Expected::Object,
        Expected::OneOf(&["in", "out"]),
        Expected::List,
        Expected::Text,
        Expected::Boolean,
        Expected::Number(255),
        Expected::Address,
        Expected::Endpoint,
        Expected::Octets,
    ];
    let plain = [
        Problem::Empty,
        Problem::FileTooLong,
        Problem::TooManyLines,
        Problem::LineTooLong,
        Problem::NotJson { column: 1, why: "expected value".into() },
        Problem::Version("pinhole/9".into()),
        Problem::Backwards,
        Problem::Missing,
    ];
    let expected = expected.into_iter().map(|what| Problem::Expected { what, found: "7".into() });
    let problems = plain.into_iter().chain(expected);
    problems.flat_map(|problem| {
        ["", "out.transmit.remote"]
            .map(|field| located("a.trace", &Located { line: 2, field: field.to_owned(), problem: problem.clone() }))
    })
}
