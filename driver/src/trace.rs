//! What `--trace FILE` writes: every input and output of an engine, one JSON object a line (`spec/trace.md`).
//!
//! The lines are those of [`pinhole_trace`]; the first one, its [`Header`](pinhole_trace::Header), is written by
//! whoever opens the file. An input comes before the outputs that it caused; `discard` follows an input that was
//! ignored; outputs come in the order in which they were fetched and end with `wait`; `unsent` follows a datagram
//! that the system did not take. Equal runs give equal lines.

use std::io::{self, Write};

use pinhole_proto::{Discard, Input, Instant, Output};
use pinhole_trace::{In, Line, Out, What};
use serde::Serialize;

/// The writer of a trace. After an error it writes nothing more; the engine goes on.
pub(crate) struct Trace {
    sink: Option<Box<dyn Write + Send>>,
}

impl Trace {
    pub(crate) fn new(sink: Option<Box<dyn Write + Send>>) -> Self {
        Self { sink: sink.map(|sink| Box::new(io::BufWriter::new(sink)) as Box<dyn Write + Send>) }
    }

    pub(crate) fn input(&mut self, t: Instant, input: &Input<'_>) {
        if self.sink.is_some() {
            self.line::<()>(t, What::In(In::from(input)));
        }
    }

    pub(crate) fn discard(&mut self, t: Instant, discard: Discard) {
        if self.sink.is_some() {
            self.line::<()>(t, discard.into());
        }
    }

    pub(crate) fn output<E: Serialize>(&mut self, t: Instant, output: &Output<'_, E>) {
        if self.sink.is_some() {
            self.line(t, What::Out(Out::from(output)));
        }
    }

    pub(crate) fn unsent(&mut self, t: Instant, number: u64) {
        if self.sink.is_some() {
            self.line::<()>(t, What::Unsent(number));
        }
    }

    pub(crate) fn line<V: Serialize>(&mut self, t: Instant, what: What<'_, V>) {
        if let Some(sink) = &mut self.sink {
            let result = Line { t, what }.to_line(sink);
            self.check(result);
        }
    }

    pub(crate) fn flush(&mut self) {
        if let Some(sink) = &mut self.sink {
            let result = sink.flush();
            self.check(result);
        }
    }

    fn check(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, "the trace ends here: it cannot be written");
            self.sink = None;
        }
    }
}
