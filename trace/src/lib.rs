//! The file that `--trace FILE` writes: every input and output of an engine, one JSON object a line.
//!
//! The format is `spec/trace.md`. [`Header`] and [`Line`] are what is in a file, for both directions: the driver
//! makes them from an engine's inputs and outputs and writes them ([`Header::to_line`], [`Line::to_line`]), and
//! [`read`] makes them from a file again. Whoever reads a file that is damaged is told where and what was expected
//! ([`Located`]); a reader's memory is bounded by [`MAX_OCTETS`] and [`MAX_LINES`].
//!
//! No input or output: who has a file brings its octets. Builds for `wasm32`.

#![forbid(unsafe_code)]

mod error;
mod fields;
mod header;
mod line;
mod read;

pub use error::{Expected, Located, Problem};
pub use header::{Engine, Header, Shard, VERSION};
pub use line::{In, Line, Octets, Out, StreamIn, What};
pub use read::{MAX_LINE, MAX_LINES, MAX_OCTETS, Trace, read};
